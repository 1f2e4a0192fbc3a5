"""Write and read the comment that shows a plan in its pull request."""

from __future__ import annotations

from contextlib import suppress

from tunedmodels.errors import TunedModelsError
from tunedmodels.events import RunLog
from tunedmodels.forges.forge import CiRun, Forge
from tunedmodels.forges.plan_comment import (
    CommentResult,
    CommentTarget,
    approved_digest,
    edit_existing,
    upsert,
)
from tunedmodels.forges.registry import DetectedForge
from tunedmodels.plan.plan import Plan
from tunedmodels.render.options import RenderOptions
from tunedmodels.render.plan.markdown import plan_markdown
from tunedmodels.render.run_comment import progress_comment, result_comment, stale_comment

LARGEST_SUMMARY = 1_000_000  # bytes; GitHub accepts 1 MiB of summary per step


def plan_comment_text(plan: Plan, run: CiRun | None) -> str:
    """Return the comment for a plan; `run` is None outside of CI."""
    run = run or CiRun()
    options = RenderOptions(head=run.head, base=run.base, full_url=run.url)
    return plan_markdown(plan, options)


def summary_text(plan: Plan, run: CiRun | None) -> str:
    """Return the whole plan as Markdown, for the summary of a CI job."""
    run = run or CiRun()
    options = RenderOptions(head=run.head, base=run.base, max_bytes=LARGEST_SUMMARY)
    return plan_markdown(plan, options)


async def write_plan(detected: DetectedForge, plan: Plan) -> str:
    """Create or edit the comment of the plan's environment, and return a sentence about it."""
    target = CommentTarget(detected.number, plan.environment, plan.project, plan.folder)
    async with detected.open() as forge:
        result, comment = await upsert(forge, target, plan_comment_text(plan, detected.run))
    return f"Comment on pull request {target.number} {result}. {comment.url}".rstrip()


def result_comment_text(run_log: RunLog, run: CiRun | None, *, is_running: bool) -> str:
    """Return the comment for the result of an apply.

    A log without its last line belongs to a run in progress if `is_running` is set, and to a killed
    run otherwise.
    """
    run = run or CiRun()
    is_unfinished = is_running and run_log.exit_code is None
    render = progress_comment if is_unfinished else result_comment
    return render(run_log, head=run.head, url=run.url)


async def write_result(detected: DetectedForge, run_log: RunLog, *, is_running: bool) -> str:
    """Replace the comment of a plan by its result, and return a sentence about it.

    A comment is edited only, never created.
    """
    text = result_comment_text(run_log, detected.run, is_running=is_running)
    async with detected.open() as forge:
        number = await _pull_request(detected, forge)
        target = CommentTarget(number, run_log.environment, run_log.project, run_log.folder)
        edited = await edit_existing(forge, target, lambda _: text)
    if edited is None:
        return f"Pull request {number} has no comment that shows a plan."
    result, comment = edited
    return f"Comment on pull request {number} {result}. {comment.url}".rstrip()


async def mark_stale(
    detected: DetectedForge, environment: str, project: str, folder: str, reason: str
) -> str:
    """Mark the comment as stale, and return a sentence about it; never create one."""
    async with detected.open() as forge:
        number = await _pull_request(detected, forge)
        target = CommentTarget(number, environment, project, folder)
        edited = await edit_existing(forge, target, lambda body: stale_comment(body, reason))
    if edited is None:
        return f"Pull request {number} has no comment that shows a plan."
    result, comment = edited
    phrase = "unchanged" if result is CommentResult.UNCHANGED else "marked as stale"
    return f"Comment on pull request {number} {phrase}. {comment.url}".rstrip()


async def read_digest(detected: DetectedForge, environment: str, project: str, folder: str) -> str:
    """Return the digest that the comment shows.

    Raises RefusedError when the comment is missing or stale.
    """
    async with detected.open() as forge:
        number = await _pull_request(detected, forge)
        target = CommentTarget(number, environment, project, folder)
        return await approved_digest(forge, target)


async def _pull_request(detected: DetectedForge, forge: Forge) -> int:
    """Return the pull request of this run, or the merged one that contained its commit."""
    with suppress(TunedModelsError):
        return detected.number
    commit = detected.run.commit
    if commit and (number := await forge.merged_pull_request(commit)):
        return number
    raise TunedModelsError(
        f"No merged pull request contains commit {commit[:7] or 'of this run'}",
        cure="Name the pull request with --pr N.",
    )
