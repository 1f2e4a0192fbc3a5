"""`tunedmodels comment`: the plan where it is reviewed, and later what became of it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunedmodels.cli.options import open_project
from tunedmodels.errors import Exit, TunedModelsError

if TYPE_CHECKING:
    from tunedmodels.events import Account
    from tunedmodels.forges.registry import Place
    from tunedmodels.plan.plan import Plan


@click.command("comment")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The plan that `plan --out` saved.",
)
@click.option(
    "--events",
    "events_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Say what became of it, from the lines that `apply --events` wrote.",
)
@click.option("--running", is_flag=True, help="With --events: no last line means it goes on.")
@click.option("--env", "environment", metavar="NAME", help="Whose comment, where no file says it.")
@click.option("--stale", metavar="REASON", help="Mark the comment as out of date, and say why.")
@click.option("--read-digest", is_flag=True, help="Print the digest it shows; write nothing.")
@click.option("--dry-run", is_flag=True, help="Print the comment; send nothing.")
@click.option("--summary", is_flag=True, help="Print all of it, for a job summary; send nothing.")
@click.option("--forge", type=click.Choice(["github", "gitlab"]), help="Else that of this CI.")
@click.option("--repo", metavar="NAME", default="", help="OWNER/NAME, or GitLab's project.")
@click.option("--pr", "number", metavar="N", type=click.IntRange(min=1), help="The pull request.")
@click.pass_obj
def command(
    folder: Path | None,
    *,
    plan_file: Path | None,
    events_file: Path | None,
    running: bool,
    environment: str | None,
    stale: str | None,
    forge: str | None,
    repo: str,
    number: int | None,
    read_digest: bool,
    dry_run: bool,
    summary: bool,
) -> int:
    """Show a plan in its pull request, and what became of it.

    Writes one comment per environment on GitHub or GitLab, and edits it from then on. Repository,
    pull request and token (GITHUB_TOKEN or GH_TOKEN; GITLAB_TOKEN) come from the variables of the
    CI. After the merge, --read-digest says what was approved, for `apply --digest`, and --events
    makes the comment say how that ended: applied, interrupted, not promoted, and what is left.

    Exit code 0 done, 1 error, 4 when there is no digest that could be trusted.
    """
    from tunedmodels.operations import comment

    if sum(map(bool, (stale, read_digest, dry_run, summary))) > 1:
        raise click.UsageError(
            "--stale, --read-digest, --dry-run and --summary exclude each other."
        )
    if events_file and (plan_file or environment is not None or stale or read_digest):
        raise click.UsageError("--events says whose comment it is and what it says.")
    if running and not events_file:
        raise click.UsageError("--running is for --events.")
    plan = _plan(plan_file, environment) if plan_file else None
    account = _account(events_file) if events_file else None
    is_shown = dry_run or summary
    place = _place(forge or "", repo, number, is_needed=not is_shown)
    if account:
        words = _told(place, account, is_shown=is_shown, is_running=running)
    elif plan and not (read_digest or stale):
        words = _planned(place, plan, is_shown=is_shown, is_whole=summary)
    elif place and (read_digest or stale):
        whose = (plan.environment, plan.project) if plan else _whose(folder, environment or "")
        words = asyncio.run(
            comment.mark_outdated(place, *whose, stale)
            if stale
            else comment.read_digest(place, *whose)
        )
    else:
        raise click.UsageError("Which plan? Name the file that `plan --out` saved with --plan.")
    click.echo(words)
    return Exit.DONE


def _plan(file: Path, environment: str | None) -> Plan:
    from tunedmodels.render.plan.json import read_plan

    plan = read_plan(file.read_text(encoding="utf-8"))
    if environment not in (None, plan.environment):
        raise click.UsageError(f"{file} is of another environment: leave out --env.")
    return plan


def _account(file: Path) -> Account:
    from tunedmodels.listeners.jsonl import read_account

    try:
        return read_account(file.read_text(encoding="utf-8", errors="replace"))
    except TunedModelsError as error:
        raise TunedModelsError(f"{file}: {error.message}", cure=error.cure) from None


def _place(forge: str, repo: str, number: int | None, *, is_needed: bool) -> Place | None:
    from tunedmodels.forges.registry import find_place

    try:
        return find_place(os.environ, name=forge, repository=repo, number=number)
    except TunedModelsError:
        if is_needed:
            raise
        return None  # at a desk, to look at it


def _told(place: Place | None, account: Account, *, is_shown: bool, is_running: bool) -> str:
    from tunedmodels.operations import comment

    if place and not is_shown:
        return asyncio.run(comment.tell(place, account, is_running=is_running))
    run = place.run if place else None
    return comment.account_text(account, run, is_running=is_running).rstrip()


def _planned(place: Place | None, plan: Plan, *, is_shown: bool, is_whole: bool) -> str:
    from tunedmodels.operations import comment

    if place and not is_shown:
        return asyncio.run(comment.write_comment(place, plan))
    text = comment.summary_text if is_whole else comment.comment_text
    return text(plan, place.run if place else None).rstrip()


def _whose(folder: Path | None, environment: str) -> tuple[str, str]:
    """Return environment and project; without its name the one of a broken project is found too."""
    try:
        return environment, open_project(folder, environment).name
    except TunedModelsError:
        return environment, ""
