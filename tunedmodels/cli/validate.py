"""`tunedmodels validate`: everything that can be checked without asking anybody."""

from __future__ import annotations

from pathlib import Path

import click

from tunedmodels.cli.options import cache, open_project, overlays, trusts_cache
from tunedmodels.cli.terminal import style, write_utf8
from tunedmodels.errors import Exit, ProblemsFoundError, Severity


@click.command("validate")
@overlays
@cache
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "markdown"]),
    default="text",
    help="github prints annotations for a workflow, markdown the words of a comment.",
)
@click.pass_obj
def command(
    folder: Path | None, *, environment: str, sets: tuple[str, ...], form: str, no_cache: bool
) -> int:
    """Check manifests and datasets, offline.

    Says every problem of every file with its line and its cure. Exit code 1 when there is an error;
    warnings and advice alone give 0.
    """
    from tunedmodels.project.base_models import judged
    from tunedmodels.project.resolve import survey
    from tunedmodels.render.problems import (
        counted,
        problems_document,
        problems_github,
        problems_text,
    )

    checked = ""
    try:
        project = open_project(folder, environment, sets)
        surveyed = survey(project, use_cache=trusts_cache(no_cache=no_cache))
        problems = tuple(sorted({*surveyed.problems, *judged(project).all}))
        checked = f" in {surveyed.counted}"
    except ProblemsFoundError as found:
        problems = found.problems
    if form == "json":
        write_utf8(problems_document(problems))
    elif form == "markdown":
        from tunedmodels.render.problems import problems_markdown

        write_utf8(problems_markdown(problems, environment=environment))
    elif form == "github":
        click.echo(problems_github(problems), nl=False)
    else:
        click.echo(problems_text(problems, style()), nl=False)
        click.echo(f"{counted(problems).capitalize()}{checked}.")
    is_wrong = any(problem.severity is Severity.ERROR for problem in problems)
    return Exit.ERROR if is_wrong else Exit.DONE
