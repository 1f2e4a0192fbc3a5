"""`tunedmodels lock`: show and break the locks of running applies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import confirm, environment_option, open_project, yes_option
from tunedmodels.errors import Exit


@click.group("lock")
def command() -> None:
    """Show or break the locks of running applies.

    Where a repeated create request would be billed twice, as on Vertex AI, only one apply may run
    at a time. Its lock expires by itself one minute after the apply died.
    """


@command.command("show")
@environment_option
@click.pass_obj
def show(folder: Path | None, *, environment: str) -> int:
    """Show who holds each lock, and when it expires."""
    from tunedmodels.operations.connect import lock_holders
    from tunedmodels.render.status import locks_text

    holders = asyncio.run(lock_holders(open_project(folder, environment)))
    click.echo(locks_text(holders), nl=False)
    return Exit.DONE


@command.command("break")
@yes_option
@environment_option
@click.pass_obj
def break_(folder: Path | None, *, environment: str, yes: bool) -> int:
    """Break the locks that are held.

    An apply whose lock was broken creates, cancels and deletes nothing more, and refuses its
    remaining changes of that kind. Check the jobs before the next apply: one that was just created
    may not be listed yet.
    """
    from tunedmodels.operations.connect import break_locks, lock_holders
    from tunedmodels.render.status import locks_text

    project = open_project(folder, environment)
    holders = asyncio.run(lock_holders(project))
    click.echo(locks_text(holders), nl=False)
    if not holders or not confirm("Break the locks?", yes=yes):
        return Exit.DONE
    for name, holder in asyncio.run(break_locks(project, list(holders))).items():
        click.echo(f"{name}: broke the lock of {holder.owner}")
    return Exit.DONE
