"""`tunedmodels adopt`: adopt a live model that has no stamp."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import (
    cache_option,
    can_use_cache,
    confirm,
    open_project,
    overlay_options,
    yes_option,
)
from tunedmodels.errors import Exit


@click.command("adopt")
@click.argument("name")
@click.argument("model_id", metavar="[ID]", required=False)
@overlay_options
@cache_option
@yes_option
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
    """Adopt a live model that has no stamp.

    NAME is a declared model. ID is the live model; the default is the id of the declared version.
    Its base model and hyperparameters must be the declared ones. Its training data cannot be
    verified: the model is shown as unverified until another version is trained. Writes the stamp
    only; promotes nothing.
    """
    from tunedmodels.operations.adopt import adopt, find_candidate

    project = open_project(folder, environment, sets, no_cache=no_cache)
    use_cache = can_use_cache(no_cache=no_cache)
    adoption = asyncio.run(find_candidate(project, name, model_id, use_cache=use_cache))
    desired, existing = adoption.desired, adoption.observed
    click.echo(f"{existing.resource} will become a version of {name}, of project {project.name}.")
    click.echo("Verified:    base model and hyperparameters, as reported by the service")
    dataset = desired.inputs.dataset
    preamble = ", and the preamble" * bool(desired.inputs.preamble)
    click.echo(f"Unverified:  {dataset.declared_path} ({dataset.examples} examples){preamble}")
    if not confirm("Adopt this model?", yes=yes):
        return Exit.DONE
    asyncio.run(adopt(project, adoption))
    click.echo(f"Adopted {existing.model_id}. To make it serve: tunedmodels apply")
    return Exit.DONE
