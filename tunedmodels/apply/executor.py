"""Carrying out a plan: names at once, the changes of one name in order, and one outcome.

Nothing is remembered between runs: whoever stops at any moment runs `apply` again, and it goes on
from what is live.
"""

from __future__ import annotations

import asyncio
import graphlib
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from tunedmodels.aio import first
from tunedmodels.apply import preconditions, promote, remove, sweep, train
from tunedmodels.apply.clock import Clock
from tunedmodels.apply.context import Judge, Run, about, ending_of
from tunedmodels.apply.preconditions import Load
from tunedmodels.apply.signals import Stop
from tunedmodels.apply.wait import HOSTED, PACES, Pace, Watcher, attended
from tunedmodels.desired import Desired
from tunedmodels.errors import RefusedError
from tunedmodels.events import (
    Ending,
    Event,
    Failed,
    Outcome,
    Refused,
    Rejected,
    Skipped,
    Started,
    StillRunning,
    Succeeded,
)
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import Action, Change, Plan
from tunedmodels.providers.provider import Provider

_LASTS: Final = (Succeeded, Failed, Refused, Rejected, Skipped, StillRunning)


async def apply(
    plan: Plan,
    *,
    desired: Mapping[str, Desired],
    providers: Mapping[str, Provider],
    load: Load,
    judge: Judge,
    emit: Callable[[Event], None],
    clock: Clock,
    stop: Stop,
    commit: str = "",
    parallelism: int = 4,
    wait: bool = True,
    timeout_s: float | None = None,
    paces: Mapping[str, Pace] = PACES,
) -> Outcome:
    """Carry out `plan` and return the last word on each of its changes.

    `desired` holds by name what the plan was made for: everything that is declared, and nothing
    where all is destroyed. `load` reads the examples of a declaration's dataset, `judge` decides
    for its gate. When `emit` returns, the event is on disk, and only then does a request leave.
    `timeout_s` counts from now and bounds all waiting. `paces` says by name how often a provider is
    asked about its jobs; HOSTED where it says nothing.

    Raises RefusedError when the plan is refused, or another apply is at work there; ProviderError
    when nobody can tell; StoreError when an event cannot be written. Other errors become events.
    """
    _require_unrefused(plan)
    endings: list[Ending] = []

    def tell(event: Event) -> None:
        if isinstance(event, _LASTS):
            endings.append(event)
        emit(event)

    run = Run(
        project=plan.project,
        places=_places(plan.changes, desired),
        desired=desired,
        providers=providers,
        watchers={
            name: Watcher(each, paces.get(name, HOSTED), clock=clock, emit=tell)
            for name, each in providers.items()
        },
        load=load,
        judge=judge,
        emit=tell,
        clock=clock,
        stop=stop,
        starts=asyncio.Semaphore(parallelism),
        commit=commit,
        waits=wait,
        deadline_s=math.inf if timeout_s is None else clock.elapsed() + timeout_s,
    )
    try:
        async with _guarded(plan.changes, providers):
            await _all(run, _names(plan.changes))
    except BaseExceptionGroup as group:
        raise first(group) from group
    return Outcome(tuple(endings), interrupted=stop.requested)


def _require_unrefused(plan: Plan) -> None:
    for refusal in plan.refusals:
        raise RefusedError(refusal.message, cure=refusal.cure)


@dataclass(eq=False, slots=True)
class _Name:
    """The changes of one name, in order, and how they went.

    `is_well` says that what continues from it may begin, `is_settled` that what it has no more use
    for may go: a version that its gate rejected holds back the one and not the other.
    """

    changes: tuple[Change, ...]
    parents: tuple[_Name, ...] = ()
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    is_well: bool = True
    is_settled: bool = True


