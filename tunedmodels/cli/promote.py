"""`tunedmodels promote`: promote a version manually."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import environment_option, open_project


@click.command("promote")
@click.argument("name")
@click.argument("version", required=False)
@environment_option
@click.pass_obj
def command(folder: Path | None, *, environment: str, name: str, version: str | None) -> None:
    """Make a ready version the serving version.

    VERSION is an id or its last 8 digits; the default is the newest ready version that does not
    serve. A version that its gate rejected must be named, which overrules the gate.
    """
    from tunedmodels.operations.models import promote
    from tunedmodels.stamp import Decision

    project = open_project(folder, environment)
    result = asyncio.run(promote(project, name, version))
    if result.model_id == result.previous_id:
        click.echo(f"{result.model_id} already serves.")
        return
    instead = f" instead of {result.previous_id}" if result.previous_id else ""
    click.echo(f"{result.model_id} now serves{instead}.")
    if gate := result.overruled_gate:
        decision = "refused" if gate.decision is Decision.REFUSED else "did not decide about"
        click.echo(f"This overrules its gate, which {decision} the version.")
    click.echo("The next apply promotes the declared version again if it is another one.")
