"""Execute a plan: names concurrently, the changes of one name in order, one outcome.

No state is kept between runs: after a run that stopped at any point, the next `apply` continues
from the live state. Every step observes the live model again before it changes it, and the requests
are ordered so that a process that is killed between any two of them leaves a state from which the
next run reaches the desired one.
"""

from __future__ import annotations

import asyncio
import graphlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from tunedmodels.aio import gather
from tunedmodels.apply import move, preconditions, promote, remove, sweep, train
from tunedmodels.apply.clock import Clock
from tunedmodels.apply.context import ApplyContext, GateCheck, event_key, outcome_of
from tunedmodels.apply.preconditions import LoadExamples
from tunedmodels.apply.signals import StopSignal
from tunedmodels.apply.wait import POLL_INTERVALS, PollInterval, job_pollers, polling
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
from tunedmodels.ownership import Ownership
from tunedmodels.plan.plan import Action, Change, Plan
from tunedmodels.providers.provider import Provider

_ENDINGS: Final = (Succeeded, Failed, Refused, Rejected, Skipped, StillRunning)


async def apply(
    plan: Plan,
    *,
    ownership: Ownership,
    desired: Mapping[str, Desired],
    providers: Mapping[str, Provider],
    load_examples: LoadExamples,
    check_gate: GateCheck,
    emit: Callable[[Event], None],
    clock: Clock,
    stop: StopSignal,
    commit: str = "",
    parallelism: int = 4,
    wait: bool = True,
    timeout_s: float | None = None,
    poll_intervals: Mapping[str, PollInterval] = POLL_INTERVALS,
) -> Outcome:
    """Execute `plan` and return the final event of each of its changes.

    `desired` has by name all declared models that the plan was made for; it is empty for a destroy.
    When `emit` returns, the event is on disk; only then is a request sent. At most `parallelism`
    changes send requests at the same time. `timeout_s` limits all waiting, counted from now.
    `poll_intervals` says by provider how often jobs are polled; HOSTED_INTERVAL is the default.

    Raises RefusedError when the plan is refused or another apply holds a lock; ProviderError when a
    lock cannot be read; StoreError when an event cannot be written. Other errors become events.
    """
    if plan.refusals:
        raise RefusedError(plan.refusals[0].message, cure=plan.refusals[0].cure)
    endings: list[Ending] = []

    def record(event: Event) -> None:
        if isinstance(event, _ENDINGS):
            endings.append(event)
        emit(event)

    context = ApplyContext(
        ownership=ownership,
        provider_names=_provider_names(plan.changes, desired),
        desired=desired,
        providers=providers,
        pollers=job_pollers(providers, poll_intervals, clock=clock, emit=record),
        load_examples=load_examples,
        check_gate=check_gate,
        emit=record,
        clock=clock,
        stop=stop,
        request_slots=asyncio.Semaphore(parallelism),
        commit=commit,
        wait=wait,
        deadline_s=math.inf if timeout_s is None else clock.elapsed() + timeout_s,
    )
    async with (
        _locked(plan.changes, providers),
        polling(context.pollers.values(), stop, record),
    ):
        await gather(_run_name(context, task) for task in _name_tasks(plan.changes))
    return Outcome(tuple(endings), interrupted=stop.is_set)


async def execute_change(context: ApplyContext, change: Change) -> Ending:
    """Execute one change, from its preconditions to its final event, and return that event.

    Raises TunedModelsError for a failure, and StopRequestedError after an interrupt.
    """
    if change.sweep and change.action.is_pending:
        return await sweep.sweep(context, change)
    match change.action:
        case Action.CONFLICT:
            return Refused(*event_key(change), change.reason, change.cure)
        case Action.FAILED:
            return Failed(*event_key(change), change.reason, change.cure)
        case Action.REJECTED:
            return Rejected(*event_key(change), change.reason, change.cure)
        case action:
            return await _STEPS[action](context, change)


async def _train(context: ApplyContext, change: Change) -> Ending:
    declared, planned = preconditions.require_still_declared(change, context.desired)
    result = await train.train(context, change, declared, planned)
    if not isinstance(result, ObservedModel):
        return result
    return await promote.promote(context, change, declared, planned)


async def _update(context: ApplyContext, change: Change) -> Ending:
    _, planned = preconditions.require_still_declared(change, context.desired)
    version = preconditions.require_before(change)

    async def update() -> None:
        model = preconditions.require_unchanged(
            version,
            await context.get(planned.provider, version.model_id),
            context.ownership,
            change.name,
        )
        edit = promote.planned_edit(change, planned, model, preconditions.require_stamp(model))
        preconditions.require_not_held(model, change)
        await context.update("update", change.name, model, edit)

    async with context.request_slots:
        await context.decide_again(update)
    return Succeeded(*event_key(change))