def _names(changes: Iterable[Change]) -> list[_Name]:
    """Group changes by name; a name comes after those it continues from."""
    grouped: dict[str, list[Change]] = {}
    for change in changes:
        grouped.setdefault(change.name, []).append(change)
    parents = {
        name: sorted({c.after.parent for c in group if c.after and c.after.parent in grouped})
        for name, group in grouped.items()
    }
    names: dict[str, _Name] = {}
    try:
        for name in graphlib.TopologicalSorter(parents).static_order():
            ordered = tuple(sorted(grouped[name], key=_rank))
            names[name] = _Name(ordered, tuple(names[parent] for parent in parents[name]))
    except graphlib.CycleError as error:
        circle = " -> ".join(error.args[1])
        raise RefusedError(
            f"these models continue from each other in a circle: {circle}",
            cure="Give one of them a baseModel instead of a tunedModel.",
        ) from error
    return list(names.values())


def _rank(change: Change) -> tuple[int, bool]:
    # What costs money for nothing stops first. Deletions come last, and among them the version
    # that serves: while another one goes, it still answers.
    serves = change.before is not None and change.before.serves
    return {Action.CANCEL: 0, Action.DELETE: 2}.get(change.action, 1), serves


def _places(
    changes: Iterable[Change], desired: Mapping[str, Desired]
) -> Mapping[str, frozenset[str]]:
    """Return by name the providers that hold a version of it, or will."""
    places: dict[str, set[str]] = {}
    for change in changes:
        parts = (change.before, change.after, desired.get(change.name), *change.retires)
        places.setdefault(change.name, set()).update(part.provider for part in parts if part)
    return {name: frozenset(found) for name, found in places.items()}


@asynccontextmanager
async def _guarded(
    changes: Iterable[Change], providers: Mapping[str, Provider]
) -> AsyncIterator[None]:
    """Guard every place where something is to begin or to end: one apply at a time does that.

    To wait for a job, and to promote what it made, does no harm twice.
    """
    ends = (Action.CANCEL, Action.DELETE)
    changing = [change for change in changes if change.action.trains or change.action in ends]
    places = {part.provider for change in changing if (part := change.after or change.before)}
    async with AsyncExitStack() as guards:
        for name in sorted(places & providers.keys()):
            await guards.enter_async_context(providers[name].guard())
        yield


async def _all(run: Run, names: Sequence[_Name]) -> None:
    async with attended(run.watchers.values(), run.stop, run.emit), asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(_one_name(run, name))


async def _one_name(run: Run, name: _Name) -> None:
    for parent in name.parents:
        await parent.is_over.wait()
    for change in name.changes:
        ending = _reason_to_skip(run, name, change) or await _one_change(run, change)
        run.emit(ending)
        if change.action is not Action.CANCEL and not isinstance(ending, Succeeded):
            name.is_well = False
            name.is_settled &= isinstance(ending, Rejected)
    name.is_over.set()


def _reason_to_skip(run: Run, name: _Name, change: Change) -> Skipped | None:
    unwell = [parent.changes[0].name for parent in name.parents if not parent.is_well]
    if unwell:
        name.is_well = name.is_settled = False
        words = f"it continues from {', '.join(unwell)}, which did not end well"
    elif run.stop.requested and change.action.is_pending:
        words = "interrupted before it began"
    elif not name.is_settled and _was_ready(change) and change.action is Action.DELETE:
        words = "nothing is deleted before the other changes of this name are done"
    else:
        return None
    return Skipped(*about(change), words)


def _was_ready(change: Change) -> bool:
    return change.before is not None and change.before.state is ModelState.READY


async def _one_change(run: Run, change: Change) -> Ending:
    """Carry out one change, announced before anything is sent."""
    said = about(change)
    if change.action.is_pending and change.sweep is None:  # its candidates begin one by one
        run.emit(Started(*said))
    return await ending_of(said, carry_out(run, change))


# FOLDED
# What is done for one change: one coroutine per action, from the checks to the last word.
#
# Every step looks again before it acts, and each order of requests is such that a process which
# dies between any two of them leaves a state from which the next run ends as declared.
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
