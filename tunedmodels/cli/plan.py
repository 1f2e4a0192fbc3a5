"""`tunedmodels plan`: what apply would do, for people, for programs and for a file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.files import write_whole
from tunedmodels.cli.options import allowances, cache, open_project, overlays, trusts_cache
from tunedmodels.cli.terminal import style, write_utf8
from tunedmodels.errors import Exit, ProblemsFoundError

FORMS = ["text", "json", "markdown", "html"]
EXAMPLES = {"none": 0, "few": 3, "all": 2**31}  # of each kind


@click.command("plan")
@overlays
@cache
@allowances
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also save the plan, for `apply FILE`.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    default="text",
    help="markdown is the comment of a pull request, html one file that needs nothing else.",
)
@click.option(
    "--examples",
    type=click.Choice(list(EXAMPLES)),
    default="few",
    show_default=True,
    help="How many added, removed and changed examples to show, of datasets that git tracks.",
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there is work to do.")
@click.pass_obj
def command(
    folder: Path | None,
    *,
    environment: str,
    sets: tuple[str, ...],
    allow_delete: int,
    out: Path | None,
    form: str,
    examples: str,
    no_cache: bool,
    allow_empty: bool,
    detailed_exitcode: bool,
) -> int:
    """Say what apply would do, why, and what it costs.

    Changes nothing. Exit code 0, also when there is work to do; with --detailed-exitcode 2 then.
    4 when the plan is refused, 1 when something needs a person first.
    """
    from tunedmodels.plan.planner import Allowances
    from tunedmodels.project import planning
    from tunedmodels.render.renderers import RENDERERS, Reading

    allowed = Allowances(delete=allow_delete, empty=allow_empty)
    use_cache = trusts_cache(no_cache=no_cache)
    try:
        project = open_project(folder, environment, sets)
        planned = asyncio.run(planning.plan(project, allowed, use_cache=use_cache))
    except ProblemsFoundError as found:
        if form in FORMS[:2]:
            raise
        write_utf8(_problems(found, form, environment))
        return Exit.ERROR
    plan = planned.plan
    if out:
        write_whole(out, RENDERERS["json"](plan, Reading()).encode())
    head = project.commit() if form in FORMS[2:] else ""  # git looks at every file for it
    reading = Reading(planned.examples, EXAMPLES[examples], head, style=style())
    shown = RENDERERS[form](plan, reading)
    if form == "text":
        click.echo(planned.read + shown, nl=False)
        if out:
            click.echo(f"\nSaved {out}   digest {plan.digest[:15]}")
            click.echo(f"To run it:  tunedmodels apply {out}")
    else:
        write_utf8(shown)
    if plan.refusals:
        return Exit.REFUSED
    if plan.blocked:
        return Exit.ERROR
    return Exit.PENDING if plan.pending and detailed_exitcode else Exit.DONE


def _problems(found: ProblemsFoundError, form: str, environment: str) -> str:
    """Return what is wrong in the form of the plan that there is not."""
    if form == "html":
        from tunedmodels.render.page import problems_page

        return problems_page(found.problems, environment=environment)
    from tunedmodels.render.states import problems_markdown

    return problems_markdown(found.problems, environment=environment)
