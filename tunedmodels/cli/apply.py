"""`tunedmodels apply`: show the plan, ask, carry it out, and say how it ended."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunedmodels.cli.options import (
    Digest,
    Events,
    Wait,
    allowances,
    cache,
    complain,
    events,
    open_project,
    overlays,
    trusts_cache,
    watched,
    yes,
)
from tunedmodels.cli.terminal import may_ask, style
from tunedmodels.errors import Exit, ProblemsFoundError, RefusedError, TunedModelsError

if TYPE_CHECKING:
    from tunedmodels.operations.apply import Manner
    from tunedmodels.operations.approve import Moved
    from tunedmodels.operations.plan import Planned
    from tunedmodels.plan.plan import Plan
    from tunedmodels.project import Project


@click.command("apply")
@click.argument("plan_file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@overlays
@cache
@allowances
@yes
@click.option("--digest", type=Digest(), help="Run only if the plan has this digest.")
@click.option(
    "--keep-going",
    is_flag=True,
    help="Of a PLAN_FILE, run what still holds; otherwise one stale change holds back all.",
)
@events
@click.option("--no-wait", is_flag=True, help="End after the starts, with exit code 3.")
@click.option("--timeout", type=Wait(), help="Wait at most so long, for example 90m; then exit 3.")
@click.option(
    "--parallelism",
    metavar="N",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Starts at once; waiting jobs do not count.",
)
@click.pass_obj
def command(
    folder: Path | None,
    *,
    plan_file: Path | None,
    environment: str,
    sets: tuple[str, ...],
    allow_delete: int,
    allow_empty: bool,
    digest: str | None,
    events: Events,
    keep_going: bool,
    timeout: float | None,
    parallelism: int,
    no_cache: bool,
    no_wait: bool,
    yes: bool,
) -> int:
    """Make the live models be as declared.

    Shows the plan and asks; --yes, --digest or a PLAN_FILE that was approved stand for the answer,
    and without a terminal one of them is needed. A PLAN_FILE is refused where a manifest, a dataset
    or a live model is no longer as it was planned. Ctrl-C once: nothing new is begun. Twice: leave.

    A version with a gate (spec.evaluation) serves once it has passed it; one that did not pass is
    marked and never trained again, and what serves goes on serving.

    Exit code 0 done, 1 error, 3 jobs still run, 4 refused, 5 a gate did not pass (now or before),
    130 interrupted; of several what matters most: 130, 1, 4, 5, 3.
    """
    from tunedmodels.operations.apply import Manner
    from tunedmodels.plan.planner import Allowances

    use_cache = trusts_cache(no_cache=no_cache)
    moved: Moved = {}
    if plan_file:
        if digest:
            raise click.UsageError("Give a PLAN_FILE or --digest, not both: the file has its own.")
        project, planned, moved = _from_file(
            folder, plan_file, environment, sets, use_cache=use_cache, keep_going=keep_going
        )
    else:
        from tunedmodels.operations.approve import require
        from tunedmodels.operations.plan import plan

        if keep_going:
            raise click.UsageError("--keep-going is for a PLAN_FILE.")
        project = open_project(folder, environment, sets)
        allowed = Allowances(delete=allow_delete, empty=allow_empty)
        planned = asyncio.run(plan(project, allowed, use_cache=use_cache))
        if digest:
            require(planned.plan, digest)
    manner = Manner(parallelism=parallelism, waits=not no_wait, timeout_s=timeout)
    is_approved = bool(yes or digest or plan_file)
    code = show_ask_run(
        project, planned, manner, is_approved=is_approved, verb="Apply", events=events
    )
    for name, words in moved.items():
        click.echo(f"Held back, {name}: {'; '.join(words)}", err=True)
    return Exit.REFUSED if moved and code in (Exit.DONE, Exit.RUNNING, Exit.GATE) else code


def _from_file(
    folder: Path | None,
    file: Path,
    environment: str,
    sets: tuple[str, ...],
    *,
    use_cache: bool,
    keep_going: bool,
) -> tuple[Project, Planned, Moved]:
    from tunedmodels.operations.approve import approved
    from tunedmodels.render.plan.json import read_plan

    try:
        saved = read_plan(file.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        cure = f"To make one:\n    tunedmodels plan --out {file}"
        raise TunedModelsError(f"There is no plan file {file}", cure=cure) from None
    except RefusedError as refusal:
        raise RefusedError(f"{file}: {refusal.message}", cure=refusal.cure) from None
    if (environment and environment != saved.environment) or (sets and sets != saved.sets):
        raise RefusedError(
            f"{file} was planned with other --env or --set options",
            cure="Leave them out: the plan file brings its own.",
        )
    try:
        project = open_project(folder, saved.environment, saved.sets)
        planned, moved = asyncio.run(
            approved(project, saved, use_cache=use_cache, keep_going=keep_going)
        )
    except ProblemsFoundError as found:
        raise RefusedError(
            f"The plan is stale: {found.message} in what is declared now. Nothing was changed.",
            cure="To see them: tunedmodels validate",
        ) from found
    return project, planned, moved


def show_ask_run(
    project: Project,
    planned: Planned,
    manner: Manner,
    *,
    is_approved: bool,
    verb: str,
    events: Events,
) -> int:
    """Show a plan, have it confirmed unless it is approved, run it, and return the exit code."""
    from tunedmodels.operations.apply import require_open
    from tunedmodels.render.plan.text import plan_text

    plan, err = planned.plan, events.take_stdout
    click.echo(planned.read, nl=False, err=err)
    text = plan_text(plan, examples=planned.examples, style=style(err=err))
    click.echo(text, nl=False, err=err)
    if plan.refusals:
        asyncio.run(_tell_refused(planned, verb, events))
        return Exit.REFUSED
    if not plan.pending:
        return _standing(plan)
    require_open(project, datetime.now(UTC).date())
    click.echo(err=err)
    if not is_approved and not may_ask():
        raise TunedModelsError(
            "There is nobody to ask here, so nothing was done",
            cure="Approve the plan beforehand: --yes, --digest sha256:..., or a plan file."
            if verb == "Apply"
            else "Say it with --yes.",
        )
    if not is_approved and not click.confirm(f"{verb} this?", err=err):
        click.echo("Nothing was done.", err=err)
        return Exit.DONE
    code = asyncio.run(_run(project, planned, manner, verb, events))
    return _standing(plan) if code == Exit.DONE else code


def _standing(plan: Plan) -> int:
    """Return the code of a plan of which nothing is left to do but for people."""
    if plan.blocked:
        return Exit.ERROR
    return Exit.GATE if plan.rejected else Exit.DONE


async def _run(
    project: Project, planned: Planned, manner: Manner, verb: str, events: Events
) -> int:
    from tunedmodels.listeners.subscribe import about_plan, audience
    from tunedmodels.operations.apply import carry_out

    about = about_plan(verb.lower(), planned.plan)
    async with audience(about, events=events.file, complain=complain) as hearers:
        with watched(events, hearers) as emit:
            applied = await carry_out(
                project, planned.plan, planned.desired, emit=emit, manner=manner
            )
        hearers.code = applied.outcome.code
    if applied.worst:
        from tunedmodels.render.evaluation import worst_text

        err = events.take_stdout
        click.echo(worst_text(applied.worst, style(err=err)), nl=False, err=err)
    return applied.outcome.code


async def _tell_refused(planned: Planned, verb: str, events: Events) -> None:
    from tunedmodels.listeners.subscribe import about_plan, audience

    about = about_plan(verb.lower(), planned.plan)
    async with audience(about, events=events.file, complain=complain) as hearers:
        hearers.code = Exit.REFUSED
