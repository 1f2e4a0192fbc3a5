"""The one comment of an environment: found again by its marker, edited, and never a second one.

Where two runs at once made two, the newest stays and the older ones are deleted: an outdated plan
with a digest that can still be copied is worse than a missing comment.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from tunedmodels.errors import OutcomeUnknownError, RefusedError
from tunedmodels.forges.forge import Comment, Forge
from tunedmodels.plan.marker import Marker, read_marker


class Done(StrEnum):
    """What became of the comment."""

    CREATED = "created"
    EDITED = "edited"
    UNCHANGED = "unchanged"


async def put(forge: Forge, number: int, environment: str, body: str) -> tuple[Done, Comment]:
    """Make the comment of this environment say `body`; when it does already, send nothing.

    A comment whose answer was lost is looked for before the error is believed. Raises
    OutcomeUnknownError when it is not there either.
    """
    if comment := await _only(forge, number, environment):
        return await _edited(forge, number, comment, body)
    try:
        return Done.CREATED, await forge.create(number, body)
    except OutcomeUnknownError:
        if comment := await _only(forge, number, environment):
            await _edited(forge, number, comment, body)
            return Done.CREATED, comment
        raise


async def amend(
    forge: Forge, number: int, environment: str, change: Callable[[str], str]
) -> tuple[Done, Comment] | None:
    """Replace the text of the comment by what `change` makes of it; None when there is none."""
    comment = await _only(forge, number, environment)
    if comment is None:
        return None
    return await _edited(forge, number, comment, change(comment.body))


async def shown_digest(forge: Forge, number: int, environment: str) -> str:
    """Return the digest of the plan that the comment shows: what people who merge have approved.

    Raises RefusedError when there is no comment, or when it says itself that it is out of date.
    """
    ours = await _ours(forge, number, environment)
    marker = read_marker(ours[-1].body) if ours else None
    which = f" for environment {environment}" if environment else ""
    if not marker or not marker.digest:
        raise RefusedError(
            f"Pull request {number} has no comment with a plan{which}: nothing was approved",
            cure="Apply the digest of a plan that was read: tunedmodels apply --digest sha256:...",
        )
    if marker.stale:
        raise RefusedError(
            f"The plan{which} in pull request {number} is marked as out of date",
            cure="Make a new plan, in a pull request of its own.",
        )
    return marker.digest


async def _only(forge: Forge, number: int, environment: str) -> Comment | None:
    ours = await _ours(forge, number, environment)
    for older in ours[:-1]:
        await forge.delete(number, older)
    return ours[-1] if ours else None


async def _ours(forge: Forge, number: int, environment: str) -> list[Comment]:
    comments = await forge.comments(number)
    return [each for each in comments if _is_of(environment, read_marker(each.body))]


def _is_of(environment: str, marker: Marker | None) -> bool:
    return marker is not None and marker.env == environment


async def _edited(forge: Forge, number: int, comment: Comment, body: str) -> tuple[Done, Comment]:
    if comment.body.rstrip() == body.rstrip():  # forges trim the end of a text
        return Done.UNCHANGED, comment
    await forge.edit(number, comment, body)
    return Done.EDITED, comment
