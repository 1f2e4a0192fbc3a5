"""`tunedmodels validate`: check manifests and datasets without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from tunedmodels.cli.options import (
    cache_option,
    can_use_cache,
    format_option,
    open_project,
    overlay_options,
)
from tunedmodels.cli.terminal import style, write_text, write_utf8
from tunedmodels.errors import Exit, Problem, ProblemsFoundError, Severity
from tunedmodels.text import join


@click.command("validate")
@overlay_options
@cache_option
@format_option(
    "text",
    "json",
    "github",
    "markdown",
    details="github prints workflow annotations, markdown prints the text of a comment",
)
@click.option(
    "--all",
    "all_projects",
    is_flag=True,
    help="Check every project at or below the directory; all problems are in one list.",
)
@click.pass_obj
def command(
    folder: Path | None,
    *,
    all_projects: bool,
    environment: str,
    sets: tuple[str, ...],
    output_format: str,
    no_cache: bool,
) -> int:
    """Check manifests and datasets offline.

    Reports every problem of every file with its line and its cure. Exit code 1 if there is an
    error; warnings and advice alone exit with 0.
    """
    from tunedmodels.render.problems import count_phrase, problems_github, problems_text

    folders: Sequence[Path | None] = [folder]
    if all_projects:
        from tunedmodels.cli.all_projects import project_directories

        folders = project_directories(folder)
    use_cache = can_use_cache(no_cache=no_cache)
    results = [_check(each, environment, sets, use_cache=use_cache) for each in folders]
    problems = tuple(sorted({problem for found, _ in results for problem in found}))
    checked = join([summary for _, summary in results if summary])
    checked = checked and f" in {checked}"
    if output_format == "json":
        from tunedmodels.render.problems_json import problems_json

        write_utf8(problems_json(problems))
    elif output_format == "markdown":
        from tunedmodels.project.identity import read_identity
        from tunedmodels.render.problems import problems_markdown

        project, directory = ("", "") if all_projects else read_identity(folder)
        write_utf8(
            problems_markdown(problems, environment=environment, project=project, folder=directory)
        )
    elif output_format == "github":
        click.echo(problems_github(problems), nl=False)
    else:
        write_text(problems_text(problems, style()))
        click.echo(f"{count_phrase(problems).capitalize()}{checked}.")
    has_errors = any(problem.severity is Severity.ERROR for problem in problems)
    return Exit.ERROR if has_errors else Exit.DONE


def _check(
    folder: Path | None, environment: str, sets: tuple[str, ...], *, use_cache: bool
) -> tuple[Sequence[Problem], str]:
    """Return the problems of one project, and what was checked; nothing if it was not opened."""
    from tunedmodels.project.base_models import base_model_report
    from tunedmodels.project.resolve import resolve

    try:
        project = open_project(
            folder, environment, sets, no_cache=not use_cache, needs_environment=False
        )
        resolution = resolve(project, use_cache=use_cache)
    except ProblemsFoundError as error:
        return error.problems, ""
    return (*resolution.problems, *base_model_report(project).all_problems), resolution.summary
