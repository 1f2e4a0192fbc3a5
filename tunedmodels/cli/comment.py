"""`tunedmodels comment`: the plan where it is reviewed, in one comment that is edited."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from tunedmodels.cli.options import open_project
from tunedmodels.errors import Exit, TunedModelsError


@click.command("comment")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The plan that `plan --out` saved.",
)
@click.option("--env", "environment", metavar="NAME", help="Whose comment, where no plan says it.")
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
    environment: str | None,
    stale: str | None,
    forge: str | None,
    repo: str,
    number: int | None,
    read_digest: bool,
    dry_run: bool,
    summary: bool,
) -> int:
    """Show a plan in its pull request.

    Writes one comment per environment on GitHub or GitLab, and edits it from then on. Repository,
    pull request and token (GITHUB_TOKEN or GH_TOKEN; GITLAB_TOKEN) come from the variables of the
    CI. After the merge, --read-digest says what was approved, for `apply --digest`.

    Exit code 0 done, 1 error, 4 when there is no digest that could be trusted.
    """
    from tunedmodels.forges.registry import find_place
    from tunedmodels.project import commenting
    from tunedmodels.render.document import read_plan

    if sum(map(bool, (stale, read_digest, dry_run, summary))) > 1:
        raise click.UsageError(
            "--stale, --read-digest, --dry-run and --summary exclude each other."
        )
    plan = read_plan(plan_file.read_text(encoding="utf-8")) if plan_file else None
    if plan and environment not in (None, plan.environment):
        raise click.UsageError(f"{plan_file} is of another environment: leave out --env.")
    whose = (plan.environment, plan.project) if plan else _whose(folder, environment or "")
    try:
        place = find_place(os.environ, name=forge or "", repository=repo, number=number)
    except TunedModelsError:
        if not (dry_run or summary):
            raise
        place = None  # at a desk, to look at it
    if place and read_digest:
        words = asyncio.run(commenting.read_digest(place, *whose))
    elif place and stale:
        words = asyncio.run(commenting.mark_outdated(place, *whose, stale))
    elif plan is None:
        raise click.UsageError("Which plan? Name the file that `plan --out` saved with --plan.")
    elif place and not (dry_run or summary):
        words = asyncio.run(commenting.write_comment(place, plan))
    else:
        text = commenting.summary_text if summary else commenting.comment_text
        words = text(plan, place.run if place else None).rstrip()
    click.echo(words)
    return Exit.DONE


def _whose(folder: Path | None, environment: str) -> tuple[str, str]:
    """Return environment and project; without its name the one of a broken project is found too."""
    try:
        return environment, open_project(folder, environment).name
    except TunedModelsError:
        return environment, ""
