"""Waiting for what others started: jobs, or a name to be served. Nothing is promoted or retired."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from tunedmodels.apply.clock import Clock, SystemClock
from tunedmodels.apply.signals import Stop, stop_on_signals
from tunedmodels.apply.wait import HOSTED, LOCAL, Pace, watch_jobs
from tunedmodels.events import Outcome
from tunedmodels.observed import Named, ObservedModel, missing
from tunedmodels.operations.apply import Emit, paces
from tunedmodels.operations.connect import connect
from tunedmodels.operations.models import all_names, names, pick
from tunedmodels.project.project import Project


async def running(project: Project, chosen: Sequence[str]) -> list[ObservedModel]:
    """Return the versions that are queued or training: of all names, or of those given."""
    models = await all_names(project)
    picked = [pick(models, name) for name in chosen] or models
    return [version for model in picked for version in model.versions if version.state.is_running]


async def watch(
    project: Project, jobs: Sequence[ObservedModel], *, emit: Emit, timeout_s: float | None
) -> Outcome:
    """Wait until every job ended, with progress; the embedded service works on them meanwhile."""
    async with connect(project, trains=True) as providers:
        stop = Stop()
        with stop_on_signals(stop):
            return await watch_jobs(
                jobs,
                providers=providers,
                emit=emit,
                clock=SystemClock(),
                stop=stop,
                timeout_s=timeout_s,
                paces=paces(project),
            )


async def until_served(project: Project, *, timeout_s: float) -> list[Named]:
    """Wait until every declared name is served, and return all names as they are in the end."""
    near = paces(project)
    pace = LOCAL if all(name in near for name in project.providers) else HOSTED
    async with connect(project) as providers:
        return await look_until_served(
            lambda: names(project, providers), pace=pace, clock=SystemClock(), timeout_s=timeout_s
        )


async def look_until_served(
    look: Callable[[], Awaitable[list[Named]]], *, pace: Pace, clock: Clock, timeout_s: float
) -> list[Named]:
    """Look again and again until no declared name is missing, or the time is over."""
    began = clock.elapsed()
    models = await look()
    while missing(models) and (waited := clock.elapsed() - began) < timeout_s:
        await clock.sleep(min(pace.pause(waited), timeout_s - waited))
        models = await look()
    return models
