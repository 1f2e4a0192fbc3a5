"""`tunedmodels outputs`: what an application must call."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import Wait, open_project
from tunedmodels.errors import TunedModelsError


@click.command("outputs")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "yaml", "env", "names"]),
    default="text",
    help="env prints TUNEDMODELS_NAME=... lines, names one name per line.",
)
@click.option(
    "--allow-missing", is_flag=True, help="Leave out declared names that nothing serves yet."
)
@click.option("--wait", is_flag=True, help="Wait until every declared name is served.")
@click.option(
    "--timeout", type=Wait(), default="2h", show_default=True, help="How long --wait waits."
)
@click.pass_obj
def command(
    folder: Path | None, *, form: str, allow_missing: bool, wait: bool, timeout: float
) -> None:
    """Print what an application must call, by name.

    The resource of the serving version changes with every promotion; read it from here. When
    nothing serves a declared name, nothing is printed and the exit code is 1, so that no
    application gets a part of its configuration. Waiting trains and promotes nothing.
    """
    from tunedmodels.observed import missing
    from tunedmodels.operations.models import all_names
    from tunedmodels.render.outputs import OUTPUTS

    project = open_project(folder)
    if wait:
        from tunedmodels.operations.watch import until_served

        models = asyncio.run(until_served(project, timeout_s=timeout))
    else:
        models = asyncio.run(all_names(project))
    absent = missing(models)
    if absent and not allow_missing:
        names = ", ".join(absent)
        raise TunedModelsError(
            f"nothing serves {names}" + (", and the time to wait is over" if wait else " yet"),
            cure="To train what is declared: tunedmodels apply\n"
            "To print the others all the same: --allow-missing",
        )
    click.echo(OUTPUTS[form](models), nl=False)
