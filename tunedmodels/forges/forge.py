"""The contract of a forge: comments on a pull request (a merge request, on GitLab).

Errors are those of `tunedmodels.errors`. To add a forge, write one module, add one line to `FORGES`
and pass `tests/contract/test_forge.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

RETRY_CURE = "Check the network, then run it again: an existing comment is not written twice."


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on a pull request."""

    #: Increases with time.
    id: int
    body: str
    #: The page of the comment; may be empty.
    url: str = ""


@dataclass(frozen=True, slots=True)
class CiRun:
    """The run of a CI as its environment describes it; unknown values are empty."""

    #: In the form that the API requires.
    repository: str = ""
    #: The number of the pull request.
    number: int | None = None
    #: The commit that is checked out.
    commit: str = ""
    #: The newest commit of the branch, which may differ from `commit`.
    head: str = ""
    #: `branch@commit`.
    base: str = ""
    #: The page of the run.
    url: str = ""


class Forge(Protocol):
    """One repository of one forge; an async context manager, which closes it."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def comments(self, number: int) -> list[Comment]:
        """Return the trusted comments of a pull request, oldest first.

        Comments of strangers are omitted even with a valid marker, since their authors could
        change a plan that we wrote into them.
        """

    async def create(self, number: int, body: str) -> Comment:
        """Create a comment.

        Raises OutcomeUnknownError when the response was lost, or is not that comment.
        """

    async def edit(self, number: int, comment: Comment, body: str) -> None:
        """Replace the body of a comment. Raises OutcomeUnknownError as `create` does."""

    async def delete(self, number: int, comment: Comment) -> None:
        """Delete a comment; does nothing if it does not exist."""

    async def merged_pull_request(self, commit: str) -> int | None:
        """Return the number of the pull request that merged a commit, or None."""
