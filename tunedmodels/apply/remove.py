"""Remove versions: cancel running jobs, delete versions, retire former ones.

Every step observes the live model again before it acts. The serving version is deleted only when
the plan says so, and a former version retires only after its successor is seen to serve.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace

from tunedmodels.apply import preconditions
from tunedmodels.apply.context import ApplyContext, event_key, outcome_of
from tunedmodels.apply.move import release_version
from tunedmodels.errors import RefusedError
from tunedmodels.events import Ending, StillRunning, Succeeded
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan import reasons
from tunedmodels.plan.plan import Action, Change, DesiredVersion, LiveVersion
from tunedmodels.plan.reconcile import held_by
from tunedmodels.providers.provider import Edit, Provider


async def cancel(context: ApplyContext, change: Change) -> Ending:
    """Cancel a job, then delete its model, whose answers would be unpredictable (F15)."""
    version = preconditions.require_before(change)
    provider = context.provider(version.provider)
    async with context.request_slots:
        if not await _cancel_job(context, change, version, provider):
            return Succeeded(*event_key(change))
    model = await context.get_until(
        provider,
        version.model_id,
        lambda model: context.stop.is_set or model is None or not model.state.is_running,
    )
    if model is not None and model.state.is_running:
        return StillRunning(
            change.name,
            version.model_id,
            "the cancellation was requested and has no effect yet; the next apply checks again",
        )
    if model is not None and model.state is ModelState.READY:
        raise RefusedError(
            f"{version.model_id} was ready before the cancellation had an effect, and is kept",
            cure=preconditions.REPLAN_CURE,
        )
    async with context.request_slots:
        await context.send(
            "delete", change.name, version.model_id, lambda: provider.delete(version.model_id)
        )
    return Succeeded(*event_key(change))


async def _cancel_job(
    context: ApplyContext, change: Change, version: LiveVersion, provider: Provider
) -> bool:
    """Cancel a job that still runs; return whether a model is left to delete."""
    model = await context.get(version.provider, version.model_id)
    if model is None:
        return False
    if change.name in context.desired:
        versions = await context.observe_versions(change.name)
        preconditions.require_not_declared_again(change, version, context.desired, versions)
    preconditions.require_cancellable(version, model, context.ownership, change.name)
    if model.state.is_running:
        await context.send(
            "cancel", change.name, version.model_id, lambda: provider.cancel(version.model_id)
        )
    return True


async def delete(context: ApplyContext, change: Change) -> Ending:
    """Delete a version, which may serve only if the plan says so."""
    version = preconditions.require_before(change)
    async with context.request_slots:
        versions = await context.observe_versions(change.name)
        preconditions.require_not_serving(version, versions)
        await _delete(context, change, version, versions)
    return Succeeded(*event_key(change))


async def _delete(
    context: ApplyContext,
    change: Change,
    version: LiveVersion,
    versions: Sequence[ObservedModel],
) -> None:
    preconditions.require_not_declared_again(change, version, context.desired, versions)
    provider = context.provider(version.provider)

    async def delete_unless_held() -> None:
        model = await context.get(version.provider, version.model_id)
        if model is None:
            return  # it is deleted already
        preconditions.require_unchanged(version, model, context.ownership, change.name)
        _require_unused(model)
        if context.ownership.is_shared and not provider.has_conditional_delete:
            model = await _announce_deletion(context, change, model)
        etag = model.etag
        await context.send(
            "delete",
            change.name,
            version.model_id,
            lambda: provider.delete(version.model_id, etag=etag),
        )

    await context.decide_again(delete_unless_held)


def _require_unused(model: ObservedModel) -> None:
    if users := held_by(model):
        raise RefusedError(
            reasons.held(model.model_id, users), cure="Apply in that environment first."
        )


async def _announce_deletion(
    context: ApplyContext, change: Change, model: ObservedModel
) -> ObservedModel:
    """Mark a version as leaving, so that no environment begins to use it; return it marked.

    Needed where DELETE takes no etag. The next apply ends the deletion if this one is killed.
    """
    stamp = preconditions.require_stamp(model)
    if not stamp.is_leaving:
        edit = Edit.of_stamp(model, replace(stamp, is_leaving=True))
        await context.update("update", change.name, model, edit)
    current = await context.get(model.provider, model.model_id)
    if current is None:
        return model
    _require_unused(current)
    return current


async def retire(
    context: ApplyContext, change: Change, version: LiveVersion, successor: DesiredVersion
) -> None:
    """Delete one former version; a failure is emitted and does not undo the promotion."""

    async def delete_former() -> None:
        versions = await context.observe_versions(change.name)
        preconditions.require_successor(version, successor, versions)
        if context.ownership.is_promoting:
            await release_version(context, change, version)
        else:
            await _delete(context, change, version, versions)

    action = Action.RELEASE if context.ownership.is_promoting else Action.DELETE
    await _emit_failure(context, (change.name, version.model_id, action), delete_former())


async def discard(context: ApplyContext, change: Change, loser: DesiredVersion) -> None:
    """Delete a candidate that its sweep did not choose; a failure is emitted.

    A candidate that serves, has served or is being trained again is left to the next plan.
    """

    async def delete_loser() -> None:
        provider = context.provider(loser.provider)
        model = await context.get(loser.provider, loser.model_id)
        if model is None or model.is_job_record or model.promoted or model.state.is_running:
            return
        preconditions.require_same_version(model, loser, context.ownership, change.name)
        if held_by(model):
            return
        await context.send(
            "delete", change.name, loser.model_id, lambda: provider.delete(loser.model_id)
        )

    await _emit_failure(context, (change.name, loser.model_id, Action.DELETE), delete_loser())


async def _emit_failure(
    context: ApplyContext, key: tuple[str, str, Action], work: Awaitable[None]
) -> None:
    ending = await outcome_of(key, work)
    if ending:
        context.emit(ending)
