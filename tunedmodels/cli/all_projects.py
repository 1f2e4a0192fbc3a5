"""`--all`: run a command for every project of a repository, each on its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from tunedmodels.cli.main import print_error
from tunedmodels.cli.terminal import style
from tunedmodels.errors import Exit, TunedModelsError
from tunedmodels.manifests.discover import display_path, find_projects

_WORST_FIRST = (Exit.ERROR, Exit.REFUSED, Exit.PENDING)


def project_directories(folder: Path | None) -> list[Path]:
    """Return the directories of all projects at or below `-C`, by default the current directory.

    Raises TunedModelsError if there is none.
    """
    start = folder or Path()
    if projects := find_projects(start):
        return projects
    raise TunedModelsError(
        f"There is no Project file in {display_path(start)} or below",
        cure="Name a directory above the projects with -C DIR.",
    )


def each_project(folder: Path | None, run: Callable[[Path], int]) -> int:
    """Run a function for every project below a heading, and return the worst exit code.

    An error in one project does not stop the others.
    """
    codes: set[int] = set()
    for number, directory in enumerate(project_directories(folder)):
        click.echo("\n" * bool(number) + style()(f"== {display_path(directory)}", "bold"))
        try:
            codes.add(run(directory))
        except TunedModelsError as error:
            codes.add(print_error(error))
    return next((code for code in _WORST_FIRST if code in codes), Exit.DONE)
