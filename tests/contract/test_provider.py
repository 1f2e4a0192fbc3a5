"""What every provider promises. A new provider is tested by being listed in PLACES.

The fake that other tests rest on keeps the same promises, or those tests would prove nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.support import builders
from tests.support.fakes import engines
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.provider import FakeProvider
from tests.support.vertex.cloud import Cloud
from tests.support.vertex.tuning import HOUR, opened
from tunedmodels.datasets.examples import Example, prompt
from tunedmodels.desired import Desired
from tunedmodels.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.providers.gemini import provider as gemini
from tunedmodels.providers.provider import Edit, Provider
from tunedmodels.providers.registry import open_provider
from tunedmodels.schema.project import EmbeddedSettings, GeminiSettings
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.server import LoopbackOnly

EXAMPLES = [Example(f"text {number}", f"answer {number}") for number in range(24)]


@dataclass(frozen=True)
class Place:
    """A provider, and how its jobs are made to run: until then they queue.

    `honours` are the fields beyond what all providers have. Where jobs end only some time after a
    cancel, `let_jobs_run` is what lets it pass.
    """

    provider: Provider
    let_jobs_run: Callable[[], None]
    base: str = builders.BASE
    honours: frozenset[str] = frozenset({"temperature", "reader_project_numbers", "batch_size"})
    cancels_later: bool = False

    def want(self, name: str = "tone", **others: Any) -> Desired:
        """A declared model, without what this place cannot honour."""
        foreign = {"temperature", "top_p", "reader_project_numbers"} - self.honours
        heeded = {key: value for key, value in others.items() if key not in foreign}
        return builders.desired(name, **{"source": self.base, **heeded})

    @property
    def tone(self) -> Desired:
        return self.want()

    async def create(self, want: Desired | None = None) -> ObservedModel:
        want = want or self.tone
        return await self.provider.create(want, EXAMPLES, want.stamp(commit="abc"))

    async def ready(self, want: Desired | None = None) -> ObservedModel:
        """A model whose job has ended."""
        created = await self.create(want)
        self.let_jobs_run()
        return await self.until(ModelState.READY, created.model_id)

    async def get(self, model_id: str = "") -> ObservedModel:
        found = await self.provider.get(model_id or self.tone.model_id)
        assert found
        return found

    async def until(self, state: ModelState, model_id: str = "") -> ObservedModel:
        while (found := await self.get(model_id)).state is not state:
            assert found.state.is_running, f"{found.state}: {found.failure}"
            await asyncio.sleep(0.02)
        return found

    async def cancel(self) -> None:
        await self.provider.cancel(self.tone.model_id)
        if self.cancels_later:
            self.let_jobs_run()

    async def there(self) -> list[ObservedModel]:
        """All that could still be deleted."""
        return [model for model in await self.provider.observe() if not model.is_record]


@asynccontextmanager
async def in_memory(folder: Path) -> AsyncIterator[Place]:
    clock = FakeClock()

    def run() -> None:
        clock.time += fake.takes_s

    fake = FakeProvider(clock)
    yield Place(fake, run)


@asynccontextmanager
async def in_process(folder: Path) -> AsyncIterator[Place]:
    with EmbeddedService(folder, jobs=1, engines="tests.support.fakes.engines:ENGINES") as service:
        provider = open_provider(
            "embedded",
            EmbeddedSettings(),
            project="demo",
            environ={},
            embedded_app=service.app,
        )
        async with provider:
            yield Place(provider, service.start)


@asynccontextmanager
async def over_loopback(folder: Path) -> AsyncIterator[Place]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        EmbeddedService(folder, jobs=1, engines="tests.support.fakes.engines:ENGINES") as service,
    ):
        config = uvicorn.Config(LoopbackOnly(service.app), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        settings = GeminiSettings(
            type="gemini", endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}"
        )
        async with open_provider("local", settings, project="demo", environ={}) as provider:
            yield Place(provider, service.start)
        server.should_exit = True
        await serving


@asynccontextmanager
async def at_vertex(folder: Path) -> AsyncIterator[Place]:
    cloud = Cloud()
    cloud.buckets.make("data")
    async with opened(cloud) as provider:
        yield Place(
            provider,
            lambda: cloud.advance(HOUR),
            base="models/gemini-2.5-flash",
            honours=frozenset(),
            cancels_later=True,
        )
    assert cloud.violations == []


SERVICES = [in_process, over_loopback]
PLACES = [in_memory, *SERVICES, at_vertex]


@pytest.fixture(params=PLACES, ids=lambda place: place.__name__)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with request.param(tmp_path) as opened:
        yield opened


only_services = pytest.mark.parametrize(
    "place", SERVICES, indirect=True, ids=lambda place: place.__name__
)


async def answer(provider: Provider, resource: str, text: str) -> str:
    return "".join([piece async for piece in provider.generate(resource, text)])


async def test_an_empty_place_shows_nothing(place: Place) -> None:
    assert await place.provider.observe() == []
    assert await place.provider.get("nobody") is None


async def test_what_was_created_is_there_as_it_was_declared(place: Place) -> None:
    want = place.want(
        description="words\n\nof several lines ", temperature=0.5, reader_project_numbers=(12, 3)
    )
    created = await place.create(want)
    assert created == await place.get(want.model_id)
    assert await place.provider.observe() == [created]
    assert created.model_id == want.model_id
    assert created.resource
    assert created.state.is_running
    assert created.stamp == want.stamp(commit="abc")
    assert (created.source, created.display_name) == (want.source, want.display_name)
    assert (created.description, created.temperature) == (want.description, want.temperature)
    assert created.reader_project_numbers == (want.reader_project_numbers or ())
    assert created.used.epoch_count == 5
    assert created.total_steps == (30 if "batch_size" in place.honours else None)
    assert created.created
    assert not created.completed


async def test_a_second_create_is_the_first_one(place: Place) -> None:
    first = await place.create()
    again = await place.provider.create(place.tone, EXAMPLES, place.tone.stamp(commit="later"))
    assert again == first
    assert len(await place.provider.observe()) == 1


async def test_creates_at_once_make_one_model(place: Place) -> None:
    made = await asyncio.gather(*(place.create() for _ in range(5)))
    assert {model.model_id for model in made} == {place.tone.model_id}
    assert len(await place.provider.observe()) == 1


async def test_an_id_of_another_fingerprint_is_a_conflict(place: Place) -> None:
    await place.ready()
    taken = place.tone.stamp()
    await place.provider.update(place.tone.model_id, Edit("", replace(taken, fingerprint="0" * 64)))
    with pytest.raises(AlreadyExistsError):
        await place.create()


async def test_models_are_shown_in_the_order_of_their_ids(place: Place) -> None:
    for name in ("b", "c", "a"):
        await place.create(place.want(name))
    found = [model.model_id for model in await place.provider.observe()]
    assert found == sorted(found)
    assert len(found) == 3


async def test_an_update_changes_what_it_names_and_nothing_else(place: Place) -> None:
    before = await place.ready(place.want(temperature=0.5, top_p=0.9))
    assert before.stamp
    words: dict[str, Any] = {"display_name": "other"}
    if "temperature" in place.honours:
        words["temperature"] = 0.0
    await place.provider.update(before.model_id, Edit(before.description, before.stamp, **words))
    after = await place.get()
    assert after == replace(before, **words)


async def test_a_display_name_can_be_taken_away_or_stays(place: Place) -> None:
    before = await place.ready()
    assert before.stamp
    await place.provider.update(before.model_id, Edit("", before.stamp, display_name=""))
    # A model of Vertex AI must have one.
    kept = "" if "temperature" in place.honours else before.display_name
    assert (await place.get()).display_name == kept


async def test_what_is_set_to_nothing_is_empty_afterwards(place: Place) -> None:
    want = place.want(description="words", reader_project_numbers=(12,))
    await place.ready(want)
    edit = Edit("", want.stamp(), reader_project_numbers=())
    await place.provider.update(place.tone.model_id, edit)
    after = await place.get()
    assert after.description == ""
    assert after.reader_project_numbers == ()
    assert after.stamp == want.stamp()


async def test_the_promoted_mark_comes_back_to_the_microsecond(place: Place) -> None:
    created = await place.ready()
    assert created.stamp
    moment = builders.NOON.replace(microsecond=123456)
    edit = Edit(created.description, replace(created.stamp.promoted_at(moment), score="0.91"))
    await place.provider.update(created.model_id, edit)
    after = await place.get()
    assert after.promoted == moment
    assert after.stamp == edit.stamp


async def test_a_cancelled_model_stays_until_it_is_deleted(place: Place) -> None:
    await place.create()
    await place.cancel()
    assert (await place.get()).state is ModelState.CANCELLED
    assert [model.state for model in await place.provider.observe()] == [ModelState.CANCELLED]
    await place.provider.cancel(place.tone.model_id)
    assert (await place.get()).state is ModelState.CANCELLED


async def test_cancelling_what_has_ended_does_no_harm(place: Place) -> None:
    await place.create()
    place.let_jobs_run()
    before = await place.until(ModelState.READY)
    await place.provider.cancel(place.tone.model_id)
    assert await place.get() == before


async def test_deleting_twice_does_no_harm(place: Place) -> None:
    await place.ready()
    await place.provider.delete(place.tone.model_id)
    await place.provider.delete(place.tone.model_id)
    assert await place.provider.observe() == []
    assert await place.provider.get(place.tone.model_id) is None


async def test_what_is_deleted_while_it_trains_is_not_there_any_more(place: Place) -> None:
    await place.create()
    await place.provider.delete(place.tone.model_id)
    if place.cancels_later:
        place.let_jobs_run()
    assert await place.there() == []


async def test_an_id_may_be_used_again_after_a_delete(place: Place) -> None:
    await place.create()
    await place.provider.delete(place.tone.model_id)
    if place.cancels_later:
        place.let_jobs_run()
    stamp = place.tone.stamp(attempt=2)
    assert (await place.provider.create(place.tone, EXAMPLES, stamp)).stamp == stamp


async def test_nobody_can_be_changed_or_cancelled(place: Place) -> None:
    with pytest.raises(NotFoundError):
        await place.provider.update("nobody", Edit("", place.tone.stamp()))
    with pytest.raises(NotFoundError):
        await place.provider.cancel("nobody")


async def test_base_models_are_no_tuned_models(place: Place) -> None:
    await place.create()
    names = [base.name for base in await place.provider.base_models()]
    assert all(name.startswith("models/") for name in names)


# What only a service that really learns can show ------------------------------------------------


@only_services
async def test_a_job_learns_and_its_model_answers(place: Place) -> None:
    await place.create()
    place.let_jobs_run()
    ready = await place.until(ModelState.READY)
    assert ready.step == ready.total_steps == 30
    assert ready.curve[-1].epoch == 5
    assert ready.completed
    assert await answer(place.provider, ready.resource, "text 7") == "answer 7"


@only_services
async def test_a_preamble_is_part_of_what_is_learned(place: Place) -> None:
    want = place.want(preamble="Say:")
    await place.create(want)
    place.let_jobs_run()
    ready = await place.until(ModelState.READY, want.model_id)
    assert await answer(place.provider, ready.resource, prompt("Say:", "text 7")) == "answer 7"
    assert await answer(place.provider, ready.resource, "text 7") == "?"


@only_services
async def test_an_answer_may_be_left_before_its_end(place: Place) -> None:
    await place.create()
    place.let_jobs_run()
    ready = await place.until(ModelState.READY)
    pieces = place.provider.generate(ready.resource, "text 7")
    assert isinstance(pieces, AsyncIterator)
    async with aclosing(pieces) as opened:  # type: ignore[type-var]  # ours are generators
        assert await anext(opened)
    assert await answer(place.provider, ready.resource, "text 7") == "answer 7"


@only_services
async def test_a_failed_job_says_why(place: Place) -> None:
    want = place.want(source=engines.BROKEN)
    await place.create(want)
    place.let_jobs_run()
    failed = await place.until(ModelState.FAILED, want.model_id)
    assert failed.failure == engines.WORDS
    assert await place.provider.observe() == [failed]


@only_services
async def test_a_job_stops_while_it_trains(place: Place) -> None:
    want = place.want(source=engines.SLOW)
    await place.create(want)
    place.let_jobs_run()
    await place.until(ModelState.TRAINING, want.model_id)
    await place.provider.cancel(want.model_id)
    assert (await place.get(want.model_id)).state is ModelState.CANCELLED


@only_services
async def test_more_than_one_page_is_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemini, "PAGE_SIZE", "2")
    for number in range(5):
        await place.create(place.want(f"m{number}"))
    assert len(await place.provider.observe()) == 5
    assert len(await place.provider.base_models()) == 3


@only_services
async def test_what_the_service_refuses_comes_in_its_own_words(place: Place) -> None:
    with pytest.raises(NotFoundError, match="models/nobody is not found"):
        await place.create(place.want(source="models/nobody"))
    with pytest.raises(InvalidArgumentError, match="display_name"):
        await place.create(place.want(display_name="x" * 41))
    with pytest.raises(NotFoundError, match="does not exist"):
        await answer(place.provider, "tunedModels/nobody", "text")
