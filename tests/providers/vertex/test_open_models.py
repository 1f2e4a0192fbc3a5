"""Open models on Vertex AI: v1beta1, a result in the bucket, and a record instead of a model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.support.builders import NOON
from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.tuning import EXAMPLES, create_model, desired, loopback_provider
from tests.support.vertex.tuning import train_model as train
from tunedmodels.errors import ProviderError, UnimplementedError
from tunedmodels.model_fields import MutableFields
from tunedmodels.observed import ModelState, ModelVersions
from tunedmodels.providers.provider import Edit
from tunedmodels.providers.vertex.provider import VertexProvider
from tunedmodels.render.outputs import OUTPUT_RENDERERS
from tunedmodels.schema.tuned_model import Hyperparameters

BASE = "google/gemma3@gemma-3-1b-it"
TONE = desired(
    source=BASE,
    preamble="Be kind.",
    hyperparameters=Hyperparameters(epoch_count=2, learning_rate=0.0002, batch_size=8),
)


@pytest.fixture
async def vertex(cloud: LoopbackCloud) -> AsyncIterator[VertexProvider]:
    async with loopback_provider(cloud) as provider:
        yield provider


def objects(cloud: LoopbackCloud, folder: str) -> list[str]:
    return sorted(name for _, name in cloud.buckets.objects if folder in name)


async def test_a_job_is_created_through_v1beta1_with_messages(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    await create_model(vertex, TONE)
    (create,) = [each for each in cloud.requests if each.name == "tuningJobs.create"]
    assert create.path.startswith("/v1beta1/")
    body = create.body
    assert body["baseModel"] == BASE
    assert body["outputUri"].endswith(f"/{TONE.model_id}/1")
    spec = body["supervisedTuningSpec"]
    assert spec["tuningMode"] == "TUNING_MODE_FULL"
    parameters = {"epochCount": "2", "learningRate": 0.0002, "batchSize": "8"}
    assert spec["hyperParameters"] == parameters
    path = spec["trainingDatasetUri"].removeprefix("gs://data/")
    row = json.loads(cloud.buckets.objects["data", path].data.splitlines()[0])
    assert row == {
        "messages": [
            {"role": "user", "content": "Be kind.\ntext 0"},
            {"role": "assistant", "content": "answer 0"},
        ]
    }


async def test_the_result_is_in_the_bucket_and_does_not_serve(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    ready = await train(cloud, vertex, TONE)
    assert ready.state is ModelState.READY
    assert ready.source == BASE
    assert ready.resource.startswith("gs://data/tunedmodels/outputs/")
    assert ready.resource.endswith("/postprocess/node-0/checkpoints/final")
    assert ready.deploy_command.startswith("gcloud ai model-garden models deploy --model=gs://")
    assert (ready.used.learning_rate, ready.used.batch_size) == (0.0002, 8)
    with pytest.raises(UnimplementedError, match="does not serve until it is deployed"):
        [part async for part in vertex.generate(ready.resource, "q")]
    with pytest.raises(UnimplementedError):
        await vertex.count_tokens(BASE, ["x"])
    assert [each for each in cloud.called_methods if each.startswith("models.g")] == []


async def test_a_promotion_is_written_to_the_record(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    ready = await train(cloud, vertex, TONE)
    assert ready.stamp
    assert ready.stamp.promoted is None
    stamp = replace(ready.stamp, promoted=NOON)
    fields = MutableFields(display_name="new name", description="Kind.", labels={"team": "x"})
    await vertex.update(ready.model_id, Edit(stamp, fields))
    async with loopback_provider(cloud) as other:
        (observed,) = await other.observe()
    assert observed.stamp == stamp
    assert observed.fields.display_name == "new name"
    assert observed.fields.description == "Kind."
    assert observed.fields.labels == {"team": "x"}
    assert len(objects(cloud, "/records/")) == 1


async def test_a_damaged_record_is_an_error_with_its_place(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    ready = await train(cloud, vertex, TONE)
    assert ready.stamp
    await vertex.update(ready.model_id, Edit.of_stamp(ready, ready.stamp))
    (name,) = objects(cloud, "/records/")
    cloud.buckets.put("data", name, b"{")
    with pytest.raises(ProviderError, match="is damaged") as raised:
        await vertex.observe()
    assert f"gcloud storage rm gs://data/{name}" in raised.value.cure


async def test_a_deletion_removes_only_our_artifacts(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    ready = await train(cloud, vertex, TONE)
    assert ready.stamp
    await vertex.update(ready.model_id, Edit.of_stamp(ready, ready.stamp))
    cloud.buckets.put("data", "tunedmodels/outputs/other", b"")
    await vertex.delete(TONE.model_id)
    await vertex.delete(TONE.model_id)
    assert objects(cloud, "/records/") == []
    assert objects(cloud, "/outputs/") == ["tunedmodels/outputs/other"]
    assert await vertex.observe() == []
    assert (await create_model(vertex, TONE)).state.is_running  # the same version again


async def test_a_running_job_is_cancelled_and_its_record_remains(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    await create_model(vertex, TONE)
    await vertex.cancel(TONE.model_id)
    cloud.advance(60)
    (observed,) = await vertex.observe()
    assert observed.is_job_record


async def test_the_system_message_and_a_declared_mode(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    tone = desired(
        source="qwen/qwen3@qwen3-32b",
        preamble="Be kind.",
        preamble_as="systemInstruction",
        tuning_mode="full",
    )
    async with vertex.lock():
        await vertex.create(tone, EXAMPLES, tone.stamp(), validation=EXAMPLES[:2])
    body = cloud.jobs.jobs[0].body["supervisedTuningSpec"]
    assert body["tuningMode"] == "TUNING_MODE_FULL"
    path = body["validationDatasetUri"].removeprefix("gs://data/")
    lines = cloud.buckets.objects["data", path].data.splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0])["messages"][0] == {"role": "system", "content": "Be kind."}


async def test_outputs_say_that_it_does_not_serve(
    cloud: LoopbackCloud,
    vertex: VertexProvider,
) -> None:
    ready = await train(cloud, vertex, TONE)
    assert ready.stamp
    serving = replace(ready, stamp=replace(ready.stamp, promoted=NOON))
    models = [ModelVersions("tone", (serving,), is_declared=True)]
    text = OUTPUT_RENDERERS["text"](models)
    assert f"tone  {ready.resource}\n  does not serve until you deploy it:\n" in text
    assert f"      {ready.deploy_command}\n" in text
    document = json.loads(OUTPUT_RENDERERS["json"](models))
    assert document["tone"]["deployCommand"] == ready.deploy_command
    assert "# does not serve until you deploy it:\n" in OUTPUT_RENDERERS["env"](models)
