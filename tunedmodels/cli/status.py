"""`tunedmodels status`: list all models."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import environment_option, format_option, open_project
from tunedmodels.cli.terminal import style, write_text
from tunedmodels.errors import Exit


@click.command("status")
@click.option("--all", "all_projects", is_flag=True, help="List every project below the directory.")
@format_option("text", "json")
@environment_option
@click.pass_obj
def command(
    folder: Path | None, *, all_projects: bool, environment: str, output_format: str
) -> int:
    """List all models with their versions and progress."""
    if not all_projects:
        return _show(folder, environment, output_format)
    if output_format == "json":
        raise click.UsageError("--all supports --format text.")
    from tunedmodels.cli.all_projects import each_project

    return each_project(folder, lambda directory: _show(directory, environment, output_format))


def _show(folder: Path | None, environment: str, output_format: str) -> int:
    from tunedmodels.operations.models import read_models
    from tunedmodels.render.status import status_text
    from tunedmodels.render.status_json import status_json

    models = asyncio.run(read_models(open_project(folder, environment)))
    if output_format == "json":
        click.echo(status_json(models), nl=False)
    else:
        write_text(status_text(models, style()))
    return Exit.DONE
