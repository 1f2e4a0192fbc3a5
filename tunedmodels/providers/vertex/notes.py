"""Notes in the bucket: which version is about to be created, and which job it became.

A list of jobs may lag, and whoever sent a create may be gone before its answer comes. So a note is
written before each create, and the number of the job into it after. Whoever finds a note knows what
no list tells yet. They are written under the lock of the place, one for each version.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from tunedmodels.errors import OutcomeUnknownError, ProviderError, RefusedError
from tunedmodels.providers.storage.bucket import Bucket, ConflictError
from tunedmodels.wire import storage as wire

_KIND: Final = "text/plain"


@dataclass(frozen=True, slots=True)
class Note:
    """A create that was sent, or was about to be. `job` is its number, "" while nobody knows it.

    `before` are the numbers of the jobs that the version had by then. It has no time, for whoever
    reads it may have another clock than whoever wrote it.
    """

    job: str
    before: frozenset[str]
    generation: str


class Notes:
    """The notes on the versions of one place."""

    def __init__(self, bucket: Bucket, place: str) -> None:
        self._bucket = bucket
        self._place = place

    async def read(self, model_id: str) -> Note | None:
        """Return the note on a version, or None where none was written."""
        there = await self._bucket.look(self._path(model_id))
        if there is None:
            return None
        about = there.metadata
        before = frozenset(about.get("before", "").split())
        return Note(about.get("job", ""), before, there.generation)

    async def begin(self, model_id: str, last: Note | None, before: Collection[str]) -> Note:
        """Write over the `last` note that a create is about to be sent.

        Raises RefusedError when somebody else has written one meanwhile.
        """
        return await self._write(
            model_id, Note("", frozenset(before), last.generation if last else "0")
        )

    async def answer(self, model_id: str, note: Note, job: str) -> None:
        """Write down the job; where that fails, the list of jobs will tell in time."""
        with suppress(ProviderError):
            await self._write(model_id, replace(note, job=job))

    async def withdraw(self, model_id: str, note: Note) -> None:
        """Take a note back whose create was refused, or never left."""
        with suppress(ProviderError):
            await self._bucket.delete(self._path(model_id), generation=note.generation)

    async def _write(self, model_id: str, note: Note) -> Note:
        """Write a note over its generation, and return it with the new one."""
        about = {
            "job": note.job,
            "before": " ".join(sorted(note.before)),
            "token": secrets.token_hex(8),
        }
        path = self._path(model_id)
        written: wire.Object | None
        try:
            written = await self._bucket.write(
                path, b"", generation=note.generation, kind=_KIND, about=about
            )
        except (ConflictError, OutcomeUnknownError) as error:
            # Perhaps it was our own write whose answer was lost, or that was sent twice.
            written = await self._bucket.look(path)
            if written is None or written.metadata.get("token") != about["token"]:
                raise RefusedError(
                    f"Somebody else is creating {model_id}: {self._bucket.uri(path)} changed.",
                    cure="Let it end, then: tunedmodels apply",
                ) from error
        return replace(note, generation=written.generation)

    def _path(self, model_id: str) -> str:
        return self._bucket.path(f"creates/{self._place}/{model_id}")
