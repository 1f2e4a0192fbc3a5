"""`tunedmodels watch`: follow jobs that were started before."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunedmodels.cli.options import Events, Wait, complain, events, open_project, watched
from tunedmodels.errors import Exit

if TYPE_CHECKING:
    from tunedmodels.project import Project


@click.command("watch")
@click.argument("names", nargs=-1)
@click.option("--timeout", type=Wait(), help="Watch at most so long, for example 90m; then exit 3.")
@events
@click.pass_obj
def command(
    folder: Path | None, *, names: tuple[str, ...], timeout: float | None, events: Events
) -> int:
    """Follow running jobs to their end.

    All of them, or those of NAMES. Promotes nothing: that is for apply. On the embedded provider
    watching also lets the jobs go on. Exit code 0 all ready, 1 one failed, 3 still running.
    """
    return asyncio.run(_watch(open_project(folder), names, timeout, events))


async def _watch(
    project: Project, names: tuple[str, ...], timeout_s: float | None, events: Events
) -> int:
    from tunedmodels.listeners.listener import About
    from tunedmodels.listeners.subscribe import audience, link
    from tunedmodels.operations.watch import running, watch

    jobs = await running(project, names)
    if not jobs:
        click.echo("No job is running.", err=events.take_stdout)
        return Exit.DONE
    about = About("watch", project.name, project.environment, link=link(os.environ))
    async with audience(about, events=events.file, complain=complain) as hearers:
        with watched(events, hearers) as emit:
            outcome = await watch(project, jobs, emit=emit, timeout_s=timeout_s)
        hearers.code = outcome.code
    return outcome.code
