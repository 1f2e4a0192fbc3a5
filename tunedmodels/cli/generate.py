"""`tunedmodels generate`: ask a model something."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import open_project, read_stdin


@click.command("generate")
@click.argument("name")
@click.argument("text", required=False)
@click.option("--version", metavar="ID", help="A ready version; else the one that serves.")
@click.option("--stream", is_flag=True, help="Print the answer as it comes.")
@click.pass_obj
def command(
    folder: Path | None, *, name: str, text: str | None, version: str | None, stream: bool
) -> None:
    """Ask a model.

    The preamble of its dataset is put before TEXT. Without TEXT, or with -, standard input is read.
    """
    from tunedmodels.operations.models import generate

    project = open_project(folder)
    asked = read_stdin(text)

    async def ask() -> None:
        pieces = []
        async for piece in generate(project, name, asked, version):
            pieces.append(piece)
            if stream:
                click.echo(piece, nl=False)
        click.echo("" if stream else "".join(pieces))

    asyncio.run(ask())
