"""The provider of Vertex AI: tuning jobs, and the models and endpoints that they create.

The service assigns the ids of jobs, so that a create that is sent twice costs money twice.
Therefore a lock in the bucket excludes other applies, the labels of all jobs are searched before a
create and after a lost response, and a create with an unknown outcome is never repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Sequence,
)
from contextlib import (
    AbstractAsyncContextManager,
    aclosing,
    asynccontextmanager,
    nullcontext,
    suppress,
)
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

from tunedmodels.aio import gather
from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    ProviderError,
)
from tunedmodels.observed import LossPoint, ObservedModel
from tunedmodels.providers.auth.adc import DEFAULT_DOMAIN, in_domain
from tunedmodels.providers.errors import VERTEX
from tunedmodels.providers.http import Http, Transport
from tunedmodels.providers.identity import Identity
from tunedmodels.providers.provider import AvailableBaseModel, Edit, LockHolder, OnUpload
from tunedmodels.providers.response import confirm, is_empty_message
from tunedmodels.providers.retry import OnRetry
from tunedmodels.providers.storage import bucket as storage
from tunedmodels.providers.storage.bucket import Bucket
from tunedmodels.providers.storage.lock import BucketLock
from tunedmodels.providers.storage.transfer import download
from tunedmodels.providers.vertex import convert, names, open_data, training_data
from tunedmodels.providers.vertex.artifacts import Artifacts
from tunedmodels.providers.vertex.convert import CANCELLING, JobFiles, VertexVersion, job_state
from tunedmodels.providers.vertex.create import CreateIntents, JobCreator
from tunedmodels.providers.vertex.delete import ResultDeleter, Sleep
from tunedmodels.providers.vertex.generate import ModelCaller
from tunedmodels.providers.vertex.metrics import CurveReader
from tunedmodels.providers.vertex.read import JOBS_API_VERSION, JobReader, job_number
from tunedmodels.schema.base_models import BaseModelCatalog, is_open_model
from tunedmodels.schema.project import VertexSettings
from tunedmodels.schema.tuned_model import GenerationConfig
from tunedmodels.stamp import Stamp
from tunedmodels.wire import vertex as wire


class VertexProvider:
    """The tuned models of a Google Cloud project in one location.

    `name` is the name in manifests, `project` the owner in the stamps of our models. `base_models`
    says where base models answer and how they are asked. `domain` is the universe domain of the
    credentials. `sleep` waits between polls.
    """

    is_in_process = False
    has_conditional_delete = False
    owner_warning = ""  # the Google Cloud project is the boundary

    def __init__(
        self,
        name: str,
        *,
        project: str,
        settings: VertexSettings,
        identity: Identity,
        base_models: BaseModelCatalog | None = None,
        domain: str = DEFAULT_DOMAIN,
        transport: Transport | None = None,
        on_retry: OnRetry | None = None,
        on_upload: OnUpload | None = None,
        sleep: Sleep = asyncio.sleep,
        scope: str = "",
        former_projects: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._project = project
        self._settings = settings
        self._identity = identity
        self._base_models = base_models or BaseModelCatalog()
        self._domain = domain
        self._transport = transport
        self._on_retry = on_retry
        self._on_upload = on_upload
        self._sleep = sleep
        self._parent = f"projects/{settings.project}/locations/{settings.location}"
        self._clients: dict[str, Http] = {}
        self._caller = ModelCaller(self._parent, self._base_models, self._client)
        self._bucket = self._open_bucket(settings.bucket)
        self._buckets = {settings.bucket: self._bucket}
        self._curves = CurveReader(self._bucket_by_name)
        # One lock for all models of an owner in a location, for processes on every machine.
        owner = f"{project}.{scope}" if scope else project
        location = f"{owner}@{settings.project}.{settings.location}"
        path = self._bucket.path(f"locks/{location}")
        self._lock = BucketLock(self._bucket, path, on_retry=on_retry)
        self._is_locked = False
        self._creating = asyncio.Lock()
        projects = frozenset({project, *former_projects})
        intents = CreateIntents(self._bucket, location)
        self._artifacts = Artifacts(self._bucket, location, self._bucket_by_name)
        self._reader = JobReader(
            self._parent, projects, self._client, intents, self._artifacts.model
        )
        self._creator = JobCreator(self._reader, intents, self._lock, sleep)
        self._deleter = ResultDeleter(self._reader, self._client, sleep)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for client in self._clients.values():
            await client.aclose()
        for bucket in self._buckets.values():
            await bucket.aclose()

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Hold the lock in the bucket. Raises RefusedError when another process holds it."""
        async with self._lock.hold():
            self._is_locked = True
            try:
                yield
            finally:
                self._is_locked = False

    async def lock_holder(self) -> LockHolder | None:
        """Return the process that holds the lock, or None."""
        return await self._lock.holder()

    async def break_lock(self) -> LockHolder | None:
        """Remove the lock and return its holder, which then makes no more changes."""
        return await self._lock.break_lock()

    async def observe(self) -> list[ObservedModel]:
        """Return all versions, sorted by id, including the records of failed and cancelled jobs."""
        versions = await self._reader.list_versions()
        observed = [self._observed(version) for version in versions]
        return await gather(map(self._with_curve, observed, versions))

    async def get(self, model_id: str) -> ObservedModel | None:
        """Return one version, or None when it does not exist."""
        version = await self._reader.get_version(model_id)
        return await self._with_curve(self._observed(version), version) if version else None

    async def curve(self, model: ObservedModel) -> tuple[LossPoint, ...]:
        """Return the loss curve of a version, which the service always sends completely."""
        return model.curve

    async def create(
        self,
        desired: Desired,
        examples: Sequence[Example],
        stamp: Stamp,
        *,
        validation: Sequence[Example] = (),
    ) -> ObservedModel:
        """Upload the data and start a job; see Provider.create.

        Raises RefusedError when the lock was lost meanwhile, and OutcomeUnknownError when it is
        unknown whether a job was started; the create is then not repeated.
        """
        training_uri = await self._upload(desired, examples)
        validation_uri = await self._upload(desired, validation) if validation else ""
        no_lock: AbstractAsyncContextManager[None] = nullcontext()
        async with self._creating, no_lock if self._is_locked else self.lock():
            jobs, intent = await self._creator.find_jobs(desired.model_id)
            if existing := await self._existing_model(desired, stamp, jobs):
                return existing
            parent = await self._reader.parent_version(desired)
            files = JobFiles(training_uri, validation_uri)
            version, mode = "v1", ""
            if is_open_model(desired.inputs.source):
                version, mode = JOBS_API_VERSION, self._tuning_mode(desired)
                output = self._artifacts.output_uri(desired.model_id, stamp.attempt)
                files = replace(files, output=output)
            body = convert.create_body(desired, stamp, files, parent=parent, tuning_mode=mode)
            path = f"{version}/{self._parent}/tuningJobs"
            job = await self._creator.create_job(
                self._home, path, desired.model_id, body, existing=jobs, intent=intent
            )
        with suppress(ProviderError):  # only this response contains the detailed state
            job = await self._reader.job(job_number(job))
        return self._observed(self._reader.version(job))

    async def update(self, model_id: str, edit: Edit, *, etag: str = "") -> None:
        """Change description, stamp, display name and labels in one request. Raises NotFoundError.

        The etag goes into the body, as for the sibling resources of Vertex AI. It is not verified
        that models.patch enforces it.

        Raises InvalidArgumentError while the job runs: a job cannot be changed.
        """
        version = await self._reader.require_version(model_id)
        if version.model is None:
            raise InvalidArgumentError(
                f"{model_id} is {version.state} and has no model yet; a job cannot be changed.",
                cure="To follow the job: tunedmodels watch",
            )
        name = version.model.name
        model, mask = convert.patch_body(version.model, edit)
        if version.job.output_uri:
            await self._artifacts.update(version.job, model)
            return
        model.etag = etag
        await self._client(names.location_of(version.model.name)).request_body(
            "PATCH",
            f"v1/{names.without_version(name)}",
            params={"updateMask": mask},
            content=wire.encode(model),
            is_idempotent=True,
        )

        async def has_edit() -> bool:
            current = await self._reader.model(name)
            return current is not None and convert.has_values(current, model)

        await self._confirm(has_edit, f"The update of {model_id}")

    async def cancel(self, model_id: str) -> None:
        """Stop the running jobs of a version.

        Raises NotFoundError, and RefusedError as `delete` does.
        """
        await self._reader.require_version(model_id)
        await self._require_lock()
        for job in await self._reader.jobs(model_id):
            if not job_state(job).is_running:
                continue
            try:
                path = f"{JOBS_API_VERSION if job.output_uri else 'v1'}/{job.name}:cancel"
                response = await self._home.request_body(
                    "POST", path, content=b"{}", is_idempotent=True
                )
            except (InvalidArgumentError, NotFoundError):
                current = await self._reader.job(job_number(job))
                if job_state(current).is_running:
                    raise
                continue
            if not is_empty_message(response):
                await self._confirm(
                    partial(self._has_stopped, job), f"The cancellation of {model_id}"
                )

    async def _has_stopped(self, job: wire.TuningJob) -> bool:
        current = await self._reader.job(job_number(job))
        return current.state == CANCELLING or not job_state(current).is_running

    async def _confirm(self, has_effect: Callable[[], Awaitable[bool]], call: str) -> None:
        await confirm(has_effect, call, VERTEX, is_local=self._home.is_local)

    async def delete(self, model_id: str, *, etag: str = "") -> None:  # noqa: ARG002  # not taken
        """Stop the running jobs of a version and delete its models; do nothing if it is deleted.

        Raises RefusedError when the lock was lost, since another apply may use the models by now.
        """
        await self._require_lock()
        jobs = await self._reader.jobs(model_id)
        if any(job_state(job).is_running for job in jobs):
            await self.cancel(model_id)
        for job in jobs:
            if job.output_uri:
                await self._artifacts.delete(job)
            elif job.tuned_model:
                await self._deleter.delete(job.tuned_model)

    async def base_models(self) -> list[AvailableBaseModel]:
        """Return []: the service does not list the models that can be tuned."""
        return []

    async def count_tokens(self, base: str, texts: Iterable[str]) -> int:
        """Return the total number of tokens of the texts for a base model; see ModelCaller."""
        return await self._caller.count_tokens(base, texts)

    def generate(
        self,
        resource: str,
        text: str,
        config: GenerationConfig | None = None,
        *,
        system: str = "",
    ) -> AsyncGenerator[str, None]:
        """Send a prompt to an endpoint or a base model; yield the answer; see ModelCaller."""
        return self._caller.generate(resource, text, config, system=system)

    async def download(self, uri: str, folder: Path) -> Path:
        """Download a dataset (`gs://BUCKET/OBJECT`) into `folder`. Raises NotFoundError."""
        name, _, path = uri.removeprefix("gs://").partition("/")
        async with aclosing(self._open_bucket(name)) as bucket:
            return await download(bucket, path, folder)

    def _open_bucket(self, name: str) -> Bucket:
        return Bucket(
            name,
            self._settings.prefix,
            self._identity,
            endpoint=self._settings.storage_endpoint
            or in_domain(storage.STORAGE_ENDPOINT, self._domain),
            project=self._settings.project,
            transport=self._transport,
            on_retry=self._on_retry,
        )

    async def _upload(self, desired: Desired, examples: Sequence[Example]) -> str:
        is_open = is_open_model(desired.inputs.source)
        upload = open_data.upload_messages if is_open else training_data.upload_examples
        return await upload(
            self._bucket,
            examples,
            preamble=desired.inputs.preamble,
            as_system=desired.inputs.preamble_as == "systemInstruction",
            on_upload=self._on_upload,
        )

    def _tuning_mode(self, desired: Desired) -> str:
        """Return the declared tuning mode of an open model, or the only one that it has."""
        info = self._base_models.get("vertex", desired.inputs.source)
        modes = (info.tuning_modes if info else None) or ("peft",)
        return desired.inputs.tuning_mode or modes[0]

    async def _existing_model(
        self, desired: Desired, stamp: Stamp, jobs: Sequence[wire.TuningJob]
    ) -> ObservedModel | None:
        """Return the model of an earlier create, unless only the record of a job is left."""
        version = await self._reader.get_version(desired.model_id) if jobs else None
        if version is None or version.is_job_record:
            return None
        existing = self._observed(version)
        if existing.stamp is None or existing.stamp.identity != stamp.identity:
            raise AlreadyExistsError(
                f"{existing.resource} exists without this fingerprint of {self._project}.",
                cure="If it is yours, adopt it:\n"
                f"    tunedmodels adopt {desired.name} {desired.model_id}",
            )
        return existing

    async def _require_lock(self) -> None:
        """Raise RefusedError when this process acquired the lock and has lost it."""
        if self._is_locked:
            await self._lock.require_held()

    def _observed(self, version: VertexVersion) -> ObservedModel:
        tolerates = self._settings.on_dropped_examples == "warn"
        model = convert.observed_model(self.name, version, tolerates_drops=tolerates)
        self._caller.remember(model.resource, convert.base_model(version.job))
        return model

    async def _with_curve(self, model: ObservedModel, version: VertexVersion) -> ObservedModel:
        """Return a model of this project with the loss curve of its job, if there is one."""
        uri = version.job.gcs_metrics_uri
        if not uri or model.stamp is None or model.stamp.project != self._project:
            return model
        epochs, steps = model.used.epoch_count, model.total_steps
        curve = await self._curves.read(uri, epochs=epochs, total_steps=steps)
        return replace(model, curve=curve) if curve else model

    def _bucket_by_name(self, name: str) -> Bucket:
        if name not in self._buckets:
            self._buckets[name] = self._open_bucket(name)
        return self._buckets[name]

    @property
    def _home(self) -> Http:
        return self._client(self._settings.location)

    def _client(self, location: str) -> Http:
        """Return the client for a location; a declared endpoint serves all locations."""
        url = self._settings.endpoint or names.endpoint_url(location, self._domain)
        if url not in self._clients:
            self._clients[url] = Http(
                url,
                self._identity,
                error_mapping=VERTEX,
                transport=self._transport,
                on_retry=self._on_retry,
            )
        return self._clients[url]
