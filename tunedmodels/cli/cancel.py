"""`tunedmodels cancel`: stop a job before it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunedmodels.cli.options import open_project, yes
from tunedmodels.cli.terminal import may_ask
from tunedmodels.errors import Exit, TunedModelsError

if TYPE_CHECKING:
    from tunedmodels.observed import ModelState


@click.command("cancel")
@click.argument("name")
@yes
@click.pass_obj
def command(folder: Path | None, *, name: str, yes: bool) -> int:
    """Stop the running job of a model.

    The half-trained version is deleted: its answers could not be trusted. The one that serves goes
    on serving. The next apply trains again, unless the manifest changes before that.
    """
    from tunedmodels.apply.clock import SystemClock
    from tunedmodels.operations.models import all_names, cancel, pick

    project = open_project(folder)
    model = pick(asyncio.run(all_names(project)), name)
    running = [version.model_id for version in model.versions if version.state.is_running]
    if not running:
        click.echo(f"No job of {name} is running.")
        return Exit.DONE
    if not yes:
        if not may_ask():
            raise TunedModelsError("There is nobody to ask here", cure="Say it with --yes.")
        if not click.confirm(f"Stop {', '.join(running)} and lose the work done so far?"):
            return Exit.DONE
    for model_id, state in asyncio.run(cancel(project, name, clock=SystemClock())).items():
        click.echo(_said(model_id, state))
    return Exit.DONE


def _said(model_id: str, state: ModelState) -> str:
    from tunedmodels.observed import ModelState

    if state is ModelState.READY:
        return f"{model_id} was ready before the cancel reached it, and is kept"
    if state.is_running:
        return f"{model_id} was asked to stop; tunedmodels status says when it has"
    return f"cancelled and deleted {model_id}"
