"""A plan in its pull request, and what became of it: the text, the forge and this run."""

from __future__ import annotations

from contextlib import suppress

from tunedmodels.errors import TunedModelsError
from tunedmodels.events import Account
from tunedmodels.forges.forge import Forge, Run
from tunedmodels.forges.plan_comment import Done, Thread, amend, put, shown_digest
from tunedmodels.forges.registry import Place
from tunedmodels.plan.plan import Plan
from tunedmodels.render.plan.markdown import plan_markdown
from tunedmodels.render.run_comment import applied_markdown, applying_markdown, outdated_markdown

LARGEST_SUMMARY = 1_000_000  # bytes; GitHub takes 1 MiB of summary per step


def comment_text(plan: Plan, run: Run | None) -> str:
    """Return what the comment says; `run` is None at a desk, where there is no run to name."""
    run = run or Run()
    return plan_markdown(plan, head=run.head, base=run.base, full_url=run.url)


def summary_text(plan: Plan, run: Run | None) -> str:
    """Return the same for the summary of a job, which has room for all of it."""
    run = run or Run()
    return plan_markdown(plan, head=run.head, base=run.base, level="full", budget=LARGEST_SUMMARY)


async def write_comment(place: Place, plan: Plan) -> str:
    """Make the comment of the plan's environment show this plan, and say what was done."""
    thread = Thread(place.number, plan.environment, plan.project)
    async with place.open() as forge:
        done, comment = await put(forge, thread, comment_text(plan, place.run))
    return f"Comment on pull request {thread.number} {done}. {comment.url}".rstrip()


def account_text(account: Account, run: Run | None, *, is_running: bool) -> str:
    """Return what the comment says of a run; without a last line it goes on, or was killed."""
    run = run or Run()
    goes_on = is_running and account.code is None
    text = applying_markdown if goes_on else applied_markdown
    return text(account, head=run.head, url=run.url)


async def tell(place: Place, account: Account, *, is_running: bool) -> str:
    """Make the comment of a plan say what became of it; where there is none, none is written."""
    text = account_text(account, place.run, is_running=is_running)
    async with place.open() as forge:
        thread = Thread(await _number(place, forge), account.environment, account.project)
        amended = await amend(forge, thread, lambda _: text)
    if amended is None:
        return f"Pull request {thread.number} has no comment that showed a plan."
    done, comment = amended
    return f"Comment on pull request {thread.number} {done}. {comment.url}".rstrip()


async def mark_outdated(place: Place, environment: str, project: str, reason: str) -> str:
    """Mark the comment as out of date, and say what was done; where there is none, nothing is."""
    async with place.open() as forge:
        thread = Thread(await _number(place, forge), environment, project)
        amended = await amend(forge, thread, lambda body: outdated_markdown(body, reason))
    if amended is None:
        return f"Pull request {thread.number} has no comment to mark."
    done, comment = amended
    words = "stays as it is" if done is Done.UNCHANGED else "marked as out of date"
    return f"Comment on pull request {thread.number} {words}. {comment.url}".rstrip()


async def read_digest(place: Place, environment: str, project: str) -> str:
    """Return the digest that the comment shows. Raises RefusedError when there is none to trust."""
    async with place.open() as forge:
        thread = Thread(await _number(place, forge), environment, project)
        return await shown_digest(forge, thread)


async def _number(place: Place, forge: Forge) -> int:
    """Return the pull request of this run, or the one that its commit was merged with."""
    with suppress(TunedModelsError):
        return place.number
    if place.run.commit and (number := await forge.merged(place.run.commit)):
        return number
    raise TunedModelsError(
        f"No pull request brought commit {place.run.commit[:7] or 'of this run'} here",
        cure="Name it: --pr N.",
    )
