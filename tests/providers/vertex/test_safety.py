"""Versions of other owners in the same location of Vertex AI are never changed.

The service assigns the ids of jobs. So two projects may create a version with the same name and
fingerprint, and only labels and stamps show to which project it belongs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.tuning import create_model, desired, loopback_provider, train_model
from tunedmodels.errors import InvalidArgumentError, RefusedError
from tunedmodels.observed import ModelState
from tunedmodels.providers.provider import Edit
from tunedmodels.providers.vertex.provider import VertexProvider

TONE = desired()
THEIRS = desired(project="other")


@pytest.fixture
async def vertex(cloud: LoopbackCloud) -> AsyncIterator[VertexProvider]:
    async with loopback_provider(cloud) as provider:
        yield provider


@pytest.fixture
async def others(cloud: LoopbackCloud) -> AsyncIterator[VertexProvider]:
    """The provider of another project, with the same manifests in the same location."""
    async with loopback_provider(cloud, project_name="other") as provider:
        yield provider


async def test_two_projects_with_the_same_manifests_do_not_affect_each_other(
    cloud: LoopbackCloud, vertex: VertexProvider, others: VertexProvider
) -> None:
    assert THEIRS.model_id == TONE.model_id
    other = await train_model(cloud, others, THEIRS)
    assert other.stamp
    promoted = other.stamp.promoted_at(cloud.now())
    await others.update(other.model_id, Edit.of_stamp(other, promoted))
    other = next(iter(await others.observe()))

    assert await vertex.get(TONE.model_id) is None
    ours = await train_model(cloud, vertex, TONE)
    assert ours.stamp == TONE.stamp(commit="abc")
    assert len(cloud.jobs.jobs) == 2
    assert await others.get(THEIRS.model_id) == other
    assert [m.stamp for m in await vertex.observe() if m.model_id == TONE.model_id] == [ours.stamp]

    await vertex.cancel(TONE.model_id)
    await vertex.delete(TONE.model_id)
    assert await vertex.get(TONE.model_id) is None
    assert await others.get(THEIRS.model_id) == other, (
        "the version of the other project still serves"
    )


async def test_a_running_job_of_another_project_is_not_cancelled(
    cloud: LoopbackCloud, vertex: VertexProvider, others: VertexProvider
) -> None:
    await create_model(others, THEIRS)
    await create_model(vertex, TONE)
    await vertex.cancel(TONE.model_id)
    await vertex.delete(TONE.model_id)
    cloud.advance(60)
    models = [(await provider.get(TONE.model_id)) for provider in (vertex, others)]
    assert [model.state for model in models if model] == [
        ModelState.CANCELLED,
        ModelState.TRAINING,
    ]


async def test_a_version_of_another_project_is_identified_by_the_number_of_its_job(
    cloud: LoopbackCloud, vertex: VertexProvider, others: VertexProvider
) -> None:
    await train_model(cloud, others, THEIRS)
    (other,) = await vertex.observe()
    assert other.model_id == cloud.jobs.jobs[0].number
    assert other.stamp
    assert other.stamp.project == "other"
    assert await vertex.get(other.model_id) == other


async def test_another_deployed_version_of_our_model_is_not_changed(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    ready = await train_model(cloud, vertex, desired(last_checkpoint_only=True))
    (endpoint,) = cloud.registry.endpoints.values()
    (model,) = cloud.registry.models.values()
    cloud.registry.add_version(model, model.location, dict(model.versions["1"]), {})
    first = endpoint.document["deployedModels"][0]
    second = {**first, "id": "7", "model": f"{model.name}@2", "modelVersionId": "2"}
    endpoint.document["deployedModels"].append(second)
    endpoint.document["trafficSplit"] = {"7": 100}
    await vertex.delete(ready.model_id)
    assert [deployed["id"] for deployed in endpoint.document["deployedModels"]] == ["7"]
    assert list(model.versions) == ["2"]


async def test_a_version_that_shares_traffic_with_another_one_is_not_deleted(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    ready = await train_model(cloud, vertex, desired(last_checkpoint_only=True))
    (endpoint,) = cloud.registry.endpoints.values()
    first = endpoint.document["deployedModels"][0]
    second = {**first, "id": "7", "model": first["model"][:-1] + "2", "modelVersionId": "2"}
    endpoint.document["deployedModels"].append(second)
    with pytest.raises(InvalidArgumentError, match="other models"):
        await vertex.delete(ready.model_id)
    assert len(endpoint.document["deployedModels"]) == 2


async def test_an_adopted_model_without_its_endpoint_has_failed(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    await train_model(cloud, vertex, TONE)
    del cloud.jobs.jobs[0].body["labels"], cloud.jobs.jobs[0].body["description"]
    (model,) = await vertex.observe()
    await vertex.update(model.model_id, Edit.of_stamp(model, TONE.stamp()))
    cloud.registry.endpoints.clear()
    (adopted,) = await vertex.observe()
    assert adopted.stamp == TONE.stamp()
    assert adopted.state is ModelState.FAILED
    assert await vertex.get(adopted.model_id) == adopted


async def test_a_process_that_lost_the_lock_stops_and_deletes_nothing(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    """After an hour of suspension, another apply may use other manifests."""
    await train_model(cloud, vertex, TONE)
    running = desired("running")
    await create_model(vertex, running)
    async with vertex.lock(), loopback_provider(cloud) as later:
        await later.break_lock()
        for stop in (vertex.delete, vertex.cancel):
            with pytest.raises(RefusedError, match="Nothing was sent"):
                await stop(running.model_id)
        with pytest.raises(RefusedError, match="Nothing was sent"):
            await vertex.delete(TONE.model_id)
    assert (
        cloud.request_count("tuningJobs.cancel")
        == cloud.request_count("endpoints.undeployModel")
        == 0
    )
    await vertex.delete(TONE.model_id)


async def test_the_job_of_an_unanswered_create_is_found_independent_of_clocks(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    """The creating machine stopped at once, and its clock was wrong by hours."""
    cloud.jobs.list_lag = 6
    async with loopback_provider(cloud) as creator:
        await create_model(creator, TONE)
    ((bucket, name),) = [key for key in cloud.buckets.objects if "/creates/" in key[1]]
    cloud.buckets.put(bucket, name, b"", began="2001-01-01T00:00:00+00:00", job="", before="")
    await create_model(vertex, TONE)
    assert len(cloud.jobs.jobs) == 1
