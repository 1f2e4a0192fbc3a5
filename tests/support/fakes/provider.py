"""A provider in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

from tests.support.builders import NOON
from tests.support.fakes.clock import FakeClock
from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.errors import AlreadyExistsError, ChangedError, NotFoundError, UnimplementedError
from tunedmodels.events import RequestKind
from tunedmodels.observed import LossPoint, ModelState, ObservedModel, UsedHyperparameters
from tunedmodels.providers.provider import AvailableBaseModel, Edit, NoLock
from tunedmodels.schema.tuned_model import GenerationConfig
from tunedmodels.stamp import Stamp

T = TypeVar("T")


@dataclass(slots=True)
class _Job:
    model: ObservedModel
    started_s: float
    failure: str = ""
    changes: int = 0  #: since it was created
    cancelled_s: float | None = None


@dataclass
class FakeProvider(NoLock):
    """A service in memory, whose jobs take `job_duration_s` seconds of the clock.

    The callbacks receive (call, model id), or the call alone for a query, and may raise.
    """

    clock: FakeClock
    name: str = "embedded"
    is_in_process: bool = True
    owner_warning: str = ""
    has_conditional_delete: bool = True
    job_duration_s: float = 10.0
    cancel_duration_s: float = 0.0
    request_duration_s: float = 0.0
    #: By name, the reasons for which the next jobs fail, in turn; empty for a success.
    failures: dict[str, list[str]] = field(default_factory=dict)
    #: Called before the effect of a request that changes something.
    on_request: Callable[[str, str], None] = lambda _call, _id: None
    #: Called after the effect.
    on_response: Callable[[str, str], None] = lambda _call, _id: None
    on_query: Callable[[str], None] = lambda _call: None
    #: The requests that change something.
    requests: list[tuple[RequestKind, str]] = field(default_factory=list)
    #: The number of started jobs by fingerprint.
    trained: Counter[str] = field(default_factory=Counter)
    concurrent: int = 0
    max_concurrent: int = 0
    edits: list[Edit] = field(default_factory=list)
    queries: Counter[str] = field(default_factory=Counter)
    _jobs: dict[str, _Job] = field(default_factory=dict)

    def add(self, *models: ObservedModel, failure: str = "") -> Self:
        """Add existing models; the jobs of running ones start now."""
        for model in models:
            self._jobs[model.model_id] = _Job(model, self.clock.time, failure)
        return self

    def models(self) -> list[ObservedModel]:
        return [self._observed(self._jobs[model_id]) for model_id in sorted(self._jobs)]

    def remove(self, model_id: str) -> None:
        del self._jobs[model_id]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def observe(self) -> list[ObservedModel]:
        self._count_query("observe")
        return [replace(model, failure="") for model in self.models()]

    async def get(self, model_id: str) -> ObservedModel | None:
        self._count_query("get")
        job = self._jobs.get(model_id)
        if job is None:
            return None
        return replace(self._observed(job), etag=str(job.changes))

    def _require_etag(self, job: _Job, etag: str) -> None:
        if etag and etag != str(job.changes):
            raise ChangedError(f"{job.model.resource} was changed since it was read")

    async def curve(self, model: ObservedModel) -> tuple[LossPoint, ...]:
        return model.curve

    async def create(
        self,
        desired: Desired,
        examples: Sequence[Example],
        stamp: Stamp,
        *,
        validation: Sequence[Example] = (),
    ) -> ObservedModel:
        def start() -> ObservedModel:
            job = self._jobs.get(desired.model_id)
            if job is None:
                self.trained[desired.fingerprint] += 1
                failures = self.failures.get(desired.name) or [""]
                job = _Job(_queued(desired, stamp), self.clock.time, failures.pop(0))
                self._jobs[desired.model_id] = job
            elif job.model.fingerprint != desired.fingerprint:
                raise AlreadyExistsError(f"tunedModels/{desired.model_id} has another owner")
            return self._observed(job)

        return await self._request("create", desired.model_id, start)

    async def update(self, model_id: str, edit: Edit, *, etag: str = "") -> None:
        def write() -> None:
            job = self._job(model_id)
            self._require_etag(job, etag)
            job.changes += 1
            self.edits.append(edit)
            fields = replace(job.model.fields, **edit.fields.values())
            job.model = replace(job.model, stamp=edit.stamp, fields=fields)

        is_promotion = edit.stamp.promoted != self._job(model_id).model.promoted
        await self._request("promote" if is_promotion else "update", model_id, write)

    async def cancel(self, model_id: str) -> None:
        def stop() -> None:
            job = self._job(model_id)
            if self._observed(job).state.is_running:
                job.cancelled_s = self.clock.time + self.cancel_duration_s

        await self._request("cancel", model_id, stop)

    async def delete(self, model_id: str, *, etag: str = "") -> None:
        def remove() -> None:
            if model_id in self._jobs and self.has_conditional_delete:
                self._require_etag(self._jobs[model_id], etag)
            self._jobs.pop(model_id, None)

        await self._request("delete", model_id, remove)

    async def base_models(self) -> list[AvailableBaseModel]:
        return []

    async def count_tokens(self, base: str, texts: Iterable[str]) -> int:
        raise UnimplementedError("this provider cannot count tokens")

    async def generate(
        self,
        resource: str,
        text: str,
        config: GenerationConfig | None = None,
        *,
        system: str = "",
    ) -> AsyncIterator[str]:
        yield f"{resource}: {text}"

    async def _request(self, call: RequestKind, model_id: str, effect: Callable[[], T]) -> T:
        self.requests.append((call, model_id))
        self.concurrent += 1
        self.max_concurrent = max(self.max_concurrent, self.concurrent)
        try:
            self.on_request(call, model_id)
            if self.request_duration_s:
                await self.clock.sleep(self.request_duration_s)
            answer = effect()
            self.on_response(call, model_id)
            return answer
        finally:
            self.concurrent -= 1

    def _count_query(self, call: str) -> None:
        self.queries[call] += 1
        self.on_query(call)

    def _job(self, model_id: str) -> _Job:
        if model_id not in self._jobs:
            raise NotFoundError(f"tunedModels/{model_id} does not exist")
        return self._jobs[model_id]

    def _observed(self, job: _Job) -> ObservedModel:
        if not job.model.state.is_running:
            return replace(job.model, failure=job.failure)
        if job.cancelled_s is not None and self.clock.time >= job.cancelled_s:
            return replace(job.model, state=ModelState.CANCELLED)
        share = (self.clock.time - job.started_s) / self.job_duration_s
        if share >= 1:
            state = ModelState.FAILED if job.failure else ModelState.READY
        else:
            state = ModelState.TRAINING if share > 0 else job.model.state
        curve = _curve(min(share, 1.0), job.model.total_steps or 30)
        return replace(job.model, state=state, curve=curve, failure=job.failure)


def _queued(desired: Desired, stamp: Stamp) -> ObservedModel:
    readers = desired.fields.reader_project_numbers
    return ObservedModel(
        provider=desired.provider,
        model_id=desired.model_id,
        resource=f"tunedModels/{desired.model_id}",
        state=ModelState.QUEUED,
        source=desired.inputs.source,
        fields=replace(desired.fields, reader_project_numbers=readers or ()),
        stamp=stamp,
        used=UsedHyperparameters(epoch_count=5, batch_size=4, learning_rate=0.001),
        created=NOON,
    )


def _curve(share: float, total_steps: int) -> tuple[LossPoint, ...]:
    done = int(share * total_steps)
    points: Iterable[int] = range(1, done + 1)
    return tuple(
        LossPoint(step=n, epoch=n * 5 // total_steps, mean_loss=2.0 / (1 + n / 10)) for n in points
    )
