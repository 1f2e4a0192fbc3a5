"""`tunedmodels generate`: send a prompt to a model."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.options import environment_option, open_project, read_prompt, version_option


@click.command("generate")
@click.argument("name")
@click.argument("text", required=False)
@version_option
@click.option("--stream", is_flag=True, help="Print the answer while it arrives.")
@environment_option
@click.pass_obj
def command(
    folder: Path | None,
    *,
    environment: str,
    name: str,
    text: str | None,
    version: str | None,
    stream: bool,
) -> None:
    """Send a prompt to a model.

    The prompt is TEXT with the preamble of the dataset. Without TEXT, or with -, it is read from
    standard input.
    """
    from tunedmodels.operations.models import generate

    project = open_project(folder, environment)
    prompt = read_prompt(text)

    async def print_answer() -> None:
        pieces = []
        async for piece in generate(project, name, prompt, version):
            pieces.append(piece)
            if stream:
                click.echo(piece, nl=False)
        click.echo("" if stream else "".join(pieces))

    asyncio.run(print_answer())
