"""`tunedmodels completion`: the script that makes a shell complete our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    SHELL is bash, zsh or fish. For bash: eval "$(tunedmodels completion bash)"
    """
    complete = get_completion_class(shell)
    assert complete is not None  # noqa: S101 - click knows the three shells above
    root = ctx.find_root().command
    click.echo(complete(root, {}, "tunedmodels", "_TUNEDMODELS_COMPLETE").source())
