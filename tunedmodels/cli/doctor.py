"""`tunedmodels doctor`: check credentials, access and this machine, and suggest how to fix them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from tunedmodels.cli.options import environment_option, format_option, open_project
from tunedmodels.cli.terminal import style, write_text, write_utf8
from tunedmodels.errors import Exit


@click.command("doctor")
@click.option("--provider", metavar="NAME", help="Check only this provider, used or not.")
@format_option("text", "json")
@environment_option
@click.pass_obj
def command(
    folder: Path | None, *, environment: str, provider: str | None, output_format: str
) -> int:
    """Check credentials, access and this machine.

    Asks each provider of the project which permissions the credential has. For each failure, shows
    the command or the role that fixes it. Changes nothing and costs nothing. Exit code 1 if a check
    fails.
    """
    from tunedmodels.operations.doctor import diagnose
    from tunedmodels.render.doctor import doctor_json, doctor_text

    reports = asyncio.run(diagnose(open_project(folder, environment), provider, os.environ))
    if output_format == "json":
        write_utf8(doctor_json(reports))
    else:
        write_text(doctor_text(reports, style()))
    return Exit.DONE if all(report.has_no_failures for report in reports) else Exit.ERROR
