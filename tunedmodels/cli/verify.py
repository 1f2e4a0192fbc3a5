"""`tunedmodels verify`: verify from git what a live version was trained on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import format_option, open_project, overlay_options, version_option
from tunedmodels.cli.terminal import style
from tunedmodels.errors import Exit


@click.command("verify")
@click.argument("name")
@overlay_options
@version_option
@format_option("text", "json")
@click.pass_obj
def command(
    folder: Path | None,
    *,
    name: str,
    environment: str,
    sets: tuple[str, ...],
    version: str | None,
    output_format: str,
) -> int:
    """Verify from git what a live version was trained on.

    Rebuilds the version from the manifest and the dataset of the commit in its stamp, and compares
    the result with the live version. The serving version is compared with the files of the working
    tree as well. Exit code 1 if anything differs, even one byte of an example.
    """
    from tunedmodels.operations.verify import verify
    from tunedmodels.render.provenance import verification_text
    from tunedmodels.render.provenance_json import verification_json

    project = open_project(folder, environment, sets)
    verification = asyncio.run(verify(project, name, version))
    if output_format == "json":
        text = verification_json(verification)
    else:
        text = verification_text(verification, style())
    click.echo(text, nl=False)
    return Exit.DONE if verification.is_verified else Exit.ERROR
