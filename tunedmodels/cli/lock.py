"""`tunedmodels lock`: who is at work in the places of this project, and how to take their lock."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import open_project, yes
from tunedmodels.cli.terminal import may_ask
from tunedmodels.errors import Exit, TunedModelsError


@click.group("lock")
def command() -> None:
    """Show or break the lock that an apply holds.

    Where a repeated create would be paid for twice, as at Vertex AI, one apply works at a time. Its
    lock opens by itself a minute after the apply died; nobody need break it for that.
    """


@command.command("show")
@click.pass_obj
def show(folder: Path | None) -> int:
    """Say who holds a lock, and when it opens by itself."""
    from tunedmodels.operations.connect import holders
    from tunedmodels.render.status import locks_text

    held = asyncio.run(holders(open_project(folder)))
    click.echo(locks_text(held), nl=False)
    return Exit.DONE


@command.command("break")
@yes
@click.pass_obj
def break_(folder: Path | None, *, yes: bool) -> int:
    """Take the lock from whoever holds it.

    An apply whose lock was broken starts, stops and deletes nothing more, and refuses what it had
    still to do of that. Look at the jobs before applying again: one that was just started may not
    be listed yet.
    """
    from tunedmodels.operations.connect import break_all, holders
    from tunedmodels.render.status import locks_text

    project = open_project(folder)
    held = asyncio.run(holders(project))
    click.echo(locks_text(held), nl=False)
    if not held:
        return Exit.DONE
    if not yes:
        if not may_ask():
            raise TunedModelsError("There is nobody to ask here", cure="Say it with --yes.")
        if not click.confirm("Break it?"):
            return Exit.DONE
    for name, holder in asyncio.run(break_all(project, list(held))).items():
        click.echo(f"{name}: broke the lock of {holder.owner}")
    return Exit.DONE
