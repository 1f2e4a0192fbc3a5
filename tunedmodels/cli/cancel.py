"""`tunedmodels cancel`: stop the running jobs of a model."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunedmodels.cli.options import confirm, environment_option, open_project, yes_option
from tunedmodels.errors import Exit

if TYPE_CHECKING:
    from tunedmodels.observed import ModelState


@click.command("cancel")
@click.argument("name")
@yes_option
@environment_option
@click.pass_obj
def command(folder: Path | None, *, environment: str, name: str, yes: bool) -> int:
    """Stop the running jobs of a model.

    Deletes the half-trained version, whose answers cannot be trusted. The serving version is not
    changed. The next apply trains again, unless the manifest changes before.
    """
    from tunedmodels.apply.clock import SystemClock
    from tunedmodels.operations.models import cancel, find_model, read_models

    project = open_project(folder, environment)
    model = find_model(asyncio.run(read_models(project)), name)
    running = [version.model_id for version in model.versions if version.state.is_running]
    if not running:
        click.echo(f"{name} has no running job.")
        return Exit.DONE
    if not confirm(f"Cancel {', '.join(running)} and discard the training so far?", yes=yes):
        return Exit.DONE
    for model_id, state in asyncio.run(cancel(project, name, clock=SystemClock())).items():
        click.echo(_describe(model_id, state))
    return Exit.DONE


def _describe(model_id: str, state: ModelState) -> str:
    from tunedmodels.observed import ModelState

    if state is ModelState.READY:
        return f"Kept {model_id}: it was ready before the cancel request took effect"
    if state.is_running:
        return f"Requested the end of {model_id}; to see its state: tunedmodels status"
    return f"Cancelled and deleted {model_id}"
