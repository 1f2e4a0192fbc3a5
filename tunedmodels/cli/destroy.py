"""`tunedmodels destroy`: delete all models of a project, with a plan as for any other change."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.apply import confirm_and_apply
from tunedmodels.cli.options import EventsOutput, events_option, open_project, yes_option


@click.command("destroy")
@yes_option
@events_option
@click.pass_obj
def command(folder: Path | None, *, yes: bool, events: EventsOutput) -> int:
    """Delete all models of this project.

    Cancels running jobs first. Refused if a model has `protect`. Keeps models with `onRemoval:
    retain`, and models without a stamp of this project.
    """
    from tunedmodels.operations.apply import ApplyOptions
    from tunedmodels.operations.plan import EVERYTHING, plan

    project = open_project(folder)
    result = asyncio.run(plan(project, EVERYTHING, use_cache=True, destroying=True))
    return confirm_and_apply(
        project, result, ApplyOptions(), is_approved=yes, verb="Destroy", events=events
    )
