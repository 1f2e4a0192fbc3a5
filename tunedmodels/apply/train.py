"""Starting a training job at most once, and waiting for it.

The id of a version is its content, so that a create which is repeated finds the job of the first.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TypeGuard

from tunedmodels.apply import preconditions, wait
from tunedmodels.apply.context import Run, about
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
from tunedmodels.plan.plan import Action, Change, Wanted
from tunedmodels.stamp import Stamp


async def train(
    run: Run, change: Change, declared: Desired, wanted: Wanted
) -> ObservedModel | Failed | StillRunning:
    """Start the job of a version unless there is one, and wait for it.

    Return the model once it is READY, else the last word on the change.
    """
    provider = run.provider(wanted.provider)
    async with run.starts:
        live = await provider.get(wanted.model_id)
        if change.action is Action.RETRY:
            model = await _retried(run, change, declared, wanted, live)
        elif live is not None and preconditions.is_begun(change, live, run.project):
            # A former run, or somebody else with the same manifests, began it.
            model = preconditions.exact(live, wanted, run.project, change.name)
        elif not change.action.trains:
            raise RefusedError(f"{wanted.model_id} is gone since the plan", cure=preconditions.CURE)
        else:
            data = preconditions.data_as_planned(run.load, declared, wanted)
            stamp = declared.stamp(commit=run.commit)
            model = await _create(run, change, declared, data, stamp)
    if model.state.is_running and not run.waits:
        return wait.still_running(change, model.model_id, provider, "not waited for")
    if model.state is not ModelState.READY:
        deadline_s = min(run.deadline_s, run.clock.elapsed() + wanted.timeout_s)
        watcher = run.watchers[wanted.provider]
        ended = await watcher.until_ended(change, wanted.model_id, deadline_s)
        if not isinstance(ended, ObservedModel):
            return ended
        model = ended
    if model.objection:
        return Failed(*about(change), model.objection, reasons.CURE_OBJECTION)
    return model


async def _retried(
    run: Run, change: Change, declared: Desired, wanted: Wanted, live: ObservedModel | None
) -> ObservedModel:
    """Train a failed version again under the same id, which must be free for that."""
    provider = run.provider(wanted.provider)
    attempt = change.before.attempt if change.before else 1
    if live is not None:
        preconditions.exact(live, wanted, run.project, change.name)
        if live.state.is_running or live.state is ModelState.READY:
            return live  # somebody retried it meanwhile
        if live.stamp and live.stamp.attempt != attempt:
            raise RefusedError(
                f"{live.model_id} was tried again since the plan, and is {live.state}",
                cure=preconditions.CURE,
            )
    # Read before anything is deleted: a dataset that changed must not cost the old model.
    data = preconditions.data_as_planned(run.load, declared, wanted)
    if live is not None and not live.is_record:
        await run.send(
            "delete", change.name, wanted.model_id, lambda: provider.delete(wanted.model_id)
        )
        await run.look(provider, wanted.model_id, lambda model: model is None)
    stamp = declared.stamp(commit=run.commit, attempt=attempt + 1)
    return await _create(run, change, declared, data, stamp)


async def _create(
    run: Run, change: Change, declared: Desired, data: preconditions.Data, stamp: Stamp
) -> ObservedModel:
    """Start a job. Where the answer is lost, the job is looked for under the id, which is ours."""
    provider, model_id = run.provider(declared.provider), declared.model_id
    try:
        return await run.send(
            "create",
            change.name,
            model_id,
            lambda: provider.create(declared, data.training, stamp, validation=data.validation),
        )
    except AlreadyExistsError as error:
        raise RefusedError(error.message, cure=error.cure or preconditions.CURE) from error
    except OutcomeUnknownError as error:
        found = None
        with suppress(ProviderError):  # the loss of the answer is the news, not that of this one
            found = await run.look(provider, model_id, _is_there)
        if not _is_there(found):
            raise OutcomeUnknownError(
                f"the answer to the create of {model_id} was lost: {error.message}",
                cure=error.cure or preconditions.LOST_CURE,
            ) from error
        run.emit(Sent(change.name, model_id, "create"))
        return found


def _is_there(model: ObservedModel | None) -> TypeGuard[ObservedModel]:
    return model is not None and not model.is_record
