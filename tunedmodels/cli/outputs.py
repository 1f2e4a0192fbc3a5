"""`tunedmodels outputs`: print the resources that applications call."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import Duration, environment_option, format_option, open_project
from tunedmodels.errors import TunedModelsError


@click.command("outputs")
@format_option(
    "text",
    "json",
    "yaml",
    "env",
    "names",
    details="env prints TUNEDMODELS_NAME=... lines, names prints one name per line",
)
@click.option(
    "--allow-missing", is_flag=True, help="Omit declared names that have no serving version yet."
)
@click.option("--wait", is_flag=True, help="Wait until every declared name is served.")
@click.option(
    "--timeout", type=Duration(), default="2h", show_default=True, help="Maximum time for --wait."
)
@environment_option
@click.pass_obj
def command(
    folder: Path | None,
    *,
    environment: str,
    output_format: str,
    allow_missing: bool,
    wait: bool,
    timeout: float,
) -> None:
    """Print the resources that applications call, by name.

    The resource of the serving version changes with each promotion. If a declared name has no
    serving version, prints nothing and exits with code 1, so that an application never receives an
    incomplete configuration. Trains and promotes nothing, also while waiting.
    """
    from tunedmodels.observed import unserved_names
    from tunedmodels.operations.models import read_models
    from tunedmodels.render.outputs import OUTPUT_RENDERERS

    project = open_project(folder, environment)
    if wait:
        from tunedmodels.operations.watch import wait_until_served

        models = asyncio.run(wait_until_served(project, timeout_s=timeout))
    else:
        models = asyncio.run(read_models(project))
    unserved = unserved_names(models)
    if unserved and not allow_missing:
        reason = " after the time to wait" if wait else " yet"
        raise TunedModelsError(
            f"No version serves {', '.join(unserved)}{reason}",
            cure="To train what is declared: tunedmodels apply\n"
            "To print the remaining names, pass --allow-missing.",
        )
    click.echo(OUTPUT_RENDERERS[output_format](models), nl=False)
