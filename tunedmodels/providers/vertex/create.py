"""One create and no second one: what is known of earlier ones, the request, and its lost answer.

All of it happens under the lock of the place.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from tunedmodels.errors import OutcomeUnknownError, ProviderError, RefusedError
from tunedmodels.providers.http import Http
from tunedmodels.providers.storage.bucket import Bucket, ConflictError
from tunedmodels.providers.storage.lock import Lease
from tunedmodels.providers.vertex.delete import Sleep
from tunedmodels.providers.vertex.read import Reader, number, read
from tunedmodels.wire import storage as storage_wire
from tunedmodels.wire import vertex as wire

CREATE_READ_S: Final = 120.0
# Looks for a job whose create was not answered, before it is said that nobody knows: about a
# minute, in which the list of jobs has time to show it.
SETTLING_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


class Creator:
    """Starts jobs, and finds those that were started."""

    def __init__(self, reader: Reader, notes: Notes, lease: Lease, sleep: Sleep) -> None:
        self._reader = reader
        self._notes = notes
        self._lease = lease
        self._sleep = sleep

    async def look(self, model_id: str) -> tuple[list[wire.TuningJob], Note | None]:
        """Return the jobs of a version, also one that no list shows yet, and the note on it."""
        jobs = await self._reader.jobs(model_id)
        note = await self._notes.read(model_id)
        if note is None:
            return jobs, None
        if note.job:
            self._reader.remember(model_id, note.job)
            return await self._reader.jobs(model_id), note
        if _numbers(jobs) <= note.before:  # nobody knows what became of it
            jobs = await self._settled(model_id, note.before) or jobs
        return jobs, note

    async def send(
        self,
        home: Http,
        path: str,
        model_id: str,
        body: wire.TuningJob,
        *,
        before: Sequence[wire.TuningJob],
        note: Note | None,
    ) -> wire.TuningJob:
        """Send a create, once; look for its job where the answer was lost.

        Raises RefusedError when the lock is lost, and OutcomeUnknownError when no job is found.
        """
        known = _numbers(before)
        note = await self._notes.begin(model_id, note, known)
        try:
            await self._lease.assure()
            answer = await home.send(
                "POST", path, content=wire.encode(body), read_s=CREATE_READ_S, repeatable=False
            )
        except OutcomeUnknownError as error:
            found = await self._settled(model_id, known)
            made = [job for job in found if number(job) not in known]
            if not made:
                raise OutcomeUnknownError(
                    f"The create of {model_id} may or may not have begun: {error.message}",
                    cure="Wait some minutes, and look whether it is listed before applying again:\n"
                    "    tunedmodels status",
                ) from error
            job = made[-1]
        except (ProviderError, RefusedError):
            await self._notes.withdraw(model_id, note)
            raise
        else:
            job = read(answer, wire.TuningJob)
        self._reader.remember(model_id, number(job))
        await self._notes.answer(model_id, note, number(job))
        return job

    async def _settled(self, model_id: str, known: frozenset[str]) -> list[wire.TuningJob]:
        """Return the jobs of a version as soon as one is among them that was not known."""
        for pause_s in SETTLING_S:
            await self._sleep(pause_s)
            jobs = await self._reader.jobs(model_id)
            if not _numbers(jobs) <= known:
                return jobs
        return []


def _numbers(jobs: Sequence[wire.TuningJob]) -> frozenset[str]:
    return frozenset(map(number, jobs))


# FOLDED
# Notes in the bucket: which version is about to be created, and which job it became.
#
# A list of jobs may lag, and whoever sent a create may be gone before its answer comes. So a note
# is written before each create, and the number of the job into it after. Whoever finds a note
# knows what no list tells yet. They are written under the lock of the place, one for each
# version.
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
        written: storage_wire.Object | None
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
