"""`tunedmodels doctor`: which credential is in use, what it may do, and what mends the rest."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from tunedmodels.cli.options import open_project
from tunedmodels.cli.terminal import style, write_utf8
from tunedmodels.errors import Exit


@click.command("doctor")
@click.option("--provider", metavar="NAME", help="Look at this provider alone, used or not.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.pass_obj
def command(folder: Path | None, *, provider: str | None, form: str) -> int:
    """Check credentials, access and this machine.

    Asks each provider of the project what the credential may do, and says for everything that
    fails the command or the role that mends it. Nothing is changed and nothing is paid for. Exit
    code 1 when something fails.
    """
    from tunedmodels.operations.doctor import check_up
    from tunedmodels.render.doctor import doctor_document, doctor_text

    found = asyncio.run(check_up(open_project(folder), provider, os.environ))
    if form == "json":
        write_utf8(doctor_document(found))
    else:
        click.echo(doctor_text(found, style()), nl=False)
    return Exit.DONE if all(each.is_well for each in found) else Exit.ERROR
