"""One create and no second one: what is known of earlier ones, the request, and its lost answer.

All of it happens under the lock of the place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tunedmodels.errors import OutcomeUnknownError, ProviderError, RefusedError
from tunedmodels.providers.http import Http
from tunedmodels.providers.storage.lock import Lease
from tunedmodels.providers.vertex.delete import Sleep
from tunedmodels.providers.vertex.notes import Note, Notes
from tunedmodels.providers.vertex.read import Reader, number, read
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
