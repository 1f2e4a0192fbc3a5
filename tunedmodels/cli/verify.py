"""`tunedmodels verify`: prove from git what a live version was trained on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import open_project, overlays
from tunedmodels.cli.terminal import style
from tunedmodels.errors import Exit


@click.command("verify")
@click.argument("name")
@overlays
@click.option("--version", metavar="ID", help="A ready version; else the one that serves.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.pass_obj
def command(
    folder: Path | None,
    *,
    name: str,
    environment: str,
    sets: tuple[str, ...],
    version: str | None,
    form: str,
) -> int:
    """Prove from git what a live version was trained on.

    Reads the manifest and the dataset of the commit in its stamp again and compares what follows
    from them with the live version; of the one that serves, the files here must be the same too.
    Exit code 0 when all of it holds, 1 when one byte of an example differs.
    """
    from tunedmodels.operations.verify import verify
    from tunedmodels.render.lineage import verification_json, verification_text

    project = open_project(folder, environment, sets)
    found = asyncio.run(verify(project, name, version))
    if form == "json":
        text = verification_json(found.name, found.version, found.commit, found.checks)
    else:
        text = verification_text(found.version, found.checks, style())
    click.echo(text, nl=False)
    return Exit.DONE if found.holds else Exit.ERROR
