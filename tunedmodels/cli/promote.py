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

    Without VERSION (an id, or its last 8 digits) the newest ready one that does not serve yet.
    """
    from tunedmodels.project.models import promote

    project = open_project(folder)
    now, former = asyncio.run(promote(project, name, version))
    if now == former:
        click.echo(f"{now} serves already.")
        return
    click.echo(f"{now} serves now" + (f", instead of {former}." if former else "."))
    click.echo("The next apply goes back to what the manifest declares, if that is another one.")
