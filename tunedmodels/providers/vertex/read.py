"""Reading the state of Vertex AI: the versions behind the jobs, and what still exists of each.

A list may lag. So a resource that is missing in a list is requested by name before it counts as
deleted, if it is new enough. A job can never be deleted. So the most informative one of the jobs of
a version is used, and a version whose model was deleted does not exist.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, TypeVar

from tunedmodels import stamp as stamps
from tunedmodels.aio import gather
from tunedmodels.desired import Desired
from tunedmodels.errors import InvalidArgumentError, NotFoundError
from tunedmodels.observed import ModelState
from tunedmodels.providers.errors import VERTEX
from tunedmodels.providers.http import Http
from tunedmodels.providers.pagination import Page, read_all
from tunedmodels.providers.response import Named, decode_page, decode_resource
from tunedmodels.providers.vertex import names
from tunedmodels.providers.vertex.convert import ModelPresence, VertexVersion, job_state
from tunedmodels.wire import vertex as wire

PAGE_SIZE = "100"
# How long a list may lag behind; the services document no limit.
LIST_LAG: Final = timedelta(minutes=10)
# Only v1beta1 contains the detailed state of a running job. Changes use v1.
JOBS_API_VERSION: Final = "v1beta1"

N = TypeVar("N", bound=Named)
LocationAndId = tuple[str, str]


class CreatedJobs(Protocol):
    """The numbers of the jobs that this project created, from its create intents."""

    async def jobs(self) -> Mapping[str, str]:
        """Return the numbers by version."""

    async def job(self, model_id: str) -> str:
        """Return the number of the last job of a version; "" if it is unknown."""


class JobReader:
    """Reads the jobs of `parent` (`projects/P/locations/L`) and what they created.

    `client` returns the client for a location. `projects` are the owner in our labels and its
    former names; versions of other owners are identified by the number of their job. `created`
    knows the jobs that this project created, since the list of jobs may lag. `artifact` returns the
    result of an open model, or None when it was deleted.
    """

    def __init__(
        self,
        parent: str,
        projects: Collection[str],
        client: Callable[[str], Http],
        created: CreatedJobs,
        artifact: Callable[[wire.TuningJob], Awaitable[wire.Model | None]],
    ) -> None:
        self._parent = parent
        self._projects = projects
        self._location = parent.rpartition("/")[2]
        self._client = client
        self._created = created
        self._looked_up: set[str] = set()  # versions whose create was looked up
        self._artifact = artifact
        self._remembered: dict[str, str] = {}

    def remember(self, model_id: str, number: str) -> None:
        """Include the job with this number in `jobs` of a version before any list shows it."""
        self._remembered[model_id] = number

    async def list_versions(self) -> list[VertexVersion]:
        """Return all versions, those of other owners included, without deleted ones."""
        listed, models, created = await asyncio.gather(
            self._list(
                self._location, f"{JOBS_API_VERSION}/{self._parent}/tuningJobs", wire.TuningJobPage
            ),
            self._list_models(self._location),
            self._created.jobs(),
        )
        jobs = [*listed, *await self._unlisted_jobs(listed, created)]
        others = {_model_location(job) for job in jobs} - {"", self._location}
        for group in await gather(self._list_models(location) for location in sorted(others)):
            models += group
        by_name = {names.location_and_id(model.name): model for model in models}
        versions = await gather(self._read_version(job, by_name) for job in jobs)
        return await self._check_endpoints(_most_informative(versions))

    async def _unlisted_jobs(
        self, listed: Iterable[wire.TuningJob], created: Mapping[str, str]
    ) -> list[wire.TuningJob]:
        """Return the jobs that this project created and that no list shows yet."""
        known = set(map(job_number, listed))
        missing = {model_id: job for model_id, job in created.items() if job not in known}
        self._remembered |= missing
        found = await gather(self._job_if_exists(job) for job in missing.values())
        return [job for job in found if job]

    async def _job_if_exists(self, number: str) -> wire.TuningJob | None:
        try:
            return await self.job(number)
        except NotFoundError:
            return None

    async def _list_models(self, location: str) -> list[wire.Model]:
        path = f"v1/{self._parent.rpartition('/')[0]}/{location}/models"
        return await self._list(location, path, wire.ModelPage)

    async def get_version(self, model_id: str) -> VertexVersion | None:
        """Return a version by its id, or None; requests every part of it by name."""
        jobs = await self.jobs(model_id)
        versions = await gather(self._read_version(job, None) for job in jobs)
        checked = await self._check_endpoints(_most_informative(versions))
        return checked[0] if checked else None

    async def require_version(self, model_id: str) -> VertexVersion:
        """Return a version by its id. Raises NotFoundError."""
        version = await self.get_version(model_id)
        if version is None:
            raise NotFoundError(f"The version {model_id} does not exist in {self._parent}.")
        return version

    async def parent_version(self, desired: Desired) -> VertexVersion | None:
        """Return the version to continue from, or None for a base model. Raises NotFoundError."""
        if not desired.inputs.source.startswith("tunedModels/"):
            return None
        parent = await self.get_version(desired.inputs.source.removeprefix("tunedModels/"))
        if parent is None or parent.state is not ModelState.READY:
            raise NotFoundError(
                f"{desired.inputs.source}, the model to continue from, does not exist in "
                f"{self._parent}.",
                cure="Declare both models with the same provider, and apply again.",
            )
        return parent

    async def jobs(self, model_id: str) -> list[wire.TuningJob]:
        """Return all jobs of a version, sorted by the time of their creation."""
        if model_id.isdecimal():  # the number of a job without our labels
            try:
                return [await self.job(model_id)]
            except NotFoundError:
                return []
        path = f"{JOBS_API_VERSION}/{self._parent}/tuningJobs"
        try:
            query = names.version_filter(model_id)
            listed = await self._list(self._location, path, wire.TuningJobPage, filter=query)
        except InvalidArgumentError:  # the grammar of this filter is not documented
            listed = await self._list(self._location, path, wire.TuningJobPage)
        ours = [job for job in listed if self.model_id(job) == model_id]
        if model_id not in self._looked_up | self._remembered.keys():
            self._looked_up.add(model_id)
            if number := await self._created.job(model_id):
                self.remember(model_id, number)
        remembered = self._remembered.get(model_id)
        if remembered and remembered not in map(job_number, ours):
            with suppress(NotFoundError):
                ours.append(await self.job(remembered))
        return sorted(ours, key=_created)

    def model_id(self, job: wire.TuningJob) -> str:
        """Return the id of the version to which a job belongs."""
        return names.version_from_labels(job.labels, self._projects) or job_number(job)

    def version(
        self,
        job: wire.TuningJob,
        model: wire.Model | None = None,
        presence: ModelPresence = ModelPresence.AVAILABLE,
    ) -> VertexVersion:
        """Return a job as a version, with the model that it created."""
        return VertexVersion(self.model_id(job), job, model, presence)

    async def job(self, number: str) -> wire.TuningJob:
        """Return a job by its number. Raises NotFoundError."""
        path = f"{JOBS_API_VERSION}/{self._parent}/tuningJobs/{number}"
        body = await self._home.request_body("GET", path, is_idempotent=True)
        return decode_resource(body, wire.TuningJob, number, VERTEX)

    async def model(self, name: str) -> wire.Model | None:
        """Return a model from the location in its resource name, or None when it was deleted."""
        path = f"v1/{names.without_version(name)}"
        client = self._client(names.location_of(name))
        try:
            body = await client.request_body("GET", path, is_idempotent=True)
        except NotFoundError:
            return None
        return decode_resource(body, wire.Model, name.rpartition("/")[2], VERTEX)

    async def endpoint(self, name: str) -> wire.Endpoint | None:
        """Return an endpoint from its own location, or None when it was deleted."""
        if not name:
            return None
        client = self._client(names.location_of(name))
        try:
            body = await client.request_body("GET", f"v1/{name}", is_idempotent=True)
        except NotFoundError:
            return None
        return decode_resource(body, wire.Endpoint, name.rpartition("/")[2], VERTEX)

    @property
    def _home(self) -> Http:
        return self._client(self._location)

    async def _read_version(
        self, job: wire.TuningJob, listed: Mapping[LocationAndId, wire.Model] | None
    ) -> VertexVersion:
        """Return the version of a job; its model is taken from `listed` or requested by name."""
        name = job.tuned_model.model if job.tuned_model else ""
        if job_state(job) is not ModelState.READY:
            return self.version(job)
        if job.output_uri:
            result = await self._artifact(job) if self._has_our_labels(job) else None
            return self.version(
                job, result, ModelPresence.AVAILABLE if result else ModelPresence.DELETED
            )
        if not name:
            return self.version(job, None, ModelPresence.NO_MODEL)
        if not names.is_resource_name(name):  # the result of an unknown kind of tuning
            return self.version(job, None, ModelPresence.DELETED)
        model = listed.get(names.location_and_id(name)) if listed is not None else None
        # A list may lag or be incomplete. Our model that is not listed is requested by its
        # name, so that no version is trained again because its model was not in a list.
        if model is None and (listed is None or _is_new(job) or self._has_our_labels(job)):
            model = await self.model(name)
        presence = ModelPresence.AVAILABLE if model else ModelPresence.DELETED
        return self.version(job, model, presence)

    async def _check_endpoints(self, versions: Iterable[VertexVersion]) -> list[VertexVersion]:
        """Return the versions; mark those of this project whose endpoint was deleted."""
        checked = list(versions)
        ready = [
            (index, version.job.tuned_model.endpoint)
            for index, version in enumerate(checked)
            if version.job.tuned_model and not version.job.output_uri and self._is_ours(version)
        ]
        endpoints = await gather(self.endpoint(name) for _, name in ready)
        for (index, _), endpoint in zip(ready, endpoints, strict=True):
            if endpoint is None:
                checked[index] = replace(checked[index], presence=ModelPresence.NO_ENDPOINT)
        return checked

    def _is_ours(self, version: VertexVersion) -> bool:
        """Whether the model of a version exists and this project created or adopted it."""
        if version.model is None:
            return False
        stamp = stamps.parse_description(version.model.description)[1]
        is_adopted = stamp is not None and stamp.project in self._projects
        return is_adopted or self._has_our_labels(version.job)

    def _has_our_labels(self, job: wire.TuningJob) -> bool:
        return bool(names.version_from_labels(job.labels, self._projects))

    async def _list(
        self, location: str, path: str, page_type: type[Page[N]], **params: str
    ) -> list[N]:
        client = self._client(location)

        async def fetch(token: str) -> Page[N]:
            query = {"pageSize": PAGE_SIZE, **params, **({"pageToken": token} if token else {})}
            body = await client.request_body("GET", path, params=query, is_idempotent=True)
            return decode_page(body, page_type, VERTEX)

        return await read_all(fetch, lambda entry: entry, identify=lambda entry: entry.name)


def job_number(job: wire.TuningJob) -> str:
    """Return the number of a job, the last part of its name."""
    return job.name.rpartition("/")[2]


def _model_location(job: wire.TuningJob) -> str:
    """Return the location of the model that a job created, "" if it has none."""
    name = job.tuned_model.model if job.tuned_model else ""
    return names.location_of(name) if names.is_resource_name(name) else ""


def _most_informative(versions: Iterable[VertexVersion]) -> list[VertexVersion]:
    """Return one job per version, sorted by id, without versions whose model was deleted."""
    by_id: dict[str, list[VertexVersion]] = defaultdict(list)
    for version in versions:
        by_id[version.model_id].append(version)
    best = (max(same, key=lambda version: version.rank) for same in by_id.values())
    existing = [version for version in best if version.presence is not ModelPresence.DELETED]
    return sorted(existing, key=lambda version: version.model_id)


def _created(job: wire.TuningJob) -> datetime:
    return job.create_time or datetime.min.replace(tzinfo=UTC)


def _is_new(job: wire.TuningJob) -> bool:
    return job.end_time is None or datetime.now(UTC) - job.end_time < LIST_LAG
