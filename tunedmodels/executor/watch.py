"""Watching jobs that an earlier run started: nothing is sent but questions."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence

from tunedmodels.apply.clock import Clock
from tunedmodels.apply.signals import Stop
from tunedmodels.apply.wait import HOSTED, PACES, Pace, Watcher, attended
from tunedmodels.errors import TunedModelsError
from tunedmodels.events import Ending, Event, Failed, Outcome, Succeeded
from tunedmodels.observed import ObservedModel
from tunedmodels.plan.plan import Action, Change
from tunedmodels.providers.provider import Provider


async def watch_jobs(
    jobs: Sequence[ObservedModel],
    *,
    providers: Mapping[str, Provider],
    emit: Callable[[Event], None],
    clock: Clock,
    stop: Stop,
    timeout_s: float | None = None,
    paces: Mapping[str, Pace] = PACES,
) -> Outcome:
    """Wait until every job ended, and return the last word on each.

    `timeout_s` counts from now. An interrupt, as the end of the time, leaves the jobs running.
    """
    deadline_s = math.inf if timeout_s is None else clock.elapsed() + timeout_s
    endings: list[Ending] = []
    watchers = {
        name: Watcher(providers[name], paces.get(name, HOSTED), clock=clock, emit=emit)
        for name in {job.provider for job in jobs}
    }

    async def follow(job: ObservedModel) -> None:
        name = job.stamp.name if job.stamp else job.model_id
        change = Change(name=name, action=Action.WAIT, reason="its job is running")
        ending: Ending
        try:
            ended = await watchers[job.provider].until_ended(change, job.model_id, deadline_s)
        except TunedModelsError as error:
            ending = Failed(name, job.model_id, Action.WAIT, error.message, error.cure)
        else:
            if isinstance(ended, ObservedModel):
                ending = Succeeded(name, job.model_id, Action.WAIT)
            else:
                ending = ended
        endings.append(ending)
        emit(ending)

    async with attended(watchers.values(), stop, emit), asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(follow(job))
    return Outcome(tuple(endings), interrupted=stop.requested)
