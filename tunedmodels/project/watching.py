"""Following jobs that were started before; nothing is promoted and nothing retired."""

from __future__ import annotations

from collections.abc import Sequence

from tunedmodels.events import Outcome
from tunedmodels.executor.clock import SystemClock
from tunedmodels.executor.signals import Stop, stop_on_signals
from tunedmodels.executor.watch import watch_jobs
from tunedmodels.observed import ObservedModel
from tunedmodels.project.applying import Emit, paces
from tunedmodels.project.connecting import connect
from tunedmodels.project.models import all_names, pick
from tunedmodels.project.opened import Project


async def running(project: Project, names: Sequence[str]) -> list[ObservedModel]:
    """Return the versions that are queued or training: of all names, or of those given."""
    models = await all_names(project)
    chosen = [pick(models, name) for name in names] or models
    return [version for model in chosen for version in model.versions if version.state.is_running]


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
