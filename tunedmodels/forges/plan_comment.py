"""The one comment of an environment: found again by its marker, edited, and never a second one.

Where two runs at once made two, the newest stays and the older ones are deleted: an outdated plan
with a digest that can still be copied is worse than a missing comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum

from tunedmodels.errors import OutcomeUnknownError, RefusedError
from tunedmodels.forges.forge import Comment, Forge


class Done(StrEnum):
    """What became of the comment."""

    CREATED = "created"
    EDITED = "edited"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Thread:
    """Where one comment belongs: a pull request, an environment, and a project.

    A repository may hold several projects; an empty name stands for whichever there is.
    """

    number: int
    environment: str = ""
    project: str = ""


async def put(forge: Forge, thread: Thread, body: str) -> tuple[Done, Comment]:
    """Make the comment say `body`; when it does already, send nothing.

    A comment whose answer was lost is looked for before the error is believed. Raises
    OutcomeUnknownError when it is not there either.
    """
    if ours := await _ours(forge, thread):
        for older in ours[:-1]:
            await forge.delete(thread.number, older)
        return await _edited(forge, thread, ours[-1], body)
    try:
        return Done.CREATED, await forge.create(thread.number, body)
    except OutcomeUnknownError:
        if ours := await _ours(forge, thread):
            await _edited(forge, thread, ours[-1], body)
            return Done.CREATED, ours[-1]
        raise


async def amend(
    forge: Forge, thread: Thread, change: Callable[[str], str]
) -> tuple[Done, Comment] | None:
    """Replace the text of the comment by what `change` makes of it; None when there is none."""
    ours = await _ours(forge, thread)
    return await _edited(forge, thread, ours[-1], change(ours[-1].body)) if ours else None


async def shown_digest(forge: Forge, thread: Thread) -> str:
    """Return the digest of the plan that the comment shows: what people who merge have approved.

    Raises RefusedError when there is no comment, or when it says itself that it is out of date.
    """
    ours = await _ours(forge, thread)
    marker = read_marker(ours[-1].body) if ours else None
    which = f" for environment {thread.environment}" if thread.environment else ""
    if not marker or not marker.digest:
        raise RefusedError(
            f"Pull request {thread.number} has no comment with a plan{which}: nothing was approved",
            cure="Apply the digest of a plan that was read: tunedmodels apply --digest sha256:...",
        )
    if marker.level == STALE:
        raise RefusedError(
            f"The plan{which} in pull request {thread.number} is marked as out of date",
            cure="Make a new plan, in a pull request of its own.",
        )
    return marker.digest


async def _ours(forge: Forge, thread: Thread) -> list[Comment]:
    found = [(each, read_marker(each.body)) for each in await forge.comments(thread.number)]
    return [
        comment
        for comment, marker in found
        if marker and marker.is_of(thread.environment, thread.project)
    ]


async def _edited(
    forge: Forge, thread: Thread, comment: Comment, body: str
) -> tuple[Done, Comment]:
    if comment.body.rstrip() == body.rstrip():  # forges trim the end of a text
        return Done.UNCHANGED, comment
    await forge.edit(thread.number, comment, body)
    return Done.EDITED, comment


# FOLDED
# The hidden first line of a comment: which plan of which environment it shows.
#
# By it the comment is found again, so that there is never a second one, and by its digest the
# plan that people approved is applied.
STALE = "stale"  # the level of a comment that says itself that its plan no longer holds
APPLYING = "applying"  # of one that says how far a run is
APPLIED = "applied"  # of one that says how a run ended

_LINE = re.compile(r"<!-- tunedmodels:plan (\{.*\}) -->")


@dataclass(frozen=True, slots=True)
class Marker:
    """What the line says. `head` is the commit that was planned, `level` how much of it is shown.

    `project` may be empty, and so stand for any.
    """

    env: str
    digest: str
    head: str = ""
    level: str = "full"
    project: str = ""

    def is_of(self, environment: str, project: str) -> bool:
        """Whether the comment is that of this environment of this project."""
        is_same = not project or not self.project or self.project == project
        return self.env == environment and is_same

    def line(self) -> str:
        """Return the line; nothing in a name can end the comment before its end."""
        text = json.dumps({"v": 1, **asdict(self)}, separators=(",", ":"))
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("--", "-\\u002d")
        return f"<!-- tunedmodels:plan {text} -->"


def read_marker(body: str) -> Marker | None:
    """Read the marker of a comment; None when it does not begin with one that we understand."""
    found = _LINE.fullmatch(body.partition("\n")[0].rstrip())
    if not found:
        return None
    try:
        content = json.loads(found[1])
    except (ValueError, RecursionError):
        return None
    if content.pop("v", None) != 1:
        return None
    known = {key: content.get(key, "") for key in ("env", "digest", "head", "level", "project")}
    if not all(isinstance(value, str) for value in known.values()):
        return None
    return Marker(**known)
