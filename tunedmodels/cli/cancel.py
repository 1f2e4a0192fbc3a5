"""`tunedmodels cancel`: stop a job before it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import open_project, yes
from tunedmodels.cli.terminal import may_ask
from tunedmodels.errors import Exit, TunedModelsError


@click.command("cancel")
@click.argument("name")
@yes
@click.pass_obj
def command(folder: Path | None, *, name: str, yes: bool) -> int:
    """Stop the running job of a model.

    The half-trained version is deleted: its answers could not be trusted. The one that serves goes
    on serving. The next apply trains again, unless the manifest changes before that.
    """
    from tunedmodels.project.models import all_names, cancel, pick

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
    for model_id in asyncio.run(cancel(project, name)):
        click.echo(f"cancelled and deleted {model_id}")
    return Exit.DONE
