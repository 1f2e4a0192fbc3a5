"""Start a training job at most once, and wait for it.

The id of a version is derived from its content, so a repeated create finds the existing job.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TypeGuard

from tunedmodels.apply import preconditions, wait
from tunedmodels.apply.context import ApplyContext, event_key
from tunedmodels.desired import Desired
from tunedmodels.errors import (
    AlreadyExistsError,
    OutcomeUnknownError,
    ProviderError,
    RefusedError,
)
from tunedmodels.events import Failed, Sent, StillRunning
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan import reasons
from tunedmodels.plan.plan import Action, Change, DesiredVersion
from tunedmodels.stamp import Stamp


async def train(
    context: ApplyContext, change: Change, declared: Desired, planned: DesiredVersion
) -> ObservedModel | Failed | StillRunning:
    """Start the job of a version unless it exists, and wait for it.

    Return the model when it is READY, and otherwise the final event of the change.
    """
    provider = context.provider(planned.provider)
    async with context.request_slots:
        model = await _start(context, change, declared, planned)
    if model.state.is_running and not context.wait:
        return wait.still_running(change, model.model_id, provider, "not waited for")
    if model.state is not ModelState.READY:
        deadline_s = min(context.deadline_s, context.clock.elapsed() + planned.timeout_s)
        poller = context.pollers[planned.provider]
        result = await poller.wait_until_ended(change, planned.model_id, deadline_s)
        if not isinstance(result, ObservedModel):
            return result
        model = result
    if model.blocked_reason:
        return Failed(*event_key(change), model.blocked_reason, reasons.CURE_BLOCKED)
    return model


async def _start(
    context: ApplyContext, change: Change, declared: Desired, planned: DesiredVersion
) -> ObservedModel:
    """Return the model of the planned version; its job is created if it does not exist."""
    model = await context.get(planned.provider, planned.model_id)
    if change.action is Action.RETRY:
        return await _retry(context, change, declared, planned, model)
    if model is not None and preconditions.has_job(change, model, context.ownership):
        # An earlier run, or another process with the same manifests, created it.
        return preconditions.require_same_version(model, planned, context.ownership, change.name)
    if not change.action.trains:
        raise RefusedError(
            f"{planned.model_id} was deleted since the plan", cure=preconditions.REPLAN_CURE
        )
    examples = preconditions.load_planned_examples(context.load_examples, declared, planned)
    return await _create(context, change, declared, examples, declared.stamp(commit=context.commit))


async def _retry(
    context: ApplyContext,
    change: Change,
    declared: Desired,
    planned: DesiredVersion,
    model: ObservedModel | None,
) -> ObservedModel:
    """Train a failed version again after the failed model was deleted.

    It has the same id, unless the failed model has a former identity.
    """
    provider = context.provider(planned.provider)
    before = change.before
    attempt = before.attempt if before else 1
    if model is None and before and before.model_id != planned.model_id:
        model = await context.get(before.provider, before.model_id)
    if model is not None:
        preconditions.require_same_version(model, planned, context.ownership, change.name)
        if model.state.is_running or model.state is ModelState.READY:
            return model  # another process has retried it since the plan
        if model.stamp and model.stamp.attempt != attempt:
            raise RefusedError(
                f"{model.model_id} was tried again since the plan, and is {model.state}",
                cure=preconditions.REPLAN_CURE,
            )
    # Read the examples first: if the dataset changed, the failed model must not be deleted.
    examples = preconditions.load_planned_examples(context.load_examples, declared, planned)
    if model is not None and not model.is_job_record:
        failed_id = model.model_id
        await context.send("delete", change.name, failed_id, lambda: provider.delete(failed_id))
        await context.get_until(provider, failed_id, lambda current: current is None)
    stamp = declared.stamp(commit=context.commit, attempt=attempt + 1)
    return await _create(context, change, declared, examples, stamp)


async def _create(
    context: ApplyContext,
    change: Change,
    declared: Desired,
    examples: preconditions.JobExamples,
    stamp: Stamp,
) -> ObservedModel:
    """Create a job. If the response is lost, look for the job by its id, which we chose."""
    provider, model_id = context.provider(declared.provider), declared.model_id
    try:
        return await context.send(
            "create",
            change.name,
            model_id,
            lambda: provider.create(
                declared, examples.training, stamp, validation=examples.validation
            ),
        )
    except AlreadyExistsError as error:
        raise RefusedError(error.message, cure=error.cure or preconditions.REPLAN_CURE) from error
    except OutcomeUnknownError as error:
        model = None
        with suppress(ProviderError):  # report the error of the create, not that of the search
            model = await context.get_until(provider, model_id, _exists)
        if not _exists(model):
            raise OutcomeUnknownError(
                f"the response to the create of {model_id} was lost: {error.message}",
                cure=error.cure or preconditions.LOST_RESPONSE_CURE,
            ) from error
        context.emit(Sent(change.name, model_id, "create"))
        return model


def _exists(model: ObservedModel | None) -> TypeGuard[ObservedModel]:
    return model is not None and not model.is_job_record
