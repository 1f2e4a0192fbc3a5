"""Wait for jobs of earlier runs, or until every name is served; promote and retire nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from tunedmodels.apply.clock import Clock, SystemClock
from tunedmodels.apply.signals import StopSignal, stop_on_signals
from tunedmodels.apply.wait import HOSTED_INTERVAL, LOCAL_INTERVAL, PollInterval, watch_jobs
from tunedmodels.events import Outcome
from tunedmodels.observed import ModelVersions, ObservedModel, unserved_names
from tunedmodels.operations.apply import Emit, poll_intervals
from tunedmodels.operations.connect import connect
from tunedmodels.operations.models import find_model, list_models, read_models
from tunedmodels.project.project import Project


async def running_jobs(project: Project, names: Sequence[str]) -> list[ObservedModel]:
    """Return the queued and training versions of the given names, or of all names if none."""
    models = await read_models(project)
    chosen = [find_model(models, name) for name in names] or models
    return [version for model in chosen for version in model.versions if version.state.is_running]


async def watch(
    project: Project, jobs: Sequence[ObservedModel], *, emit: Emit, timeout_s: float | None
) -> Outcome:
    """Wait until every job has ended; the embedded service trains its jobs meanwhile."""
    async with connect(project, run_jobs=True) as providers:
        stop = StopSignal()
        with stop_on_signals(stop):
            return await watch_jobs(
                jobs,
                providers=providers,
                emit=emit,
                clock=SystemClock(),
                stop=stop,
                timeout_s=timeout_s,
                poll_intervals=poll_intervals(project),
            )


async def wait_until_served(project: Project, *, timeout_s: float) -> list[ModelVersions]:
    """Wait until every declared name is served or the timeout has passed; return all names."""
    local = poll_intervals(project)
    is_local = all(name in local for name in project.providers)
    async with connect(project) as providers:
        return await poll_until_served(
            lambda: list_models(project, providers),
            interval=LOCAL_INTERVAL if is_local else HOSTED_INTERVAL,
            clock=SystemClock(),
            timeout_s=timeout_s,
        )


async def poll_until_served(
    read: Callable[[], Awaitable[list[ModelVersions]]],
    *,
    interval: PollInterval,
    clock: Clock,
    timeout_s: float,
) -> list[ModelVersions]:
    """Call `read` until every declared name is served or the timeout has passed."""
    start_s = clock.elapsed()
    models = await read()
    while unserved_names(models) and (waited_s := clock.elapsed() - start_s) < timeout_s:
        await clock.sleep(min(interval.delay_s(waited_s), timeout_s - waited_s))
        models = await read()
    return models
