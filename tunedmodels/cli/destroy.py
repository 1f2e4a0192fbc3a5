"""`tunedmodels destroy`: delete all models of a project, with a plan as for any other change."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.apply import confirm_and_apply
from tunedmodels.cli.options import (
    EventsOutput,
    environment_option,
    events_option,
    open_project,
    yes_option,
)
from tunedmodels.errors import Exit


@click.command("destroy")
@yes_option
@events_option
@environment_option
@click.pass_obj
def command(folder: Path | None, *, environment: str, yes: bool, events: EventsOutput) -> int:
    """Delete all models of this project, or of one of its environments.

    An environment that promotes the versions of another one only stops using them. Cancels running
    jobs first. Refused if a model has `protect`. Keeps models with `onRemoval: retain`, and models
    without a stamp of this project.
    """
    from tunedmodels.operations.apply import ApplyOptions
    from tunedmodels.operations.plan import EVERYTHING, plan

    project = open_project(folder, environment, accepts_undeclared=True)
    result = asyncio.run(plan(project, EVERYTHING, use_cache=True, destroying=True))
    if not result.plan.changes and (others := project.other_environments()):
        click.echo(
            f"The environment {project.acting_environment} has no models. Others are not destroyed:"
            f" {', '.join(others)}. To destroy one of them, pass --env NAME."
        )
        return Exit.DONE
    return confirm_and_apply(
        project, result, ApplyOptions(), is_approved=yes, verb="Destroy", events=events
    )
