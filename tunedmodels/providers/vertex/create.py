"""Creating a job exactly once, although the service assigns the ids of jobs.

Everything here runs under the lock of the provider. A list of jobs may lag, and the process that
sent a create may end before the response arrives. So an intent is written to the bucket before each
create, and the number of the job is added to it afterwards.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from tunedmodels.errors import (
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ProviderError,
    RefusedError,
)
from tunedmodels.providers.errors import VERTEX
from tunedmodels.providers.http import Http
from tunedmodels.providers.response import decode_message
from tunedmodels.providers.storage.bucket import Bucket, ConflictError
from tunedmodels.providers.storage.lock import BucketLock
from tunedmodels.providers.vertex.delete import Sleep
from tunedmodels.providers.vertex.read import JobReader, job_number
from tunedmodels.wire import storage as storage_wire
from tunedmodels.wire import vertex as wire

CREATE_TIMEOUT_S: Final = 120.0
# Pauses between the searches for a job whose create got no response. Their total of one minute
# gives the list of jobs the time to show it; afterwards the outcome counts as unknown.
LOOKUP_DELAYS_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

_CONTENT_TYPE: Final = "text/plain"


@dataclass(frozen=True, slots=True)
class CreateIntent:
    """A create that was sent, or was about to be sent.

    It contains no time, since the clocks of the writer and of a reader may differ.
    """

    job: str
    """The number of the job; "" while it is unknown."""
    known_jobs: frozenset[str]
    """The numbers of the jobs that the version had before the create."""
    generation: str


class CreateIntents:
    """The create intents of one location, one object per version."""

    def __init__(self, bucket: Bucket, location: str) -> None:
        self._bucket = bucket
        self._location = location

    async def get(self, model_id: str) -> CreateIntent | None:
        """Return the intent of a version, or None."""
        existing = await self._bucket.stat(self._path(model_id))
        if existing is None:
            return None
        metadata = existing.metadata
        known_jobs = frozenset(metadata.get("before", "").split())
        return CreateIntent(metadata.get("job", ""), known_jobs, existing.generation)

    async def jobs(self) -> Mapping[str, str]:
        """Return the numbers of the jobs that were created, by version.

        Empty if the caller cannot list the bucket: a plan then depends on the list of jobs alone.
        """
        prefix = self._path("")
        try:
            objects = await self._bucket.list(prefix)
        except (NotFoundError, PermissionDeniedError):
            return {}
        jobs = {each.name.removeprefix(prefix): each.metadata.get("job", "") for each in objects}
        return {model_id: job for model_id, job in jobs.items() if job.isdecimal()}

    async def job(self, model_id: str) -> str:
        """Return the number of the last job that was created for a version; "" if unknown."""
        try:
            intent = await self.get(model_id)
        except (NotFoundError, PermissionDeniedError):
            return ""
        return intent.job if intent and intent.job.isdecimal() else ""

    async def record(
        self, model_id: str, previous: CreateIntent | None, known_jobs: Collection[str]
    ) -> CreateIntent:
        """Replace the `previous` intent by one for a create that is about to be sent.

        Raises RefusedError when another process has written an intent meanwhile.
        """
        generation = previous.generation if previous else "0"
        return await self._write(model_id, CreateIntent("", frozenset(known_jobs), generation))

    async def record_job(self, model_id: str, intent: CreateIntent, job: str) -> None:
        """Add the number of the job. A failure is ignored, since the list shows the job later."""
        with suppress(ProviderError):
            await self._write(model_id, replace(intent, job=job))

    async def discard(self, model_id: str, intent: CreateIntent) -> None:
        """Delete the intent of a create that was rejected or not sent."""
        with suppress(ProviderError):
            await self._bucket.delete(self._path(model_id), generation=intent.generation)

    async def _write(self, model_id: str, intent: CreateIntent) -> CreateIntent:
        """Write an intent over its generation and return it with the new generation."""
        metadata = {
            "job": intent.job,
            "before": " ".join(sorted(intent.known_jobs)),
            "token": secrets.token_hex(8),
        }
        path = self._path(model_id)
        written: storage_wire.Object | None
        try:
            written = await self._bucket.write(
                path,
                b"",
                generation=intent.generation,
                content_type=_CONTENT_TYPE,
                metadata=metadata,
            )
        except (ConflictError, OutcomeUnknownError) as error:
            # This may be our own write, whose response was lost or which was sent twice.
            written = await self._bucket.stat(path)
            if written is None or written.metadata.get("token") != metadata["token"]:
                raise RefusedError(
                    f"Another process is creating {model_id}: {self._bucket.uri(path)} changed.",
                    cure="Wait until it ends, then: tunedmodels apply",
                ) from error
        return replace(intent, generation=written.generation)

    def _path(self, model_id: str) -> str:
        return self._bucket.path(f"creates/{self._location}/{model_id}")


class JobCreator:
    """Creates jobs, and finds the jobs of earlier creates."""

    def __init__(
        self, reader: JobReader, intents: CreateIntents, lock: BucketLock, sleep: Sleep
    ) -> None:
        self._reader = reader
        self._intents = intents
        self._lock = lock
        self._sleep = sleep

    async def find_jobs(self, model_id: str) -> tuple[list[wire.TuningJob], CreateIntent | None]:
        """Return the jobs of a version, including one that is not listed yet, and its intent."""
        jobs = await self._reader.jobs(model_id)
        intent = await self._intents.get(model_id)
        if intent is None:
            return jobs, None
        if intent.job:
            self._reader.remember(model_id, intent.job)
            return await self._reader.jobs(model_id), intent
        if _numbers(jobs) <= intent.known_jobs:  # the outcome of that create is unknown
            jobs = await self._wait_for_new_job(model_id, intent.known_jobs) or jobs
        return jobs, intent

    async def create_job(
        self,
        client: Http,
        path: str,
        model_id: str,
        body: wire.TuningJob,
        *,
        existing: Sequence[wire.TuningJob],
        intent: CreateIntent | None,
    ) -> wire.TuningJob:
        """Send a create once; search for its job when the response is lost.

        Raises RefusedError when the lock is lost, and OutcomeUnknownError when no job is found.
        """
        known_jobs = _numbers(existing)
        intent = await self._intents.record(model_id, intent, known_jobs)
        try:
            await self._lock.require_held()
            response = await client.request_body(
                "POST",
                path,
                content=wire.encode(body),
                read_timeout_s=CREATE_TIMEOUT_S,
                is_idempotent=False,
            )
            job = _decode_created(response, model_id)
        except OutcomeUnknownError as error:
            jobs = await self._wait_for_new_job(model_id, known_jobs)
            new_jobs = [job for job in jobs if job_number(job) not in known_jobs]
            if not new_jobs:
                raise OutcomeUnknownError(
                    f"The create of {model_id} may or may not have started: {error.message}",
                    cure="Wait some minutes and check whether it is listed before you apply "
                    "again:\n    tunedmodels status",
                ) from error
            job = new_jobs[-1]
        except (ProviderError, RefusedError):
            await self._intents.discard(model_id, intent)
            raise
        self._reader.remember(model_id, job_number(job))
        await self._intents.record_job(model_id, intent, job_number(job))
        return job

    async def _wait_for_new_job(
        self, model_id: str, known_jobs: frozenset[str]
    ) -> list[wire.TuningJob]:
        """Return the jobs of a version when one is not in `known_jobs`; [] after a minute."""
        for delay_s in LOOKUP_DELAYS_S:
            await self._sleep(delay_s)
            jobs = await self._reader.jobs(model_id)
            if not _numbers(jobs) <= known_jobs:
                return jobs
        return []


def _decode_created(response: bytes, model_id: str) -> wire.TuningJob:
    """Return the created job. Raises OutcomeUnknownError when the response is not a job."""
    try:
        job = decode_message(response, wire.TuningJob, VERTEX)
    except ProviderError as error:
        raise OutcomeUnknownError(error.message) from error
    if not job_number(job):
        raise OutcomeUnknownError(f"the response to the create of {model_id} names no job.")
    return job


def _numbers(jobs: Sequence[wire.TuningJob]) -> frozenset[str]:
    return frozenset(map(job_number, jobs))
