"""A provider that lives in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self, TypeVar

from tests.support.builders import NOON
from tests.support.fakes.clock import FakeClock
from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.errors import AlreadyExistsError, NotFoundError, UnimplementedError
from tunedmodels.events import Call
from tunedmodels.observed import LossPoint, ModelState, ObservedModel, UsedHyperparameters
from tunedmodels.providers.provider import BaseModel, Edit, Unguarded
from tunedmodels.schema.tuned_model import GenerationConfig
from tunedmodels.stamp import Stamp

T = TypeVar("T")


@dataclass(slots=True)
class _Job:
    model: ObservedModel
    began: float
    failure: str = ""
    stopped: float | None = None


@dataclass
class FakeProvider(Unguarded):
    """A service in memory. Jobs take `takes_s` seconds of the clock, unless told otherwise.

    `failures` holds, by name, the service's words for the next jobs, in turn ("" succeeds).
    `before` and `after` are called with (call, model id) around the effect of each request that
    changes something, and may raise. `requests` lists what was sent; `trained` counts the jobs
    that were really started, by fingerprint.
    """

    clock: FakeClock
    name: str = "embedded"
    trains_here: bool = True
    takes_s: float = 10.0
    cancel_takes_s: float = 0.0
    answer_takes_s: float = 0.0
    failures: dict[str, list[str]] = field(default_factory=dict)
    before: Callable[[str, str], None] = lambda _call, _id: None
    after: Callable[[str, str], None] = lambda _call, _id: None
    asked: Callable[[str], None] = lambda _call: None
    requests: list[tuple[Call, str]] = field(default_factory=list)
    trained: Counter[str] = field(default_factory=Counter)
    busy: int = 0
    busiest: int = 0
    edits: list[Edit] = field(default_factory=list)
    questions: Counter[str] = field(default_factory=Counter)
    _jobs: dict[str, _Job] = field(default_factory=dict)

    def hold(self, *models: ObservedModel, failure: str = "") -> Self:
        """Have these models already; running ones began just now."""
        for model in models:
            self._jobs[model.model_id] = _Job(model, self.clock.time, failure)
        return self

    def models(self) -> list[ObservedModel]:
        return [self._look(self._jobs[model_id]) for model_id in sorted(self._jobs)]

    def drop(self, model_id: str) -> None:
        del self._jobs[model_id]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def observe(self) -> list[ObservedModel]:
        self._ask("observe")
        return [replace(model, failure="") for model in self.models()]

    async def get(self, model_id: str) -> ObservedModel | None:
        self._ask("get")
        job = self._jobs.get(model_id)
        return self._look(job) if job else None

    async def create(
        self,
        desired: Desired,
        examples: Sequence[Example],
        stamp: Stamp,
        *,
        validation: Sequence[Example] = (),
    ) -> ObservedModel:
        def begin() -> ObservedModel:
            there = self._jobs.get(desired.model_id)
            if there is None:
                self.trained[desired.fingerprint] += 1
                words = self.failures.get(desired.name) or [""]
                there = _Job(_queued(desired, stamp), self.clock.time, words.pop(0))
                self._jobs[desired.model_id] = there
            elif there.model.fingerprint != desired.fingerprint:
                raise AlreadyExistsError(f"tunedModels/{desired.model_id} is somebody else's")
            return self._look(there)

        return await self._request("create", desired.model_id, begin)

    async def update(self, model_id: str, edit: Edit) -> None:
        def write() -> None:
            job = self._there(model_id)
            values = {name: getattr(edit, name) for name in Edit.__slots__}
            given = {name: value for name, value in values.items() if value is not None}
            self.edits.append(edit)
            job.model = replace(job.model, **given)

        call: Call = "promote" if edit.stamp.promoted != self._promoted(model_id) else "update"
        await self._request(call, model_id, write)

    async def cancel(self, model_id: str) -> None:
        def stop() -> None:
            job = self._there(model_id)
            if self._look(job).state.is_running:
                job.stopped = self.clock.time + self.cancel_takes_s

        await self._request("cancel", model_id, stop)

    async def delete(self, model_id: str) -> None:
        def remove() -> None:
            self._jobs.pop(model_id, None)

        await self._request("delete", model_id, remove)

    async def base_models(self) -> list[BaseModel]:
        return []

    async def count_tokens(self, base: str, texts: Iterable[str]) -> int:
        raise UnimplementedError("this place counts no tokens")

    async def generate(
        self,
        resource: str,
        text: str,
        config: GenerationConfig | None = None,
        *,
        system: str = "",
    ) -> AsyncIterator[str]:
        yield f"{resource}: {text}"

    async def _request(self, call: Call, model_id: str, effect: Callable[[], T]) -> T:
        self.requests.append((call, model_id))
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            self.before(call, model_id)
            if self.answer_takes_s:
                await self.clock.sleep(self.answer_takes_s)
            answer = effect()
            self.after(call, model_id)
            return answer
        finally:
            self.busy -= 1

    def _ask(self, call: str) -> None:
        self.questions[call] += 1
        self.asked(call)

    def _there(self, model_id: str) -> _Job:
        if model_id not in self._jobs:
            raise NotFoundError(f"tunedModels/{model_id} is not there")
        return self._jobs[model_id]

    def _promoted(self, model_id: str) -> datetime | None:
        return self._there(model_id).model.promoted

    def _look(self, job: _Job) -> ObservedModel:
        if not job.model.state.is_running:
            return replace(job.model, failure=job.failure)
        if job.stopped is not None and self.clock.time >= job.stopped:
            return replace(job.model, state=ModelState.CANCELLED)
        share = (self.clock.time - job.began) / self.takes_s
        if share >= 1:
            state = ModelState.FAILED if job.failure else ModelState.READY
        else:
            state = ModelState.TRAINING if share > 0 else job.model.state
        curve = _curve(min(share, 1.0), job.model.total_steps or 30)
        return replace(job.model, state=state, curve=curve, failure=job.failure)


def _queued(desired: Desired, stamp: Stamp) -> ObservedModel:
    return ObservedModel(
        provider=desired.provider,
        model_id=desired.model_id,
        resource=f"tunedModels/{desired.model_id}",
        state=ModelState.QUEUED,
        source=desired.source,
        display_name=desired.display_name,
        description=desired.description,
        stamp=stamp,
        temperature=desired.temperature,
        top_p=desired.top_p,
        top_k=desired.top_k,
        reader_project_numbers=desired.reader_project_numbers or (),
        used=UsedHyperparameters(epoch_count=5, batch_size=4, learning_rate=0.001),
        created=NOON,
    )


def _curve(share: float, total_steps: int) -> tuple[LossPoint, ...]:
    done = int(share * total_steps)
    points: Iterable[int] = range(1, done + 1)
    return tuple(
        LossPoint(step=n, epoch=n * 5 // total_steps, mean_loss=2.0 / (1 + n / 10)) for n in points
    )
