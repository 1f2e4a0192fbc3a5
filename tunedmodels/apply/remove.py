"""Remove versions: cancel running jobs, delete versions, retire former ones.

Every step observes the live model again before it acts. The serving version is deleted only when
the plan says so, and a former version retires only after its successor is seen to serve.
"""

from __future__ import annotations

from collections.abc import Awaitable

from tunedmodels.apply import preconditions
from tunedmodels.apply.context import ApplyContext, event_key, outcome_of
from tunedmodels.errors import RefusedError
from tunedmodels.events import Ending, StillRunning, Succeeded
from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Action, Change, DesiredVersion, LiveVersion
from tunedmodels.providers.provider import Provider


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
    preconditions.require_not_declared_again(change, version, context.desired)
    model = await provider.get(version.model_id)
    if model is None:
        return False
    preconditions.require_cancellable(version, model, context.project, change.name)
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
        await _delete(context, change, version)
    return Succeeded(*event_key(change))


async def _delete(context: ApplyContext, change: Change, version: LiveVersion) -> None:
    preconditions.require_not_declared_again(change, version, context.desired)
    provider = context.provider(version.provider)
    model = await provider.get(version.model_id)
    if model is None:
        return  # it is deleted already
    preconditions.require_unchanged(version, model, context.project, change.name)
    await context.send(
        "delete", change.name, version.model_id, lambda: provider.delete(version.model_id)
    )


async def retire(
    context: ApplyContext, change: Change, version: LiveVersion, successor: DesiredVersion
) -> None:
    """Delete one former version; a failure is emitted and does not undo the promotion."""

    async def delete_former() -> None:
        versions = await context.observe_versions(change.name)
        preconditions.require_successor(version, successor, versions)
        await _delete(context, change, version)

    await _emit_failure(context, (change.name, version.model_id, Action.DELETE), delete_former())


async def discard(context: ApplyContext, change: Change, loser: DesiredVersion) -> None:
    """Delete a candidate that its sweep did not choose; a failure is emitted.

    A candidate that serves, has served or is being trained again is left to the next plan.
    """

    async def delete_loser() -> None:
        provider = context.provider(loser.provider)
        model = await provider.get(loser.model_id)
        if model is None or model.is_job_record or model.promoted or model.state.is_running:
            return
        preconditions.require_same_version(model, loser, context.project, change.name)
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
