"""Gemini 3 on Vertex AI: base models, tuned models and endpoints in the multi-region `us`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.errors import ServiceError
from tests.support.vertex.tuning import create_model, desired, loopback_provider, train_model
from tunedmodels.errors import NotFoundError, PermissionDeniedError, ProviderError
from tunedmodels.observed import ModelState
from tunedmodels.providers.vertex import names
from tunedmodels.providers.vertex.provider import VertexProvider
from tunedmodels.schema.base_models import BaseModelCatalog
from tunedmodels.schema.tuned_model import GenerationConfig

BASE = "models/gemini-3.5-flash"
TONE = desired(source=BASE)
US_HOST = "aiplatform.us.rep.googleapis.com"


@pytest.fixture
async def vertex(cloud: LoopbackCloud) -> AsyncIterator[VertexProvider]:
    async with loopback_provider(cloud) as provider:
        yield provider


@pytest.mark.parametrize(
    ("location", "served", "expected"),
    [
        ("us-central1", ("us", "eu"), "us"),
        ("us-west1", ("us", "eu"), "us"),
        ("europe-west4", ("us", "eu"), "eu"),
        ("asia-southeast1", ("us", "eu"), "us"),
        ("eu", ("us", "eu"), "eu"),
        ("us-central1", (), "us-central1"),
    ],
)
def test_a_base_model_is_asked_in_the_multi_region_of_its_region(
    location: str, served: tuple[str, ...], expected: str
) -> None:
    assert names.serving_location(location, served) == expected


async def test_a_gemini_3_base_model_is_asked_and_counted_where_it_serves(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    assert await vertex.count_tokens(BASE, ["eight888"]) == 2
    config = GenerationConfig(temperature=0, top_p=0.5, max_output_tokens=9)
    parts = [part async for part in vertex.generate(BASE, "q", config)]
    assert parts == ["gemini-3.5-flash says nothing."]
    assert {request.host for request in cloud.requests} == {US_HOST}
    assert cloud.requests[-1].body["generationConfig"] == {
        "maxOutputTokens": 9,
        "thinkingConfig": {"thinkingLevel": "MINIMAL"},
    }
    assert cloud.violations == []


async def test_a_tuned_model_is_asked_with_the_lowest_level_of_thinking(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    ready = await train_model(cloud, vertex, TONE)
    assert ready.source == BASE
    answer = [part async for part in vertex.generate(ready.resource, "text 3")]
    assert answer == ["answer 3"]
    sent = cloud.requests[-1]
    assert sent.host == US_HOST
    assert sent.body["generationConfig"] == {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}
    assert cloud.violations == []


async def test_a_base_model_without_facts_is_asked_as_before(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    config = GenerationConfig(temperature=0.5)
    assert [part async for part in vertex.generate("models/regional-model", "q", config)]
    assert cloud.requests[-1].body["generationConfig"] == {"temperature": 0.5}


async def test_a_model_in_another_location_is_observed_changed_and_deleted_there(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    await train_model(cloud, vertex, TONE)
    cloud.advance(3600)  # long after the lag of lists
    (observed,) = await vertex.observe()
    assert observed.state is ModelState.READY
    model = next(iter(cloud.registry.models.values()))
    assert model.location == "us"
    await vertex.delete(TONE.model_id)
    assert not cloud.registry.models
    assert await vertex.observe() == []
    assert cloud.violations == []


async def test_a_model_that_no_list_shows_is_requested_by_its_name(
    cloud: LoopbackCloud, vertex: VertexProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await train_model(cloud, vertex, TONE)
    cloud.advance(3600)
    monkeypatch.setattr("tests.support.vertex.vertex_api._list_page", lambda *_: {})
    (observed,) = await vertex.observe()
    assert observed.state is ModelState.READY


async def test_a_model_that_cannot_be_read_is_never_treated_as_deleted(
    cloud: LoopbackCloud, vertex: VertexProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await train_model(cloud, vertex, TONE)
    cloud.advance(3600)
    monkeypatch.setattr("tests.support.vertex.vertex_api._list_page", lambda *_: {})
    cloud.identity.denied.add("aiplatform.models.get")
    with pytest.raises(PermissionDeniedError):
        await vertex.observe()


async def test_a_job_that_no_list_shows_is_observed_by_another_process(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    cloud.jobs.list_lag = 100
    await create_model(vertex, TONE)
    async with loopback_provider(cloud) as other:
        (observed,) = await other.observe()
        assert observed.model_id == TONE.model_id
        assert observed.state.is_running
        assert await other.get(TONE.model_id)


async def test_a_plan_without_access_to_the_bucket_uses_the_list(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    await create_model(vertex, TONE)
    for error in (ServiceError(403, "No."), ServiceError(404, "The bucket does not exist.")):
        cloud.faults.reject(error, "objects.list")
        assert [model.model_id for model in await vertex.observe()] == [TONE.model_id]
    cloud.faults.reject(ServiceError(400, "What?"), "objects.list")
    with pytest.raises(ProviderError):
        await vertex.observe()


async def test_the_row_of_a_project_decides_where_a_base_model_is_asked(
    cloud: LoopbackCloud,
) -> None:
    info = BaseModelCatalog().get("vertex", BASE)
    assert info
    row = info.model_copy(update={"serve_from": None})
    async with loopback_provider(cloud, base_models=BaseModelCatalog([row])) as vertex:
        with pytest.raises(NotFoundError):
            await vertex.count_tokens(BASE, ["x"])
