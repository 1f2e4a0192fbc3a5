"""What there is at Vertex AI: the versions behind the jobs, and what is left of each.

A list may lag behind: what is missing from one is asked for by its name before it counts as gone,
as long as it is new enough to matter. A job can never be deleted, so that of the jobs of one
version the one that tells most is taken, and a version whose model was deleted is not there.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import msgspec

from tunedmodels import stamp as stamps
from tunedmodels.aio import together
from tunedmodels.errors import InvalidArgumentError, NotFoundError, ProviderError
from tunedmodels.observed import ModelState
from tunedmodels.providers.errors import VERTEX
from tunedmodels.providers.http import Http
from tunedmodels.providers.pagination import Page, read_all
from tunedmodels.providers.vertex import names
from tunedmodels.providers.vertex.convert import Left, Version, job_state
from tunedmodels.wire import vertex as wire

PAGE_SIZE = "100"
# How long a list may fail to show what is there; the services promise nothing about it.
LAG: Final = timedelta(minutes=10)
# v1 does not say what a running job is at, and v1beta1 does; nothing is changed there.
READ: Final = "v1beta1"

T = TypeVar("T")
E = TypeVar("E")
Short = tuple[str, str]  # location and id


class Reader:
    """Looks at the jobs of `parent` (`projects/P/locations/L`); `http` has a client by location.

    `project` owns what bears our labels; all else goes by the number of its job.
    """

    def __init__(self, parent: str, project: str, http: Callable[[str], Http]) -> None:
        self._parent = parent
        self._project = project
        self._location = parent.rpartition("/")[2]
        self._http = http
        self._known: dict[str, str] = {}

    def remember(self, model_id: str, number: str) -> None:
        """Look at a job of a version by its number, too, which no list may show yet."""
        self._known[model_id] = number

    async def all(self) -> list[Version]:
        """Return one version for each that there is, ours or not, without those that are gone."""
        jobs, models = await asyncio.gather(
            self._list(f"{READ}/{self._parent}/tuningJobs", wire.TuningJobPage),
            self._list(f"v1/{self._parent}/models", wire.ModelPage),
        )
        known = {names.short(model.name): model for model in models}
        versions = await together(self._version(job, known) for job in jobs)
        return await self._with_endpoints(_telling(versions))

    async def one(self, model_id: str) -> Version | None:
        """Return a version by its id, or None where there is none; asks for all of it by name."""
        versions = await together(self._version(job, None) for job in await self.jobs(model_id))
        found = await self._with_endpoints(_telling(versions))
        return found[0] if found else None

    async def jobs(self, model_id: str) -> list[wire.TuningJob]:
        """Return all jobs of a version, in the order in which they were created."""
        if model_id.isdecimal():  # the number of a job that bears no labels of ours
            try:
                return [await self.job(model_id)]
            except NotFoundError:
                return []
        path = f"{READ}/{self._parent}/tuningJobs"
        try:
            found = await self._list(path, wire.TuningJobPage, filter=names.of_version(model_id))
        except InvalidArgumentError:  # no grammar of this filter is documented
            found = await self._list(path, wire.TuningJobPage)
        ours = [job for job in found if self.model_id(job) == model_id]
        known = self._known.get(model_id)
        if known and known not in map(number, ours):
            with suppress(NotFoundError):
                ours.append(await self.job(known))
        return sorted(ours, key=_created)

    def model_id(self, job: wire.TuningJob) -> str:
        """Return the id by which the version of a job goes."""
        return names.version_of(job.labels, self._project) or number(job)

    def version(
        self, job: wire.TuningJob, model: wire.Model | None = None, left: Left = Left.ALL
    ) -> Version:
        """Return a job as a version, with the model that it made and what is left of that."""
        return Version(self.model_id(job), job, model, left)

    async def job(self, its_number: str) -> wire.TuningJob:
        """Return a job by its number. Raises NotFoundError."""
        path = f"{READ}/{self._parent}/tuningJobs/{its_number}"
        return read(await self._home.send("GET", path, repeatable=True), wire.TuningJob)

    async def model(self, name: str) -> wire.Model | None:
        """Return a model by its resource name, or None where it is gone."""
        path = f"v1/{names.unversioned(name)}"
        try:
            return read(await self._home.send("GET", path, repeatable=True), wire.Model)
        except NotFoundError:
            return None

    async def endpoint(self, name: str) -> wire.Endpoint | None:
        """Return an endpoint from its own location, or None where it is gone."""
        if not name:
            return None
        client = self._http(names.location(name))
        try:
            return read(await client.send("GET", f"v1/{name}", repeatable=True), wire.Endpoint)
        except NotFoundError:
            return None

    @property
    def _home(self) -> Http:
        return self._http(self._location)

    async def _version(
        self, job: wire.TuningJob, known: Mapping[Short, wire.Model] | None
    ) -> Version:
        """Find the model of a job, among the `known` ones or by its name."""
        name = job.tuned_model.model if job.tuned_model else ""
        if job_state(job) is not ModelState.READY:
            return self.version(job)
        if not name:
            return self.version(job, None, Left.NO_MODEL)
        if not names.is_resource(name):  # of a kind of tuning that we do not know
            return self.version(job, None, Left.NOTHING)
        model = known.get(names.short(name)) if known else None
        if model is None and (known is None or _is_new(job)):
            model = await self.model(name)
        return self.version(job, model, Left.ALL if model else Left.NOTHING)

    async def _with_endpoints(self, versions: Iterable[Version]) -> list[Version]:
        """Tell those of our versions that nobody can ask any more."""
        checked = list(versions)
        ready = [
            (at, each.job.tuned_model.endpoint)
            for at, each in enumerate(checked)
            if each.job.tuned_model and self._is_ours(each)
        ]
        found = await together(self.endpoint(name) for _, name in ready)
        for (at, _), endpoint in zip(ready, found, strict=True):
            if endpoint is None:
                checked[at] = replace(checked[at], left=Left.NO_ENDPOINT)
        return checked

    def _is_ours(self, version: Version) -> bool:
        """Whether we made a version that there is, or adopted it."""
        if version.model is None:
            return False
        stamp = stamps.read(version.model.description)[1]
        is_adopted = stamp is not None and stamp.project == self._project
        return is_adopted or bool(names.version_of(version.job.labels, self._project))

    async def _list(self, path: str, shape: type[Page[E]], **params: str) -> list[E]:
        async def ask(token: str) -> Page[E]:
            query = {"pageSize": PAGE_SIZE, **params, **({"pageToken": token} if token else {})}
            return read(await self._home.send("GET", path, params=query, repeatable=True), shape)

        return await read_all(ask, lambda entry: entry)


def read(body: bytes, shape: type[T]) -> T:
    """Decode an answer. Raises ProviderError when it is none of the service."""
    try:
        return wire.decode(body, shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProviderError(
            f"The answer is not one of Vertex AI: {error}.", cure=VERTEX.endpoint_cure
        ) from error


def _telling(versions: Iterable[Version]) -> list[Version]:
    """Return the one that tells most of each version, without those whose model was deleted."""
    by_id: dict[str, list[Version]] = defaultdict(list)
    for version in versions:
        by_id[version.model_id].append(version)
    telling = (max(same, key=lambda each: each.rank) for same in by_id.values())
    there = [each for each in telling if each.left is not Left.NOTHING]
    return sorted(there, key=lambda each: each.model_id)


def number(job: wire.TuningJob) -> str:
    """Return the number of a job, the last part of its name."""
    return job.name.rpartition("/")[2]


def _created(job: wire.TuningJob) -> datetime:
    return job.create_time or datetime.min.replace(tzinfo=UTC)


def _is_new(job: wire.TuningJob) -> bool:
    return job.end_time is None or datetime.now(UTC) - job.end_time < LAG
