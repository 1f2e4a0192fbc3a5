"""`tunedmodels destroy`: the end of a project's models, by the same way as any other plan."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.apply import show_ask_run
from tunedmodels.cli.options import Events, events, open_project, yes


@click.command("destroy")
@yes
@events
@click.pass_obj
def command(folder: Path | None, *, yes: bool, events: Events) -> int:
    """Delete every model of this project.

    Cancels what is running first. Models with `protect` refuse it; those with `onRemoval: retain`
    stay, as does everything that carries no stamp of this project.
    """
    from tunedmodels.operations.apply import Manner
    from tunedmodels.operations.plan import EVERYTHING, plan

    project = open_project(folder)
    planned = asyncio.run(plan(project, EVERYTHING, use_cache=True, destroying=True))
    return show_ask_run(project, planned, Manner(), is_approved=yes, verb="Destroy", events=events)
