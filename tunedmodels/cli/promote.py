"""`tunedmodels promote`: choose by hand which ready version serves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import open_project


@click.command("promote")
@click.argument("name")
@click.argument("version", required=False)
@click.pass_obj
def command(folder: Path | None, *, name: str, version: str | None) -> None:
    """Make a ready version the one that serves.

    Without VERSION (an id, or its last 8 digits) the newest ready one that does not serve yet. One
    that its gate keeps from serving must be named: that overrules the gate.
    """
    from tunedmodels.operations.models import promote
    from tunedmodels.stamp import Decision

    project = open_project(folder)
    done = asyncio.run(promote(project, name, version))
    if done.model_id == done.former:
        click.echo(f"{done.model_id} serves already.")
        return
    instead = f", instead of {done.former}" if done.former else ""
    click.echo(f"{done.model_id} serves now{instead}.")
    if done.overruled:
        ruling = "refused it" if done.overruled.decision is Decision.REFUSED else "could not decide"
        click.echo(f"Its gate {ruling}; that is overruled now, by hand.")
    click.echo("The next apply goes back to what the manifest declares, if that is another one.")
