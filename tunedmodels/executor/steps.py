"""What is done for one change: one coroutine per action, from the checks to the last word.

Every step looks again before it acts, and each order of requests is such that a process which dies
between any two of them leaves a state from which the next run ends as declared.
"""

from __future__ import annotations

from tunedmodels.apply import preconditions, promote, remove, sweep, train
from tunedmodels.apply.context import Run, about
from tunedmodels.events import Ending, Failed, Refused, Rejected, Succeeded
from tunedmodels.observed import ObservedModel
from tunedmodels.plan.plan import Action, Change


async def carry_out(run: Run, change: Change) -> Ending:
    """Do what a change says and return the last word on it.

    Raises TunedModelsError for what a person can act on, and HaltedError after an interrupt.
    """
    if change.sweep and change.action.is_pending:
        return await sweep.sweep(run, change)
    match change.action:
        case Action.CREATE | Action.REPLACE | Action.RETRY | Action.WAIT:
            step = _train
        case Action.PROMOTE:
            step = promote.promote_planned
        case Action.UPDATE:
            step = _update
        case Action.CANCEL:
            step = remove.cancel
        case Action.DELETE:
            step = remove.delete
        case Action.CONFLICT:
            return Refused(*about(change), change.reason, change.cure)
        case Action.FAILED:
            return Failed(*about(change), change.reason, change.cure)
        case Action.REJECTED:
            return Rejected(*about(change), change.reason, change.cure)
    return await step(run, change)


async def _train(run: Run, change: Change) -> Ending:
    declared, wanted = preconditions.still_declared(change, run.desired)
    ended = await train.train(run, change, declared, wanted)
    if not isinstance(ended, ObservedModel):
        return ended
    return await promote.promote(run, change, declared, wanted)


async def _update(run: Run, change: Change) -> Ending:
    _, wanted = preconditions.still_declared(change, run.desired)
    provider = run.provider(wanted.provider)
    async with run.starts:
        version = preconditions.before(change)
        live = preconditions.unchanged(
            version, await provider.get(version.model_id), run.project, change.name
        )
        edit = promote.edit(change, wanted, live, preconditions.stamped(live))
        await run.send(
            "update", change.name, live.model_id, lambda: provider.update(live.model_id, edit)
        )
    return Succeeded(*about(change))
