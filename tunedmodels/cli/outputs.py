"""`tunedmodels outputs`: what an application must call."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import open_project


@click.command("outputs")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "env", "names"]),
    default="text",
    help="env prints TUNEDMODELS_NAME=... lines, names one name per line.",
)
@click.pass_obj
def command(folder: Path | None, *, form: str) -> None:
    """Print what an application must call, by name.

    The resource of the serving version changes with every promotion; read it from here.
    """
    from tunedmodels.project.models import all_names
    from tunedmodels.render import status

    models = asyncio.run(all_names(open_project(folder)))
    forms = {
        "text": status.outputs_text,
        "json": status.outputs_document,
        "env": status.outputs_env,
        "names": status.outputs_names,
    }
    click.echo(forms[form](models), nl=False)
