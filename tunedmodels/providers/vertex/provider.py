"""Tuned models at Vertex AI: tuning jobs, and the models and endpoints that they leave.

Ids of jobs are the service's, so that a create that is sent twice is paid for twice. That is why
one lock in the bucket keeps every other apply away, why the labels of all jobs are searched before
a create and again when its answer was lost, and why nothing is sent a second time on a guess.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    aclosing,
    asynccontextmanager,
    nullcontext,
    suppress,
)
from pathlib import Path
from typing import Self
from urllib.parse import quote

from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    ProviderError,
)
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.providers.errors import VERTEX
from tunedmodels.providers.gemini import content
from tunedmodels.providers.gemini import convert as gemini
from tunedmodels.providers.http import Http, Transport
from tunedmodels.providers.identity import Identity
from tunedmodels.providers.provider import BaseModel, Edit, Holder, OnUpload
from tunedmodels.providers.retry import OnRetry
from tunedmodels.providers.storage import bucket as storage
from tunedmodels.providers.storage.bucket import Bucket
from tunedmodels.providers.storage.lock import Lease
from tunedmodels.providers.storage.transfer import fetch
from tunedmodels.providers.vertex import convert, names, training_data
from tunedmodels.providers.vertex.convert import Version, job_state
from tunedmodels.providers.vertex.create import Creator, Notes
from tunedmodels.providers.vertex.delete import Remover, Sleep
from tunedmodels.providers.vertex.read import Reader, number
from tunedmodels.schema.project import VertexSettings
from tunedmodels.schema.tuned_model import GenerationConfig
from tunedmodels.stamp import Stamp
from tunedmodels.wire import gemini as gemini_wire
from tunedmodels.wire import vertex as wire


class VertexProvider:
    """The tuned models of a Google Cloud project in one location.

    `name` is the provider's name in manifests, `project` the owner in the stamps of our models.
    `sleep` is for waits between two looks.
    """

    trains_here = False

    def __init__(
        self,
        name: str,
        *,
        project: str,
        settings: VertexSettings,
        identity: Identity,
        transport: Transport | None = None,
        on_retry: OnRetry | None = None,
        on_upload: OnUpload | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.name = name
        self._project = project
        self._settings = settings
        self._identity = identity
        self._transport = transport
        self._on_retry = on_retry
        self._on_upload = on_upload
        self._sleep = sleep
        self._parent = f"projects/{settings.project}/locations/{settings.location}"
        self._clients: dict[str, Http] = {}
        self._bucket = self._open_bucket(settings.bucket)
        # One lock for all that bears our stamps in this place, whoever works on it from wherever.
        place = f"{project}@{settings.project}.{settings.location}"
        self._lease = Lease(self._bucket, self._bucket.path(f"locks/{place}"), on_retry=on_retry)
        self._is_guarded = False
        self._creating = asyncio.Lock()
        self._reader = Reader(self._parent, project, self._http)
        self._creator = Creator(self._reader, Notes(self._bucket, place), self._lease, sleep)
        self._remover = Remover(self._reader, self._http, sleep)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for client in self._clients.values():
            await client.aclose()
        await self._bucket.aclose()

    @asynccontextmanager
    async def guard(self) -> AsyncIterator[None]:
        """Hold the lock in the bucket. Raises RefusedError when somebody else does."""
        async with self._lease.hold():
            self._is_guarded = True
            try:
                yield
            finally:
                self._is_guarded = False

    async def holder(self) -> Holder | None:
        """Return who holds the lock, or None where nobody does."""
        return await self._lease.holder()

    async def break_guard(self) -> Holder | None:
        """Take the lock from whoever holds it; they begin and end nothing more."""
        return await self._lease.open()

    async def observe(self) -> list[ObservedModel]:
        """Return every version there is, ours or not, in the order of the ids.

        Of a job that failed or was cancelled there is a record.
        """
        return [self._observed(version) for version in await self._reader.all()]

    async def get(self, model_id: str) -> ObservedModel | None:
        """Return one version, or None when there is none."""
        version = await self._reader.one(model_id)
        return self._observed(version) if version else None

    async def create(
        self,
        desired: Desired,
        examples: Sequence[Example],
        stamp: Stamp,
        *,
        validation: Sequence[Example] = (),
    ) -> ObservedModel:
        """Upload the data, start a job and return at once; see Provider.create.

        Raises RefusedError when the lock was lost meanwhile, and OutcomeUnknownError when nobody
        can say whether a job was started: then nothing was sent again.
        """
        training = await self._put(desired, examples)
        held_out = await self._put(desired, validation) if validation else ""
        own: AbstractAsyncContextManager[None] = nullcontext()
        async with self._creating, own if self._is_guarded else self.guard():
            before, note = await self._creator.look(desired.model_id)
            if there := await self._there(desired, before):
                return there
            parent = await self._source(desired)
            body = convert.creation(
                desired, stamp, training=training, validation=held_out, parent=parent
            )
            path = f"v1/{self._parent}/tuningJobs"
            job = await self._creator.send(
                self._home, path, desired.model_id, body, before=before, note=note
            )
        with suppress(ProviderError):  # v1 does not say what it is at; that it began is the news
            job = await self._reader.job(number(job))
        return self._observed(self._reader.version(job))

    async def update(self, model_id: str, edit: Edit) -> None:
        """Change description, stamp, display name and labels in one request. Raises NotFoundError.

        Raises InvalidArgumentError while the job is at work: a job cannot be changed.
        """
        version = await self._existing(model_id)
        if version.model is None:
            raise InvalidArgumentError(
                f"{model_id} is {version.state}, and has no model yet: a job cannot be changed.",
                cure="To follow it: tunedmodels watch",
            )
        model, mask = convert.patch(version.model, edit)
        await self._home.send(
            "PATCH",
            f"v1/{names.unversioned(version.model.name)}",
            params={"updateMask": mask},
            content=wire.encode(model),
            repeatable=True,
        )

    async def cancel(self, model_id: str) -> None:
        """Stop the jobs of a version; no harm if they have ended.

        Raises NotFoundError, and RefusedError as `delete` does.
        """
        await self._existing(model_id)
        await self._assure()
        for job in await self._reader.jobs(model_id):
            if not job_state(job).is_running:
                continue
            try:
                path = f"v1/{job.name}:cancel"
                await self._home.send("POST", path, content=b"{}", repeatable=True)
            except (InvalidArgumentError, NotFoundError):
                now = await self._reader.job(number(job))
                if job_state(now).is_running:
                    raise

    async def delete(self, model_id: str) -> None:
        """Delete what the jobs of a version made, and stop those at work; no harm if it is gone.

        Raises RefusedError when the lock was lost: another apply may rely on what is there by now.
        """
        await self._assure()
        jobs = await self._reader.jobs(model_id)
        if any(job_state(job).is_running for job in jobs):
            await self.cancel(model_id)
        for job in jobs:
            if job.tuned_model:
                await self._remover.remove(job.tuned_model)

    async def base_models(self) -> list[BaseModel]:
        """Return nothing: the service has no list of what it can tune; a table of ours has."""
        return []

    async def count_tokens(self, base: str, texts: Iterable[str]) -> int:
        """Return how many tokens a base model sees in all the texts."""
        name = base.removeprefix("models/")
        path = f"v1/{self._parent}/publishers/google/models/{quote(name)}:countTokens"
        return await content.count(
            texts, lambda body: self._home.send("POST", path, content=body, repeatable=True)
        )

    async def generate(
        self,
        resource: str,
        text: str,
        config: GenerationConfig | None = None,
        *,
        system: str = "",
    ) -> AsyncGenerator[str, None]:
        """Ask an endpoint, or a base model (`models/NAME`), and yield its answer piece by piece."""
        if resource.startswith("models/"):
            name = resource.removeprefix("models/")
            resource = f"{self._parent}/publishers/google/models/{name}"
            client = self._home
        else:
            client = self._http(names.location(resource))
        lines = client.lines(
            "POST",
            f"v1/{quote(resource)}:streamGenerateContent",
            params={"alt": "sse"},
            content=gemini_wire.encode(gemini.question(text, system, config)),
        )
        async with aclosing(content.pieces(lines, resource, VERTEX.endpoint_cure)) as answer:
            async for piece in answer:
                yield piece

    async def fetch(self, uri: str, folder: Path) -> Path:
        """Return a copy in `folder` of a dataset, `gs://BUCKET/OBJECT`. Raises NotFoundError."""
        name, _, path = uri.removeprefix("gs://").partition("/")
        async with aclosing(self._open_bucket(name)) as bucket:
            return await fetch(bucket, path, folder)

    def _open_bucket(self, name: str) -> Bucket:
        return Bucket(
            name,
            self._settings.prefix,
            self._identity,
            endpoint=self._settings.storage_endpoint or storage.HOSTED,
            transport=self._transport,
            on_retry=self._on_retry,
        )

    async def _put(self, desired: Desired, examples: Sequence[Example]) -> str:
        return await training_data.put(
            self._bucket,
            examples,
            preamble=desired.preamble,
            as_system=desired.preamble_as == "systemInstruction",
            on_upload=self._on_upload,
        )

    async def _there(
        self, desired: Desired, jobs: Sequence[wire.TuningJob]
    ) -> ObservedModel | None:
        """Return the version that an earlier create made, unless only a record is left of it."""
        version = await self._reader.one(desired.model_id) if jobs else None
        if version is None or version.is_record:
            return None
        there = self._observed(version)
        is_ours = there.stamp is not None and there.stamp.project == self._project
        if not (is_ours and there.fingerprint == desired.fingerprint):
            raise AlreadyExistsError(
                f"{there.resource} exists and does not bear this fingerprint of {self._project}.",
                cure="If it is yours, take it over:\n"
                f"    tunedmodels adopt {desired.name} {desired.model_id}",
            )
        return there

    async def _source(self, desired: Desired) -> Version | None:
        """Return the version to continue from, or None for a base model. Raises NotFoundError."""
        if not desired.source.startswith("tunedModels/"):
            return None
        parent = await self._reader.one(desired.source.removeprefix("tunedModels/"))
        if parent is None or parent.state is not ModelState.READY:
            raise NotFoundError(
                f"{desired.source} is to be continued from, and there is no such model in "
                f"{self._parent}.",
                cure="Declare both on one provider, and apply again.",
            )
        return parent

    async def _assure(self) -> None:
        """Go on only if the lock is still ours, where we hold one."""
        if self._is_guarded:
            await self._lease.assure()

    async def _existing(self, model_id: str) -> Version:
        version = await self._reader.one(model_id)
        if version is None:
            raise NotFoundError(f"There is no version {model_id} in {self._parent}.")
        return version

    def _observed(self, version: Version) -> ObservedModel:
        tolerates = self._settings.on_dropped_examples == "warn"
        return convert.observed(self.name, version, tolerates_drops=tolerates)

    @property
    def _home(self) -> Http:
        return self._http(self._settings.location)

    def _http(self, location: str) -> Http:
        """Return the client for a location; they all are one where an endpoint is declared."""
        url = self._settings.endpoint or names.host(location)
        if url not in self._clients:
            self._clients[url] = Http(
                url,
                self._identity,
                manners=VERTEX,
                transport=self._transport,
                on_retry=self._on_retry,
            )
        return self._clients[url]
