"""`tunedmodels apply`: show the plan, ask for confirmation, apply it and report the result."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunedmodels.cli.options import (
    Digest,
    Duration,
    EventsOutput,
    allowance_options,
    cache_option,
    can_use_cache,
    confirm,
    events_option,
    open_project,
    overlay_options,
    show_progress,
    warn,
    yes_option,
)
from tunedmodels.cli.terminal import style, write_text
from tunedmodels.errors import Exit, ProblemsFoundError, RefusedError

if TYPE_CHECKING:
    from tunedmodels.operations.apply import ApplyOptions
    from tunedmodels.operations.approve import StaleChanges
    from tunedmodels.operations.plan import PlanResult
    from tunedmodels.plan.plan import Plan
    from tunedmodels.plan.planner import Allowances
    from tunedmodels.project import Project

_PROMPTS = {
    "Apply": ("Apply this plan?", "Approve it with --yes, --digest sha256:... or a PLAN_FILE."),
    "Destroy": ("Destroy these models?", "Pass --yes to confirm."),
}


@click.command("apply")
@click.argument("targets", metavar="[PLAN_FILE | NAME...]", nargs=-1)
@overlay_options
@cache_option
@allowance_options
@yes_option
@click.option("--digest", type=Digest(), help="Apply only if the plan has this digest.")
@click.option(
    "--keep-going",
    is_flag=True,
    help="Apply the changes of PLAN_FILE that still hold, even if others are stale.",
)
@events_option
@click.option(
    "--no-wait", is_flag=True, help="Start the jobs and exit with code 3 without waiting."
)
@click.option(
    "--timeout",
    type=Duration(),
    help="Maximum time to wait, for example 90m; exit code 3 when exceeded.",
)
@click.option(
    "--parallelism",
    metavar="N",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Maximum number of changes in progress; waiting jobs do not count.",
)
@click.pass_obj
def command(
    folder: Path | None,
    *,
    targets: tuple[str, ...],
    environment: str,
    sets: tuple[str, ...],
    allow_delete: int,
    allow_empty: bool,
    digest: str | None,
    events: EventsOutput,
    keep_going: bool,
    timeout: float | None,
    parallelism: int,
    no_cache: bool,
    no_wait: bool,
    yes: bool,
) -> int:
    """Change the live models to match the manifests.

    With NAMEs, only these models and those that they continue from are changed.

    Shows the plan and asks for confirmation. --yes, --digest or an approved PLAN_FILE replaces the
    confirmation; without an interactive terminal one of them is required. A PLAN_FILE is refused if
    a manifest, a dataset or a live model changed since it was made. After the first Ctrl-C nothing
    new is started; the second one exits at once.

    A version with a gate (spec.evaluation) serves only after it has passed the gate. A version that
    does not pass is marked and never trained again; the serving version stays.

    Exit codes: 0 done, 1 error, 3 jobs still running, 4 refused, 5 a gate did not pass (in this or
    an earlier apply), 130 interrupted. If several apply, the first of 130, 1, 4, 5, 3.
    """
    from tunedmodels.operations.apply import ApplyOptions
    from tunedmodels.plan.planner import Allowances

    use_cache = can_use_cache(no_cache=no_cache)
    stale: StaleChanges = {}
    plan_file = _plan_file(targets)
    _require_compatible(plan_file, digest, keep_going=keep_going)
    if plan_file:
        project, result, stale = _plan_from_file(
            folder, plan_file, environment, sets, use_cache=use_cache, keep_going=keep_going
        )
    else:
        project = open_project(folder, environment, sets, targets, no_cache=no_cache)
        allowed = Allowances(delete=allow_delete, empty=allow_empty)
        result = _new_plan(project, allowed, digest, use_cache=use_cache)
    options = ApplyOptions(parallelism=parallelism, wait=not no_wait, timeout_s=timeout)
    code = confirm_and_apply(
        project,
        result,
        options,
        is_approved=bool(yes or digest or plan_file),
        verb="Apply",
        events=events,
        is_partial=bool(stale),
    )
    for name, reasons in stale.items():
        click.echo(f"Skipped {name}, which is stale: {'; '.join(reasons)}", err=True)
    return code


def _plan_file(targets: tuple[str, ...]) -> Path | None:
    """Return the argument as a plan file, or None if the arguments are names of models."""
    # The name of a model has neither a dot nor a slash.
    files = [target for target in targets if re.search(r"[./]", target) or Path(target).is_file()]
    if files and len(targets) > 1:
        raise click.UsageError(f"A PLAN_FILE is the only argument: {files[0]!r} is not a name.")
    return Path(files[0]) if files else None


def _require_compatible(plan_file: Path | None, digest: str | None, *, keep_going: bool) -> None:
    if plan_file and digest:
        raise click.UsageError(
            "PLAN_FILE and --digest are mutually exclusive: the file contains its digest."
        )
    if keep_going and not plan_file:
        raise click.UsageError("--keep-going requires a PLAN_FILE.")


def _new_plan(
    project: Project, allowed: Allowances, digest: str | None, *, use_cache: bool
) -> PlanResult:
    from tunedmodels.operations.approve import require_digest
    from tunedmodels.operations.plan import plan

    result = asyncio.run(plan(project, allowed, use_cache=use_cache))
    if digest:
        require_digest(result.plan, digest)
    return result


def _plan_from_file(
    folder: Path | None,
    file: Path,
    environment: str,
    sets: tuple[str, ...],
    *,
    use_cache: bool,
    keep_going: bool,
) -> tuple[Project, PlanResult, StaleChanges]:
    from tunedmodels.operations.approve import plan_again
    from tunedmodels.render.plan.json import read_plan_file

    saved = read_plan_file(file)
    if (environment and environment != saved.environment) or (sets and sets != saved.sets):
        raise RefusedError(
            f"{file} was planned with other --env or --set options",
            cure="Leave them out: the plan file contains its own.",
        )
    try:
        project = open_project(
            folder, saved.environment, saved.sets, saved.selection, no_cache=not use_cache
        )
        result, stale = asyncio.run(
            plan_again(project, saved, use_cache=use_cache, keep_going=keep_going)
        )
    except ProblemsFoundError as error:
        raise RefusedError(
            f"The plan is stale: {error.message} in the current manifests. Nothing was changed.",
            cure="To see the problems: tunedmodels validate",
        ) from error
    return project, result, stale


def confirm_and_apply(
    project: Project,
    result: PlanResult,
    apply_options: ApplyOptions,
    *,
    is_approved: bool,
    verb: str,
    events: EventsOutput,
    is_partial: bool = False,
) -> int:
    """Show a plan, ask for confirmation unless it is approved, apply it, and return the exit code.

    `verb` is "Apply" or "Destroy". `is_partial` says that stale changes were left out of the plan.
    """
    from tunedmodels.operations.apply import require_no_blackout
    from tunedmodels.render.options import RenderOptions
    from tunedmodels.render.plan.text import plan_text

    plan, err = result.plan, events.is_stdout
    write_text(result.summary, err=err)
    options = RenderOptions(dataset_diffs=result.examples, style=style(err=err))
    write_text(plan_text(plan, options), err=err)
    if plan.refusals:
        asyncio.run(_report_refusal(result, verb, events))
        return Exit.REFUSED
    if not plan.pending:
        return _final_code(Exit.DONE, plan, is_partial=is_partial)
    require_no_blackout(project, datetime.now(UTC).date())
    click.echo(err=err)
    question, cure = _PROMPTS[verb]
    if not confirm(question, yes=is_approved, err=err, cure=cure):
        return Exit.DONE
    return asyncio.run(_run(project, result, apply_options, verb, events, is_partial=is_partial))


def _final_code(code: int, plan: Plan, *, is_partial: bool) -> int:
    """Return the exit code of a run with this outcome, whose other changes require the user."""
    if code == Exit.DONE and plan.blocked:
        code = Exit.ERROR
    elif code == Exit.DONE and plan.rejected:
        code = Exit.GATE
    return Exit.REFUSED if is_partial and code in (Exit.DONE, Exit.RUNNING, Exit.GATE) else code


async def _run(
    project: Project,
    result: PlanResult,
    options: ApplyOptions,
    verb: str,
    events: EventsOutput,
    *,
    is_partial: bool,
) -> int:
    from tunedmodels.listeners.subscribe import open_listeners, plan_run_info
    from tunedmodels.operations.apply import apply_plan

    run = plan_run_info(verb.lower(), result.plan)
    async with open_listeners(run, events=events.file, on_warning=warn) as listeners:
        with show_progress(events, listeners) as emit:
            applied = await apply_plan(
                project,
                result.plan,
                result.desired,
                ownership=result.ownership,
                emit=emit,
                options=options,
            )
        # The events and the process end with the same code.
        code = _final_code(applied.outcome.code, result.plan, is_partial=is_partial)
        listeners.exit_code = code
    if applied.worst_answers:
        from tunedmodels.render.evaluation import worst_answers_text

        err = events.is_stdout
        write_text(worst_answers_text(applied.worst_answers, style(err=err)), err=err)
    return code


async def _report_refusal(result: PlanResult, verb: str, events: EventsOutput) -> None:
    """Tell the listeners that the plan is refused."""
    from tunedmodels.listeners.subscribe import open_listeners, plan_run_info

    run = plan_run_info(verb.lower(), result.plan)
    async with open_listeners(run, events=events.file, on_warning=warn) as listeners:
        listeners.exit_code = Exit.REFUSED
