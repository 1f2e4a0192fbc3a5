"""The contract of a forge: comments on a pull request (a merge request, on GitLab), nothing else.

Errors are those of `tunedmodels.errors`. A forge joins by one file, one line in `FORGES` and
passing `tests/contract/test_forge.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

BROKEN = "Check the network, and run it again: it looks for its comment before it writes one."


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment as it stands; `id` grows with time, `url` is for people and may be empty."""

    id: int
    body: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What continuous integration says about this run; whatever it does not say is empty.

    `repository` is as the API wants it. `number` is that of the pull request. `commit` is what is
    checked out, `head` the newest commit of the branch, which may be another one. `base` is
    `branch@commit`, `url` the page of the run.
    """

    repository: str = ""
    number: int | None = None
    commit: str = ""
    head: str = ""
    base: str = ""
    url: str = ""


class Forge(Protocol):
    """One repository of one forge. Used as an async context manager, which closes it."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def comments(self, number: int) -> list[Comment]:
        """Return the comments of a pull request that a plan may be trusted in, oldest first.

        What a stranger wrote is left out, whatever it begins with: its author could edit it after
        we had written a plan into it.
        """

    async def create(self, number: int, body: str) -> Comment:
        """Write a new comment. Raises OutcomeUnknownError when the answer was lost."""

    async def edit(self, number: int, comment: Comment, body: str) -> None:
        """Write another text into a comment."""

    async def delete(self, number: int, comment: Comment) -> None:
        """Delete a comment; no harm if it is gone already."""

    async def merged(self, commit: str) -> int | None:
        """Return the pull request that brought a commit into its branch, or None."""
