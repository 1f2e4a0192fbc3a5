"""`tunedmodels adopt`: take over a live model that bears no stamp."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import cache, open_project, overlays, trusts_cache, yes
from tunedmodels.cli.terminal import may_ask
from tunedmodels.errors import Exit, TunedModelsError


@click.command("adopt")
@click.argument("name")
@click.argument("model_id", metavar="[ID]", required=False)
@overlays
@cache
@yes
@click.pass_obj
def command(
    folder: Path | None,
    *,
    name: str,
    model_id: str | None,
    environment: str,
    sets: tuple[str, ...],
    no_cache: bool,
    yes: bool,
) -> int:
    """Take over a live model without a stamp.

    NAME is a declared model; the live one bears the id that it would get, or ID. Its base model and
    hyperparameters must be the declared ones. What it was trained on cannot be proved: it is shown
    as unverified until another version is trained. Nothing else is changed, and nothing promoted.
    """
    from tunedmodels.operations.adopt import adopt, candidate

    project = open_project(folder, environment, sets)
    use_cache = trusts_cache(no_cache=no_cache)
    found = asyncio.run(candidate(project, name, model_id, use_cache=use_cache))
    want, live = found.want, found.live
    click.echo(f"{live.resource} would become a version of {name}, of project {project.name}.")
    click.echo("As declared:  the base model and the hyperparameters that the service tells")
    click.echo(
        f"Unverified:   that it was trained on {want.dataset.written}"
        f" ({want.dataset.examples} examples)" + (" and with the preamble" * bool(want.preamble))
    )
    if not yes:
        if not may_ask():
            raise TunedModelsError("There is nobody to ask here", cure="Say it with --yes.")
        if not click.confirm("Adopt it?"):
            click.echo("Nothing was done.")
            return Exit.DONE
    asyncio.run(adopt(project, found))
    click.echo(f"adopted {live.model_id}. To make it serve: tunedmodels apply")
    return Exit.DONE
