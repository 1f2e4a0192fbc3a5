"""The comment that shows the plan of one environment in a pull request.

A marker in its first line identifies the comment, so that it is edited and never written twice. If
two concurrent runs created two comments, the newest is kept and the older ones are deleted: an
outdated plan whose digest can still be copied is worse than a missing comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from tunedmodels.errors import OutcomeUnknownError, RefusedError
from tunedmodels.forges.client import has_same_text
from tunedmodels.forges.forge import RETRY_CURE, Comment, Forge

# Levels of markers that are not a level of detail of a plan:
STALE_LEVEL: Final = "stale"  # the plan of the comment is stale
APPLYING_LEVEL: Final = "applying"  # the comment shows the progress of a run
APPLIED_LEVEL: Final = "applied"  # the comment shows the result of a run

_LINE = re.compile(r"<!-- tunedmodels:plan (\{.*\}) -->")


class CommentResult(StrEnum):
    """The effect of an operation on the comment."""

    CREATED = "created"
    EDITED = "edited"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class CommentTarget:
    """The place of one comment."""

    #: The number of the pull request.
    number: int
    environment: str = ""
    #: A repository may contain several projects; an empty name matches any of them.
    project: str = ""
    #: The directory of the project in its repository, `.` for the top; empty matches any.
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Marker:
    """The first line of a comment, which is invisible: which plan of which environment it shows.

    The comment is found by it, and its digest identifies the plan that reviewers approved.
    """

    environment: str
    digest: str = ""
    #: The commit that was planned.
    head: str = ""
    #: How much of the plan the comment shows, or one of the levels above.
    level: str = "full"
    #: Empty in a comment that matches any project.
    project: str = ""
    #: The directory of the project; empty in a comment that matches any directory.
    folder: str = ""

    @classmethod
    def parse(cls, body: str) -> Self | None:
        """Return the marker of a comment, or None if it does not begin with a valid one."""
        match = _LINE.fullmatch(body.partition("\n")[0].rstrip())
        if not match:
            return None
        try:
            content = json.loads(match[1])
        except (ValueError, RecursionError):
            return None
        keys = ("env", "digest", "head", "level", "project", "folder")
        values = [content.get(key, None if key == "env" else "") for key in keys]
        if content.get("v") != 1 or not all(isinstance(value, str) for value in values):
            return None
        return cls(*values)

    def format(self) -> str:
        """Return the line as an HTML comment that no value can end early."""
        content = {
            "v": 1,
            "env": self.environment,
            "digest": self.digest,
            "head": self.head,
            "level": self.level,
            **({"project": self.project} if self.project else {}),
            **({"folder": self.folder} if self.folder else {}),
        }
        text = json.dumps(content, separators=(",", ":"))
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("--", "-\\u002d")
        return f"<!-- tunedmodels:plan {text} -->"

    def matches(self, target: CommentTarget) -> bool:
        """Whether the comment is that of this environment and project."""
        pairs = [(self.project, target.project), (self.folder, target.folder)]
        is_same_project = all(not (own and other) or own == other for own, other in pairs)
        return self.environment == target.environment and is_same_project


async def upsert(forge: Forge, target: CommentTarget, body: str) -> tuple[CommentResult, Comment]:
    """Write `body` to the comment, which is created if missing; no request if it is equal.

    After a create or an edit with an unknown outcome, look for the comment before reporting the
    error. Raises OutcomeUnknownError when it does not exist, or has another body.
    """
    if comments := await _find(forge, target):
        # A target without a directory may match the comments of several projects.
        same = [one for one in comments[:-1] if _identity(one) == _identity(comments[-1])]
        await _delete(forge, target, same)
        return await _edit(forge, target, comments[-1], body)
    try:
        return CommentResult.CREATED, await forge.create(target.number, body)
    except OutcomeUnknownError:
        if comments := await _find(forge, target):
            await _edit(forge, target, comments[-1], body)
            return CommentResult.CREATED, comments[-1]
        raise


async def edit_existing(
    forge: Forge, target: CommentTarget, change: Callable[[str], str]
) -> tuple[CommentResult, Comment] | None:
    """Replace the body of the comment by `change(body)`. Return None if it does not exist."""
    comments = await _find(forge, target)
    if not comments:
        return None
    return await _edit(forge, target, comments[-1], change(comments[-1].body))


async def approved_digest(forge: Forge, target: CommentTarget) -> str:
    """Return the digest of the plan that the comment shows, which a merge approves.

    Raises RefusedError when the comment is missing or marked as stale.
    """
    comments = await _find(forge, target)
    markers = [marker for comment in comments if (marker := Marker.parse(comment.body))]
    marker = markers[-1] if markers else None
    if len({(other.project, other.folder) for other in markers}) > 1:
        raise RefusedError(
            f"Pull request {target.number} has comments for several projects, and it is unknown"
            " which one is meant",
            cure="Name the directory of the project with -C DIR.",
        )
    suffix = f" for environment {target.environment}" if target.environment else ""
    if not marker or not marker.digest:
        raise RefusedError(
            f"Pull request {target.number} has no comment with a plan{suffix}: "
            "nothing was approved",
            cure="Apply the digest of a plan that was read: tunedmodels apply --digest sha256:...",
        )
    if marker.level == STALE_LEVEL:
        raise RefusedError(
            f"The plan{suffix} in pull request {target.number} is marked as stale",
            cure="Make a new plan, in a new pull request.",
        )
    return marker.digest


async def _find(forge: Forge, target: CommentTarget) -> list[Comment]:
    """Return the comments with a matching marker, oldest first.

    A comment without a directory, of an earlier release, counts only if no other one matches.
    """
    parsed = [
        (comment, Marker.parse(comment.body)) for comment in await forge.comments(target.number)
    ]
    found = [(comment, marker) for comment, marker in parsed if marker and marker.matches(target)]
    exact = [comment for comment, marker in found if marker.folder == target.folder]
    return exact or [comment for comment, _ in found]


def _identity(comment: Comment) -> tuple[str, str]:
    marker = Marker.parse(comment.body)
    return (marker.project, marker.folder) if marker else ("", "")


async def _edit(
    forge: Forge, target: CommentTarget, comment: Comment, body: str
) -> tuple[CommentResult, Comment]:
    if comment.body.rstrip() == body.rstrip():  # forges strip the end of a body
        return CommentResult.UNCHANGED, comment
    try:
        await forge.edit(target.number, comment, body)
    except OutcomeUnknownError:
        current = await _find(forge, target)
        if not any(c.id == comment.id and has_same_text(c.body, body) for c in current):
            raise
    return CommentResult.EDITED, comment


async def _delete(forge: Forge, target: CommentTarget, comments: Sequence[Comment]) -> None:
    """Delete comments, and read back that they are deleted."""
    if not comments:
        return
    for comment in comments:
        with suppress(OutcomeUnknownError):
            await forge.delete(target.number, comment)
    remaining = {comment.id for comment in await _find(forge, target)}
    if remaining & {comment.id for comment in comments}:
        raise OutcomeUnknownError(
            "An older comment with a plan may or may not have been deleted", cure=RETRY_CURE
        )