_STEPS: Final[Mapping[Action, Callable[[ApplyContext, Change], Awaitable[Ending]]]] = {
    Action.CREATE: _train,
    Action.REPLACE: _train,
    Action.RETRY: _train,
    Action.WAIT: _train,
    Action.PROMOTE: promote.promote_ready,
    Action.UPDATE: _update,
    Action.MOVE: move.move,
    Action.RELEASE: move.release,
    Action.CANCEL: remove.cancel,
    Action.DELETE: remove.delete,
}


@dataclass(eq=False, slots=True)
class _NameTask:
    """The changes of one name, in order, with their state.

    A version that its gate rejected blocks the children of the name, but not its deletions.
    """

    changes: tuple[Change, ...]
    #: The tasks of the names that this name continues from.
    parents: tuple[_NameTask, ...] = ()
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    #: Whether every change succeeded, so that the children may start.
    has_succeeded: bool = True
    #: Whether ready versions that are no longer used may be deleted.
    can_delete: bool = True


def _name_tasks(changes: Iterable[Change]) -> list[_NameTask]:
    """Group changes by name; a name comes after those that it continues from."""
    grouped: dict[str, list[Change]] = {}
    for change in changes:
        grouped.setdefault(change.name, []).append(change)
    parents = {
        name: sorted({c.after.parent for c in group if c.after and c.after.parent in grouped})
        for name, group in grouped.items()
    }
    tasks: dict[str, _NameTask] = {}
    try:
        for name in graphlib.TopologicalSorter(parents).static_order():
            ordered = tuple(sorted(grouped[name], key=_execution_order))
            tasks[name] = _NameTask(ordered, tuple(tasks[parent] for parent in parents[name]))
    except graphlib.CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise RefusedError(
            f"the models continue from each other in a circle: {cycle}",
            cure="Give one of them a baseModel instead of a tunedModel.",
        ) from error
    return list(tasks.values())


def _execution_order(change: Change) -> tuple[int, bool]:
    # Cancellations come first, since the jobs cost money. Then versions are moved, so that the next
    # changes find them. Deletions come last, and among them the serving version, which answers
    # until then.
    is_serving = change.before is not None and change.before.serves
    order = {Action.CANCEL: 0, Action.MOVE: 1, Action.DELETE: 3, Action.RELEASE: 3}
    return order.get(change.action, 2), is_serving


def _provider_names(
    changes: Iterable[Change], desired: Mapping[str, Desired]
) -> Mapping[str, frozenset[str]]:
    """Return by name the providers that have, or will have, a version of it."""
    names: dict[str, set[str]] = {}
    for change in changes:
        versions = (change.before, change.after, desired.get(change.name), *change.retires)
        providers = {version.provider for version in versions if version}
        names.setdefault(change.name, set()).update(providers)
    return {name: frozenset(providers) for name, providers in names.items()}


@asynccontextmanager
async def _locked(
    changes: Iterable[Change], providers: Mapping[str, Provider]
) -> AsyncIterator[None]:
    """Hold the lock of every provider in which a job is started or a model is removed.

    Waiting for a job and promoting its model need no lock: both are safe to do twice.
    """
    removals = (Action.CANCEL, Action.DELETE)
    locking = [change for change in changes if change.action.trains or change.action in removals]
    names = {version.provider for change in locking if (version := change.after or change.before)}
    async with AsyncExitStack() as locks:
        for name in sorted(names & providers.keys()):
            await locks.enter_async_context(providers[name].lock())
        yield


async def _run_name(context: ApplyContext, task: _NameTask) -> None:
    for parent in task.parents:
        await parent.is_over.wait()
    for change in task.changes:
        ending = _reason_to_skip(context, task, change) or await _run_change(context, change)
        context.emit(ending)
        if change.action is not Action.CANCEL and not isinstance(ending, Succeeded):
            task.has_succeeded = False
            task.can_delete &= isinstance(ending, Rejected)
    task.is_over.set()


def _reason_to_skip(context: ApplyContext, task: _NameTask, change: Change) -> Skipped | None:
    unsuccessful = [parent.changes[0].name for parent in task.parents if not parent.has_succeeded]
    if unsuccessful:
        task.has_succeeded = task.can_delete = False
        reason = f"it continues from {', '.join(unsuccessful)}, which did not succeed"
    elif context.stop.is_set and change.action.is_pending:
        reason = "interrupted before it started"
    elif (
        not task.can_delete
        and _was_ready(change)
        and change.action in (Action.DELETE, Action.RELEASE)
    ):
        reason = "ready versions are deleted only after the other changes of their name succeeded"
    else:
        return None
    return Skipped(*event_key(change), reason)


def _was_ready(change: Change) -> bool:
    return change.before is not None and change.before.state is ModelState.READY


async def _run_change(context: ApplyContext, change: Change) -> Ending:
    """Execute one change; its start is announced before a request is sent."""
    key = event_key(change)
    if change.action.is_pending and change.sweep is None:  # candidates are announced one by one
        context.emit(Started(*key))
    return await outcome_of(key, execute_change(context, change))
