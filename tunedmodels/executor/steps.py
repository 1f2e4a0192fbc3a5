"""What is done for one change: one coroutine per action, from the checks to the last word.

Every step looks again before it acts, and each order of requests is such that a process which dies
between any two of them leaves a state from which the next run ends as declared.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TypeGuard

from tunedmodels.desired import Desired
from tunedmodels.errors import (
    AlreadyExistsError,
    OutcomeUnknownError,
    ProviderError,
    RefusedError,
)
from tunedmodels.events import Ending, Failed, Refused, Sent, Skipped, StillRunning, Succeeded
from tunedmodels.executor import checks, waiting
from tunedmodels.executor.run import HaltedError, Run
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan import reasons
from tunedmodels.plan.change import Action, Change, Version, Wanted
from tunedmodels.providers.provider import Edit, Provider
from tunedmodels.stamp import Stamp, word_marks


async def carry_out(run: Run, change: Change) -> Ending:
    """Do what a change says and return the last word on it.

    Raises TunedModelsError for what a person can act on, and HaltedError after an interrupt.
    """
    match change.action:
        case Action.CREATE | Action.REPLACE | Action.RETRY | Action.WAIT:
            step = _train
        case Action.PROMOTE:
            step = _promote_planned
        case Action.UPDATE:
            step = _update
        case Action.CANCEL:
            step = _cancel
        case Action.DELETE:
            step = _delete_planned
        case Action.CONFLICT:
            return Refused(*about(change), change.reason, change.cure)
        case Action.FAILED:
            return Failed(*about(change), change.reason, change.cure)
    return await step(run, change)


def about(change: Change) -> tuple[str, str, Action]:
    """Return what every event about a change begins with: name, version, action."""
    part = change.after or change.before
    return change.name, part.model_id if part else "", change.action


async def _train(run: Run, change: Change) -> Ending:
    declared, wanted = checks.still_declared(change, run.desired)
    provider = run.provider(wanted.provider)
    async with run.starts:
        live = await provider.get(wanted.model_id)
        if change.action is Action.RETRY:
            model = await _retried(run, change, declared, wanted, live)
        elif (
            live is not None and not live.is_record
        ):  # a former run, or somebody else with the same manifests, began it
            model = checks.exact(live, wanted, run.project, change.name)
        elif change.action is Action.WAIT:
            raise RefusedError(f"{wanted.model_id} is gone since the plan", cure=checks.CURE)
        else:
            data = checks.data_as_planned(run.load, declared, wanted)
            stamp = declared.stamp(commit=run.commit)
            model = await _create(run, change, declared, data, stamp)
    if model.state.is_running and not run.waits:
        return waiting.still_running(change, model.model_id, provider, "not waited for")
    if model.state is not ModelState.READY:
        deadline_s = min(run.deadline_s, run.clock.elapsed() + wanted.timeout_s)
        watcher = run.watchers[wanted.provider]
        ended = await watcher.until_ended(change, wanted.model_id, deadline_s)
        if not isinstance(ended, ObservedModel):
            return ended
        model = ended
    if model.objection:
        return Failed(*about(change), model.objection, reasons.CURE_OBJECTION)
    async with run.starts:
        return await _promote(run, change, wanted)


async def _retried(
    run: Run, change: Change, declared: Desired, wanted: Wanted, live: ObservedModel | None
) -> ObservedModel:
    """Train a failed version again under the same id, which must be free for that."""
    provider = run.provider(wanted.provider)
    attempt = change.before.attempt if change.before else 1
    if live is not None:
        checks.exact(live, wanted, run.project, change.name)
        if live.state.is_running or live.state is ModelState.READY:
            return live  # somebody retried it meanwhile
        if live.stamp and live.stamp.attempt != attempt:
            raise RefusedError(
                f"{live.model_id} was tried again since the plan, and is {live.state}",
                cure=checks.CURE,
            )
    # Read before anything is deleted: a dataset that changed must not cost the old model.
    data = checks.data_as_planned(run.load, declared, wanted)
    if live is not None and not live.is_record:
        await run.send(
            "delete", change.name, wanted.model_id, lambda: provider.delete(wanted.model_id)
        )
        await run.look(provider, wanted.model_id, lambda model: model is None)
    stamp = declared.stamp(commit=run.commit, attempt=attempt + 1)
    return await _create(run, change, declared, data, stamp)


async def _create(
    run: Run, change: Change, declared: Desired, data: checks.Data, stamp: Stamp
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
        raise RefusedError(error.message, cure=error.cure or checks.CURE) from error
    except OutcomeUnknownError as error:
        found = None
        with suppress(ProviderError):  # the loss of the answer is the news, not that of this one
            found = await run.look(provider, model_id, _is_there)
        if not _is_there(found):
            raise OutcomeUnknownError(
                f"the answer to the create of {model_id} was lost: {error.message}",
                cure=error.cure or checks.LOST_CURE,
            ) from error
        run.emit(Sent(change.name, model_id, "create"))
        return found


def _is_there(model: ObservedModel | None) -> TypeGuard[ObservedModel]:
    return model is not None and not model.is_record


async def _promote_planned(run: Run, change: Change) -> Ending:
    _, wanted = checks.still_declared(change, run.desired)
    async with run.starts:
        if change.before:
            live = await run.provider(change.before.provider).get(change.before.model_id)
            checks.unchanged(change.before, live, run.project, change.name)
        return await _promote(run, change, wanted)


async def _promote(run: Run, change: Change, wanted: Wanted) -> Ending:
    """Make the wanted version the serving one, then retire what the plan lists."""
    provider = run.provider(wanted.provider)
    versions = await run.versions(change.name)
    live = await provider.get(wanted.model_id)
    if live is None or live.state is not ModelState.READY:
        raise RefusedError(f"{wanted.model_id} is not ready any more", cure=checks.CURE)
    checks.exact(live, wanted, run.project, change.name)
    if live.stamp and not checks.serves(wanted, versions):
        if live.objection:
            raise RefusedError(live.objection, cure=reasons.CURE_OBJECTION)
        # Another machine's clock may be ahead of ours; our mark must be the newest all the same.
        marks = [v.promoted + timedelta(microseconds=1) for v in versions if v.promoted]
        edit = _edit(change, wanted, live, live.stamp.promoted_at(max([run.clock.now(), *marks])))
        await run.send(
            "promote",
            change.name,
            wanted.model_id,
            lambda: provider.update(wanted.model_id, edit),
        )
    for version in change.retires:
        await _retire(run, change, version, wanted)
    return Succeeded(*about(change))


async def _retire(run: Run, change: Change, version: Version, wanted: Wanted) -> None:
    """Delete one former version; if that is not to be, say so: the promotion stands."""
    said = (change.name, version.model_id, Action.DELETE)
    try:
        checks.replaced(version, wanted, await run.versions(change.name))
        await _delete(run, change, version)
    except RefusedError as error:
        run.emit(Refused(*said, error.message, error.cure))
    except ProviderError as error:
        run.emit(Failed(*said, error.message, error.cure))
    except HaltedError as error:
        run.emit(Skipped(*said, str(error)))


async def _delete_planned(run: Run, change: Change) -> Ending:
    version = _before(change)
    async with run.starts:
        checks.not_serving(version, await run.versions(change.name))
        await _delete(run, change, version)
    return Succeeded(*about(change))


async def _delete(run: Run, change: Change, version: Version) -> None:
    checks.not_declared_again(change, version, run.desired)
    provider = run.provider(version.provider)
    live = await provider.get(version.model_id)
    if live is None:
        return  # what was to be done is done
    checks.unchanged(version, live, run.project, change.name)
    await run.send(
        "delete", change.name, version.model_id, lambda: provider.delete(version.model_id)
    )


async def _update(run: Run, change: Change) -> Ending:
    _, wanted = checks.still_declared(change, run.desired)
    provider = run.provider(wanted.provider)
    async with run.starts:
        version = _before(change)
        live = checks.unchanged(
            version, await provider.get(version.model_id), run.project, change.name
        )
        if live.stamp is None:  # `unchanged` has seen it; this is for the type checker
            raise RefusedError(f"{live.model_id} has lost its stamp", cure=checks.CURE)
        edit = _edit(change, wanted, live, live.stamp)
        await run.send(
            "update", change.name, live.model_id, lambda: provider.update(live.model_id, edit)
        )
    return Succeeded(*about(change))


def _edit(change: Change, wanted: Wanted, live: ObservedModel, stamp: Stamp) -> Edit:
    """Return the planned mutable fields, or the words that are live where the plan has none."""
    if not change.fields or change.action.trains:
        return Edit(description=live.description, stamp=stamp)
    return Edit(
        description=wanted.description,
        stamp=replace(
            stamp, protect=wanted.protect, retain=wanted.retain, words=word_marks(wanted)
        ),
        display_name=wanted.display_name or None,
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        top_k=wanted.top_k,
        reader_project_numbers=wanted.reader_project_numbers,
    )


async def _cancel(run: Run, change: Change) -> Ending:
    """Cancel a job, then delete its model: what it would answer is unpredictable (F15)."""
    version = _before(change)
    provider = run.provider(version.provider)
    async with run.starts:
        if not await _stop_job(run, change, version, provider):
            return Succeeded(*about(change))
    settled = await run.look(
        provider,
        version.model_id,
        lambda model: run.stop.requested or model is None or not model.state.is_running,
    )
    if settled is not None and settled.state.is_running:
        return StillRunning(
            change.name,
            version.model_id,
            "asked to stop and still at work; the next apply looks again",
        )
    if settled is not None and settled.state is ModelState.READY:
        raise RefusedError(
            f"{version.model_id} was ready before the cancel reached it, and is kept",
            cure=checks.CURE,
        )
    async with run.starts:
        await run.send(
            "delete", change.name, version.model_id, lambda: provider.delete(version.model_id)
        )
    return Succeeded(*about(change))


async def _stop_job(run: Run, change: Change, version: Version, provider: Provider) -> bool:
    """Cancel a job that still runs; return whether there is a model to delete after that."""
    checks.not_declared_again(change, version, run.desired)
    live = await provider.get(version.model_id)
    if live is None:
        return False
    checks.still_running(version, live, run.project, change.name)
    if live.state.is_running:
        await run.send(
            "cancel", change.name, version.model_id, lambda: provider.cancel(version.model_id)
        )
    return True


def _before(change: Change) -> Version:
    if change.before is None:
        raise RefusedError(f"the plan does not say which version to {change.action}")
    return change.before
