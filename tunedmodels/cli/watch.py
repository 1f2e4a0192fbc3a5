"""`tunedmodels watch`: follow jobs that were started before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunedmodels.cli.options import Wait, open_project
from tunedmodels.cli.terminal import is_live, style
from tunedmodels.errors import Exit

if TYPE_CHECKING:
    from tunedmodels.project import Project


@click.command("watch")
@click.argument("names", nargs=-1)
@click.option("--timeout", type=Wait(), help="Watch at most so long, for example 90m; then exit 3.")
@click.pass_obj
def command(folder: Path | None, *, names: tuple[str, ...], timeout: float | None) -> int:
    """Follow running jobs to their end.

    All of them, or those of NAMES. Promotes nothing: that is for apply. On the embedded provider
    watching also lets the jobs go on. Exit code 0 all ready, 1 one failed, 3 still running.
    """
    return asyncio.run(_watch(open_project(folder), names, timeout))


async def _watch(project: Project, names: tuple[str, ...], timeout_s: float | None) -> int:
    from tunedmodels.project.watching import running, watch
    from tunedmodels.render.view import progress

    jobs = await running(project, names)
    if not jobs:
        click.echo("No job is running.")
        return Exit.DONE
    with progress(live=is_live(), style=style()) as view:
        outcome = await watch(project, jobs, emit=view, timeout_s=timeout_s)
    return outcome.code
