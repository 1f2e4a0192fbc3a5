"""The contract of a provider. Add a new provider to SETUPS to test it.

The fake provider of other tests must fulfil the contract, too, since those tests depend on it.
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
from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.tuning import HOUR_S, loopback_provider
from tunedmodels.datasets.examples import Example, prompt
from tunedmodels.desired import Desired
from tunedmodels.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from tunedmodels.model_fields import MutableFields
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.providers.gemini import messages
from tunedmodels.providers.provider import Edit, Provider
from tunedmodels.providers.registry import open_provider
from tunedmodels.schema.project import EmbeddedSettings, GeminiSettings
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.server import LoopbackOnly

EXAMPLES = [Example(f"text {number}", f"answer {number}") for number in range(24)]


@dataclass(frozen=True)
class Setup:
    """A provider and the means to run its jobs."""

    provider: Provider
    run_jobs: Callable[[], None]
    """Lets jobs run; they are queued until then."""
    base: str = builders.BASE
    supported: frozenset[str] = frozenset({"temperature", "reader_project_numbers", "batch_size"})
    """The fields that not every provider supports."""
    cancels_later: bool = False
    """Whether a cancelled job ends only after another `run_jobs`."""

    def desired(self, name: str = "tone", **fields: Any) -> Desired:
        """A declared model without fields that the provider does not support."""
        unsupported = {"temperature", "top_p", "reader_project_numbers"} - self.supported
        values = {key: value for key, value in fields.items() if key not in unsupported}
        return builders.desired(name, **{"source": self.base, **values})

    @property
    def no_readers(self) -> tuple[int, ...] | None:
        """The observed `reader_project_numbers` of a model without readers."""
        return () if "reader_project_numbers" in self.supported else None

    @property
    def tone(self) -> Desired:
        return self.desired()

    async def create(self, desired: Desired | None = None) -> ObservedModel:
        desired = desired or self.tone
        return await self.provider.create(desired, EXAMPLES, desired.stamp(commit="abc"))

    async def create_ready(self, desired: Desired | None = None) -> ObservedModel:
        """Create a model and wait until its job has ended."""
        created = await self.create(desired)
        self.run_jobs()
        return await self.wait_for(ModelState.READY, created.model_id)

    async def get(self, model_id: str = "") -> ObservedModel:
        model = await self.provider.get(model_id or self.tone.model_id)
        assert model
        return model

    async def wait_for(self, state: ModelState, model_id: str = "") -> ObservedModel:
        while (model := await self.get(model_id)).state is not state:
            assert model.state.is_running, f"{model.state}: {model.failure}"
            await asyncio.sleep(0.02)
        return model

    async def cancel(self) -> None:
        await self.provider.cancel(self.tone.model_id)
        if self.cancels_later:
            self.run_jobs()

    async def deletable(self) -> list[ObservedModel]:
        """All models that can be deleted."""
        return [model for model in await self.provider.observe() if not model.is_job_record]


@asynccontextmanager
async def in_memory(folder: Path) -> AsyncIterator[Setup]:
    clock = FakeClock()

    def run() -> None:
        clock.time += fake.job_duration_s

    fake = FakeProvider(clock)
    yield Setup(fake, run)


@asynccontextmanager
async def in_process(folder: Path) -> AsyncIterator[Setup]:
    with EmbeddedService(folder, jobs=1, engines="tests.support.fakes.engines:ENGINES") as service:
        provider = open_provider(
            "embedded",
            EmbeddedSettings(),
            project="demo",
            environ={},
            embedded_app=service.app,
        )
        async with provider:
            yield Setup(provider, service.start)


@asynccontextmanager
async def over_loopback(folder: Path) -> AsyncIterator[Setup]:
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
            yield Setup(provider, service.start)
        server.should_exit = True
        await serving


@asynccontextmanager
async def at_vertex(folder: Path) -> AsyncIterator[Setup]:
    cloud = LoopbackCloud()
    cloud.buckets.create_bucket("data")
    async with loopback_provider(cloud) as provider:
        yield Setup(
            provider,
            lambda: cloud.advance(HOUR_S),
            base="models/gemini-3.5-flash",
            supported=frozenset(),
            cancels_later=True,
        )
    assert cloud.violations == []


SERVICES = [in_process, over_loopback]
SETUPS = [in_memory, *SERVICES, at_vertex]


@pytest.fixture(params=SETUPS, ids=lambda setup: setup.__name__)
async def setup(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Setup]:
    async with request.param(tmp_path) as opened:
        yield opened


only_services = pytest.mark.parametrize(
    "setup", SERVICES, indirect=True, ids=lambda setup: setup.__name__
)


async def answer(provider: Provider, resource: str, text: str) -> str:
    return "".join([part async for part in provider.generate(resource, text)])


async def test_a_new_provider_has_no_models(setup: Setup) -> None:
    assert await setup.provider.observe() == []
    assert await setup.provider.get("missing") is None


async def test_a_created_model_is_observed_as_declared(setup: Setup) -> None:
    desired = setup.desired(
        description="words\n\nof several lines ", temperature=0.5, reader_project_numbers=(12, 3)
    )
    returned = await setup.create(desired)
    created = await setup.get(desired.model_id)
    assert await setup.provider.observe() == [created]
    declared = desired.fields
    readers = declared.reader_project_numbers or setup.no_readers
    for model in (returned, created):
        assert model.provider == setup.provider.name
        assert model.model_id == desired.model_id
        assert model.resource == created.resource
        assert model.state.is_running
        assert model.stamp == desired.stamp(commit="abc")
        assert model.source == desired.inputs.source
        assert model.fields.display_name == declared.display_name
        assert model.fields.description == declared.description
        assert model.fields.temperature == declared.temperature
        assert model.fields.reader_project_numbers == readers
    assert created.resource
    assert created.used.epoch_count == 5
    assert created.total_steps == (30 if "batch_size" in setup.supported else None)
    assert created.created
    assert not created.completed


async def test_a_second_create_returns_the_first_model(setup: Setup) -> None:
    await setup.create()
    first = await setup.get()
    again = await setup.provider.create(setup.tone, EXAMPLES, setup.tone.stamp(commit="later"))
    assert again == first
    assert len(await setup.provider.observe()) == 1


async def test_simultaneous_creates_make_one_model(setup: Setup) -> None:
    models = await asyncio.gather(*(setup.create() for _ in range(5)))
    assert {model.model_id for model in models} == {setup.tone.model_id}
    assert len(await setup.provider.observe()) == 1


async def test_an_id_with_another_fingerprint_is_a_conflict(setup: Setup) -> None:
    await setup.create_ready()
    taken = setup.tone.stamp()
    other = replace(taken, fingerprint="0" * 64)
    await setup.provider.update(setup.tone.model_id, Edit(other, MutableFields()))
    with pytest.raises(AlreadyExistsError):
        await setup.create()


async def test_models_are_sorted_by_id(setup: Setup) -> None:
    for name in ("b", "c", "a"):
        await setup.create(setup.desired(name))
    ids = [model.model_id for model in await setup.provider.observe()]
    assert ids == sorted(ids)
    assert len(ids) == 3


async def test_an_update_changes_only_the_given_fields(setup: Setup) -> None:
    before = await setup.create_ready(setup.desired(temperature=0.5, top_p=0.9))
    assert before.stamp
    temperature = 0.0 if "temperature" in setup.supported else None
    changes = MutableFields("other", before.fields.description, temperature)
    await setup.provider.update(before.model_id, Edit(before.stamp, changes))
    after = await setup.get()
    assert after == replace(before, fields=replace(before.fields, **changes.values()))


async def test_a_display_name_is_cleared_or_kept(setup: Setup) -> None:
    before = await setup.create_ready()
    assert before.stamp
    await setup.provider.update(before.model_id, Edit(before.stamp, MutableFields(display_name="")))
    # A model of Vertex AI must have one.
    expected = "" if "temperature" in setup.supported else before.fields.display_name
    assert (await setup.get()).fields.display_name == expected


async def test_empty_values_clear_fields(setup: Setup) -> None:
    desired = setup.desired(description="words", reader_project_numbers=(12,))
    await setup.create_ready(desired)
    edit = Edit(desired.stamp(), MutableFields(reader_project_numbers=()))
    await setup.provider.update(setup.tone.model_id, edit)
    after = await setup.get()
    assert after.fields.description == ""
    assert after.fields.reader_project_numbers == setup.no_readers
    assert after.stamp == desired.stamp()


async def test_the_promotion_time_is_stored_to_the_microsecond(setup: Setup) -> None:
    created = await setup.create_ready()
    assert created.stamp
    time = builders.NOON.replace(microsecond=123456)
    stamp = replace(created.stamp.promoted_at(time), score="0.91")
    edit = Edit.of_stamp(created, stamp)
    await setup.provider.update(created.model_id, edit)
    after = await setup.get()
    assert after.promoted == time
    assert after.stamp == edit.stamp


async def test_a_cancelled_model_remains_until_it_is_deleted(setup: Setup) -> None:
    await setup.create()
    await setup.cancel()
    assert (await setup.get()).state is ModelState.CANCELLED
    assert [model.state for model in await setup.provider.observe()] == [ModelState.CANCELLED]
    await setup.provider.cancel(setup.tone.model_id)
    assert (await setup.get()).state is ModelState.CANCELLED


async def test_cancelling_an_ended_job_changes_nothing(setup: Setup) -> None:
    await setup.create()
    setup.run_jobs()
    before = await setup.wait_for(ModelState.READY)
    await setup.provider.cancel(setup.tone.model_id)
    assert await setup.get() == before


async def test_deleting_twice_is_not_an_error(setup: Setup) -> None:
    await setup.create_ready()
    await setup.provider.delete(setup.tone.model_id)
    await setup.provider.delete(setup.tone.model_id)
    assert await setup.provider.observe() == []
    assert await setup.provider.get(setup.tone.model_id) is None


async def test_a_model_that_is_deleted_while_it_trains_is_gone(setup: Setup) -> None:
    await setup.create()
    await setup.provider.delete(setup.tone.model_id)
    if setup.cancels_later:
        setup.run_jobs()
    assert await setup.deletable() == []


async def test_an_id_may_be_used_again_after_a_delete(setup: Setup) -> None:
    await setup.create()
    await setup.provider.delete(setup.tone.model_id)
    if setup.cancels_later:
        setup.run_jobs()
    stamp = setup.tone.stamp(attempt=2)
    assert (await setup.provider.create(setup.tone, EXAMPLES, stamp)).stamp == stamp


async def test_updating_or_cancelling_a_missing_model_raises_not_found(setup: Setup) -> None:
    with pytest.raises(NotFoundError):
        await setup.provider.update("missing", Edit(setup.tone.stamp(), MutableFields()))
    with pytest.raises(NotFoundError):
        await setup.provider.cancel("missing")


async def test_base_models_are_not_tuned_models(setup: Setup) -> None:
    await setup.create()
    names = [base.name for base in await setup.provider.base_models()]
    assert all(name.startswith("models/") for name in names)


@only_services
async def test_a_trained_model_answers(setup: Setup) -> None:
    await setup.create()
    setup.run_jobs()
    ready = await setup.wait_for(ModelState.READY)
    assert ready.step == ready.total_steps == 30
    assert ready.curve[-1].epoch == 5
    assert ready.completed
    assert await answer(setup.provider, ready.resource, "text 7") == "answer 7"


@only_services
async def test_a_preamble_is_part_of_the_training(setup: Setup) -> None:
    desired = setup.desired(preamble="Say:")
    await setup.create(desired)
    setup.run_jobs()
    ready = await setup.wait_for(ModelState.READY, desired.model_id)
    assert await answer(setup.provider, ready.resource, prompt("Say:", "text 7")) == "answer 7"
    assert await answer(setup.provider, ready.resource, "text 7") == "?"


@only_services
async def test_an_answer_may_be_closed_before_its_end(setup: Setup) -> None:
    await setup.create()
    setup.run_jobs()
    ready = await setup.wait_for(ModelState.READY)
    parts = setup.provider.generate(ready.resource, "text 7")
    assert isinstance(parts, AsyncIterator)
    async with aclosing(parts) as opened:  # type: ignore[type-var]  # ours are generators
        assert await anext(opened)
    assert await answer(setup.provider, ready.resource, "text 7") == "answer 7"


@only_services
async def test_a_failed_job_has_a_reason(setup: Setup) -> None:
    desired = setup.desired(source=engines.BROKEN)
    await setup.create(desired)
    setup.run_jobs()
    failed = await setup.wait_for(ModelState.FAILED, desired.model_id)
    assert failed.failure == engines.BROKEN_MESSAGE
    assert await setup.provider.observe() == [failed]


@only_services
async def test_a_running_job_is_cancelled(setup: Setup) -> None:
    desired = setup.desired(source=engines.SLOW)
    await setup.create(desired)
    setup.run_jobs()
    await setup.wait_for(ModelState.TRAINING, desired.model_id)
    await setup.provider.cancel(desired.model_id)
    assert (await setup.get(desired.model_id)).state is ModelState.CANCELLED


@only_services
async def test_more_than_one_page_is_read(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "PAGE_SIZE", "2")
    for number in range(5):
        await setup.create(setup.desired(f"m{number}"))
    assert len(await setup.provider.observe()) == 5
    assert len(await setup.provider.base_models()) == 3


@only_services
async def test_errors_contain_the_message_of_the_service(setup: Setup) -> None:
    with pytest.raises(NotFoundError, match="models/missing is not found"):
        await setup.create(setup.desired(source="models/missing"))
    with pytest.raises(InvalidArgumentError, match="display_name"):
        await setup.create(setup.desired(display_name="x" * 41))
    with pytest.raises(NotFoundError, match="does not exist"):
        await answer(setup.provider, "tunedModels/missing", "text")
