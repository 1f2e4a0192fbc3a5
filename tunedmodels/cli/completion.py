"""`tunedmodels completion`: print the shell completion script."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the shell completion script.

    SHELL is bash, zsh or fish. For bash: eval "$(tunedmodels completion bash)"
    """
    completion_class = get_completion_class(shell)
    assert completion_class is not None  # noqa: S101 - click supports the three shells above
    root = ctx.find_root().command
    completion = completion_class(root, {}, "tunedmodels", "_TUNEDMODELS_COMPLETE")
    click.echo(completion.source())
