"""No provider believes a status of 2xx: each operation that returns has had its effect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import builders
from tests.support.fakes.false_answers import FALSE_ANSWERS, FalseAnswers
from tests.support.vertex.client import HOUR_S
from tests.support.vertex.cloud import PROJECT, LoopbackCloud
from tests.support.vertex.service import LoopbackApp
from tests.support.vertex.tuning import BASE
from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.errors import OutcomeUnknownError, ProviderError
from tunedmodels.model_fields import MutableFields
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.providers import http, response
from tunedmodels.providers.gemini.provider import GeminiProvider
from tunedmodels.providers.identity import Credentials
from tunedmodels.providers.provider import Edit, Provider
from tunedmodels.providers.vertex.provider import VertexProvider
from tunedmodels.schema.project import VertexSettings
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.wire.vertex import TuningJobPage

EXAMPLES = [Example(f"text {number}", f"answer {number}") for number in range(24)]
NEW_FIELDS = MutableFields(display_name="other", description="new words")


@dataclass
class Setup:
    """A provider behind a transport that can answer falsely, and the truth about its service."""

    provider: Provider
    answers: FalseAnswers
    base: str
    run_jobs: Callable[[], None]
    count_jobs: Callable[[], Awaitable[int]]
    tone: Desired = field(default_factory=builders.desired)

    def declare(self, name: str) -> None:
        """Declare another model, which the next operations are about."""
        self.tone = builders.desired(name, source=self.base)

    async def truth(self) -> ObservedModel | None:
        """Return the model as the service has it, without false answers."""
        answer, self.answers.answer = self.answers.answer, None
        try:
            return await self.provider.get(self.tone.model_id)
        finally:
            self.answers.answer = answer

    async def create(self) -> ObservedModel:
        return await self.provider.create(self.tone, EXAMPLES, self.tone.stamp(commit="abc"))


@asynccontextmanager
async def gemini(folder: Path) -> AsyncIterator[Setup]:
    with EmbeddedService(folder, jobs=1, engines="tests.support.fakes.engines:ENGINES") as service:
        answers = FalseAnswers(http.asgi_transport(service.app))
        provider = GeminiProvider(
            "g", project="demo", endpoint="http://localhost", transport=answers
        )

        async def count_jobs() -> int:
            return len(await provider.observe())

        async with provider:  # jobs stay queued: every operation is possible then
            yield Setup(provider, answers, builders.BASE, lambda: None, count_jobs)


@asynccontextmanager
async def vertex(folder: Path) -> AsyncIterator[Setup]:
    cloud = LoopbackCloud()
    cloud.buckets.create_bucket("data")

    async def sleep(seconds: float) -> None:
        cloud.advance(seconds)

    async def count_jobs() -> int:
        path = f"v1/{provider._parent}/tuningJobs"
        return len(await provider._reader._list("us-central1", path, TuningJobPage))

    answers = FalseAnswers(http.asgi_transport(LoopbackApp(cloud)))
    provider = VertexProvider(
        "eu",
        project="demo",
        settings=VertexSettings(
            type="vertex", project=PROJECT, location="us-central1", bucket="data"
        ),
        identity=Credentials(access_token=cloud.identity.issue()),
        transport=answers,
        sleep=sleep,
    )
    async with provider:
        yield Setup(
            provider,
            answers,
            BASE,
            lambda: cloud.advance(HOUR_S),
            count_jobs,
        )


@pytest.fixture(params=[gemini, vertex], ids=["gemini", "vertex"])
async def setup(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Setup]:
    monkeypatch.setattr(response, "REREAD_DELAYS_S", (0.0,))
    monkeypatch.setattr(response, "LOOPBACK_REREAD_DELAYS_S", (0.0,))
    async with request.param(tmp_path) as opened:
        yield opened


def is_change(request: httpx.Request) -> bool:
    return request.method != "GET" and "/storage/" not in request.url.path


def is_read(request: httpx.Request) -> bool:
    return request.method == "GET"


def edit_of(model: ObservedModel) -> Edit:
    assert model.stamp
    return Edit(replace(model.stamp, promoted=builders.NOON), NEW_FIELDS)


async def update(setup: Setup) -> Callable[[ObservedModel | None], bool]:
    model = await setup.truth()
    assert model
    edit = edit_of(model)
    await setup.provider.update(setup.tone.model_id, edit)
    return lambda live: live is not None and live.stamp == edit.stamp


async def promote(setup: Setup) -> Callable[[ObservedModel | None], bool]:
    model = await setup.truth()
    assert model
    assert model.stamp
    edit = Edit.of_stamp(model, model.stamp.promoted_at(builders.NOON))
    await setup.provider.update(setup.tone.model_id, edit)
    return lambda live: live is not None and live.promoted == builders.NOON


async def delete(setup: Setup) -> Callable[[ObservedModel | None], bool]:
    await setup.provider.delete(setup.tone.model_id)
    return lambda live: live is None


async def cancel(setup: Setup) -> Callable[[ObservedModel | None], bool]:
    await setup.provider.cancel(setup.tone.model_id)
    setup.run_jobs()
    return lambda live: live is not None and live.state is ModelState.CANCELLED


async def create(setup: Setup) -> Callable[[ObservedModel | None], bool]:
    await setup.create()
    return lambda live: live is not None


async def get(setup: Setup) -> Callable[[ObservedModel | None], bool]:
    seen = await setup.provider.get(setup.tone.model_id)
    return lambda live: live == seen


async def observe(setup: Setup) -> Callable[[ObservedModel | None], bool]:
    seen = await setup.provider.observe()
    return lambda live: live in seen


# The function, whether the model exists before it, and the requests that are answered falsely.
OPERATIONS: dict[str, tuple[Any, bool, Callable[[httpx.Request], bool]]] = {
    "create": (create, False, is_change),
    "update": (update, True, is_change),
    "promote": (promote, True, is_change),
    "cancel": (cancel, True, is_change),
    "delete": (delete, True, is_change),
    "get": (get, True, is_read),
    "list": (observe, True, is_read),
}
# `{}` is the answer to a cancellation and an empty list: nothing shows that it is false.
NOT_FALSE = {("cancel", "empty-message"), ("list", "empty-message")}


@pytest.mark.parametrize("has_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_success_is_reported_only_with_its_effect(
    setup: Setup, operation: str, *, has_effect: bool
) -> None:
    execute, exists, setup.answers.is_hit = OPERATIONS[operation]
    setup.answers.has_effect = has_effect
    for number, (name, answer) in enumerate(FALSE_ANSWERS.items(), start=1):
        if (operation, name) in NOT_FALSE:
            continue
        setup.declare(name)
        if exists:
            await setup.create()
        if operation != "cancel":
            setup.run_jobs()
        jobs, setup.answers.hits = await setup.count_jobs(), 0
        setup.answers.answer = answer
        is_expected = None
        with suppress(ProviderError):
            is_expected = await execute(setup)
        setup.answers.answer = None
        assert setup.answers.hits, name
        assert is_expected is None or is_expected(await setup.truth()), name
        if operation == "create":
            assert await setup.count_jobs() - jobs == has_effect, name
            assert has_effect or is_expected is None, name
            await setup.create()
            assert await setup.count_jobs() - jobs == 1, (number, name)


async def test_a_change_that_was_not_executed_has_an_unknown_outcome(setup: Setup) -> None:
    setup.declare("tone")
    await setup.create()
    setup.run_jobs()
    model = await setup.truth()
    assert model
    setup.answers.is_hit = lambda request: request.method == "PATCH"
    for answer in FALSE_ANSWERS.values():
        setup.answers.answer = answer
        with pytest.raises(OutcomeUnknownError):
            await setup.provider.update(setup.tone.model_id, edit_of(model))
        assert await setup.truth() == model


@pytest.mark.parametrize("answer", FALSE_ANSWERS)
async def test_an_answer_to_a_prompt_is_never_a_false_one(setup: Setup, answer: str) -> None:
    setup.answers.answer = FALSE_ANSWERS[answer]
    with pytest.raises(ProviderError):
        _ = [
            part
            async for part in setup.provider.generate(
                "projects/1/locations/us-central1/endpoints/5", "text 7"
            )
        ]
