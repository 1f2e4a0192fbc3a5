"""`tunedmodels validate`: check manifests and datasets without a network."""

from __future__ import annotations

from pathlib import Path

import click

from tunedmodels.cli.options import (
    cache_option,
    can_use_cache,
    format_option,
    open_project,
    overlay_options,
)
from tunedmodels.cli.terminal import style, write_utf8
from tunedmodels.errors import Exit, ProblemsFoundError, Severity


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
@click.pass_obj
def command(
    folder: Path | None,
    *,
    environment: str,
    sets: tuple[str, ...],
    output_format: str,
    no_cache: bool,
) -> int:
    """Check manifests and datasets offline.

    Reports every problem of every file with its line and its cure. Exit code 1 if there is an
    error; warnings and advice alone exit with 0.
    """
    from tunedmodels.project.base_models import base_model_report
    from tunedmodels.project.resolve import resolve
    from tunedmodels.render.problems import count_phrase, problems_github, problems_text

    checked = ""
    try:
        project = open_project(
            folder, environment, sets, no_cache=no_cache, needs_environment=False
        )
        resolution = resolve(project, use_cache=can_use_cache(no_cache=no_cache))
        problems = tuple(sorted({*resolution.problems, *base_model_report(project).all_problems}))
        checked = f" in {resolution.summary}"
    except ProblemsFoundError as error:
        problems = error.problems
    if output_format == "json":
        from tunedmodels.render.problems_json import problems_json

        write_utf8(problems_json(problems))
    elif output_format == "markdown":
        from tunedmodels.render.problems import problems_markdown

        write_utf8(problems_markdown(problems, environment=environment))
    elif output_format == "github":
        click.echo(problems_github(problems), nl=False)
    else:
        click.echo(problems_text(problems, style()), nl=False)
        click.echo(f"{count_phrase(problems).capitalize()}{checked}.")
    has_errors = any(problem.severity is Severity.ERROR for problem in problems)
    return Exit.ERROR if has_errors else Exit.DONE
