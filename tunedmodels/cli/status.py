"""`tunedmodels status`: list all models."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import environment_option, format_option, open_project
from tunedmodels.cli.terminal import style


@click.command("status")
@format_option("text", "json")
@environment_option
@click.pass_obj
def command(folder: Path | None, *, environment: str, output_format: str) -> None:
    """List all models with their versions and progress."""
    from tunedmodels.operations.models import read_models
    from tunedmodels.render.status import status_text
    from tunedmodels.render.status_json import status_json

    models = asyncio.run(read_models(open_project(folder, environment)))
    text = status_json(models) if output_format == "json" else status_text(models, style())
    click.echo(text, nl=False)
