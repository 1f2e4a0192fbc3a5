"""`tunedmodels plan`: what apply would do, for people, for programs and for a file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tunedmodels.cli.files import write_whole
from tunedmodels.cli.options import allowances, cache, open_project, overlays, trusts_cache
from tunedmodels.cli.terminal import style
from tunedmodels.errors import Exit


@click.command("plan")
@overlays
@cache
@allowances
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also save the plan, for `apply FILE`.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
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
    from tunedmodels.render.document import plan_json
    from tunedmodels.render.text import plan_text

    project = open_project(folder, environment, sets)
    allowed = Allowances(delete=allow_delete, empty=allow_empty)
    use_cache = trusts_cache(no_cache=no_cache)
    planned = asyncio.run(planning.plan(project, allowed, use_cache=use_cache))
    plan = planned.plan
    if out:
        write_whole(out, plan_json(plan).encode())
    if form == "json":
        click.echo(plan_json(plan), nl=False)
    else:
        click.echo(planned.read, nl=False)
        click.echo(plan_text(plan, examples=planned.examples, style=style()), nl=False)
        if out:
            click.echo(f"\nSaved {out}   digest {plan.digest[:15]}")
            click.echo(f"To run it:  tunedmodels apply {out}")
    if plan.refusals:
        return Exit.REFUSED
    if plan.blocked:
        return Exit.ERROR
    return Exit.PENDING if plan.pending and detailed_exitcode else Exit.DONE
