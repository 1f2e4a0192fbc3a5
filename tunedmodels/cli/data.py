"""`tunedmodels data`: describe files of examples before a manifest names them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunedmodels.cli.terminal import style, write_utf8
from tunedmodels.errors import Exit

if TYPE_CHECKING:
    from tunedmodels.datasets.describe import DatasetDescription


@click.command("data")
@click.argument("path", metavar="PATH...", nargs=-1, required=True)
@click.option("--encoding", metavar="NAME", help="Encoding of the files, if it is not UTF-8.")
def command(path: tuple[str, ...], encoding: str | None) -> int:
    """Describe files of examples.

    Prints what the files are, how many examples they have, their fields, lengths and labels, every
    problem, and the `dataset:` block for a manifest. PATH is a file or a pattern. Exit code 1 if
    the files cannot be read as examples.
    """
    from tunedmodels.render.data import description_text

    description = describe_files(path, encoding=encoding)
    write_utf8(description_text(description, style()))
    return Exit.DONE if description.scan.is_usable else Exit.ERROR


def describe_files(paths: tuple[str, ...], *, encoding: str | None = None) -> DatasetDescription:
    """Return the description of files, whose paths are relative to the working directory."""
    from tunedmodels.datasets.describe import describe
    from tunedmodels.datasets.source import Source, is_several

    path = paths[0] if len(paths) == 1 else paths
    source = Source(path=path, encoding=encoding)
    if is_several(path):
        return describe(Path(), source, display_path=".")
    return describe(Path(paths[0]), source, display_path=paths[0])
