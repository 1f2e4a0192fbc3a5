"""`tunedmodels watch`: follow jobs that an earlier apply started."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunedmodels.cli.options import (
    Duration,
    EventsOutput,
    environment_option,
    events_option,
    open_project,
    show_progress,
    warn,
)
from tunedmodels.errors import Exit

if TYPE_CHECKING:
    from tunedmodels.project import Project


@click.command("watch")
@click.argument("names", nargs=-1)
@click.option(
    "--timeout",
    type=Duration(),
    help="Maximum time to watch, for example 90m; exit code 3 when exceeded.",
)
@events_option
@environment_option
@click.pass_obj
def command(
    folder: Path | None,
    *,
    environment: str,
    names: tuple[str, ...],
    timeout: float | None,
    events: EventsOutput,
) -> int:
    """Follow running jobs until they end.

    NAMES are the models; the default is all. Promotes nothing: apply does. The embedded provider
    trains its jobs while this command runs. Exit codes: 0 all ready, 1 a job failed, 3 jobs still
    running.
    """
    return asyncio.run(_watch(open_project(folder, environment), names, timeout, events))


async def _watch(
    project: Project, names: tuple[str, ...], timeout_s: float | None, events: EventsOutput
) -> int:
    from tunedmodels.listeners.listener import RunInfo
    from tunedmodels.listeners.subscribe import ci_run_url, open_listeners
    from tunedmodels.operations.watch import running_jobs, watch

    jobs = await running_jobs(project, names)
    if not jobs:
        click.echo("There are no running jobs.", err=events.is_stdout)
        return Exit.DONE
    run = RunInfo("watch", project.name, project.environment, run_url=ci_run_url(os.environ))
    async with open_listeners(run, events=events.file, on_warning=warn) as listeners:
        with show_progress(events, listeners) as emit:
            outcome = await watch(project, jobs, emit=emit, timeout_s=timeout_s)
        listeners.exit_code = outcome.code
    return outcome.code
