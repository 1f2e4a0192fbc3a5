"""`tunedmodels status`: every name, its versions, and how far they are."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import open_project
from tunedmodels.cli.terminal import style


@click.command("status")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.pass_obj
def command(folder: Path | None, *, form: str) -> None:
    """List all models, their versions and their progress."""
    from tunedmodels.operations.models import all_names
    from tunedmodels.render.status import status_document, status_text

    models = asyncio.run(all_names(open_project(folder)))
    text = status_document(models) if form == "json" else status_text(models, style())
    click.echo(text, nl=False)
