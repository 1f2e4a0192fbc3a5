"""What must never be hurt at Vertex AI: the versions of others, and what shares a place with ours.

Ids of jobs are the service's. So nothing keeps two projects from making a version of the same name
and fingerprint, and nothing but labels and stamps tells whose it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.vertex.cloud import Cloud
from tests.support.vertex.tuning import create, desired, opened, tuned
from tunedmodels.errors import InvalidArgumentError, RefusedError
from tunedmodels.observed import ModelState
from tunedmodels.providers.provider import Edit
from tunedmodels.providers.vertex.provider import VertexProvider

TONE = desired()
THEIRS = desired(project="other")


@pytest.fixture
async def vertex(cloud: Cloud) -> AsyncIterator[VertexProvider]:
    async with opened(cloud) as provider:
        yield provider


@pytest.fixture
async def others(cloud: Cloud) -> AsyncIterator[VertexProvider]:
    """The provider of another project, with the same manifests in the same place."""
    async with opened(cloud, project_name="other") as provider:
        yield provider


async def test_two_projects_with_the_same_manifests_do_not_touch_each_other(
    cloud: Cloud, vertex: VertexProvider, others: VertexProvider
) -> None:
    assert THEIRS.model_id == TONE.model_id
    theirs = await tuned(cloud, others, THEIRS)
    assert theirs.stamp
    await others.update(theirs.model_id, Edit("", theirs.stamp.promoted_at(cloud.now())))
    theirs = next(iter(await others.observe()))

    assert await vertex.get(TONE.model_id) is None
    ours = await tuned(cloud, vertex, TONE)
    assert ours.stamp == TONE.stamp(commit="abc")
    assert len(cloud.jobs.jobs) == 2
    assert await others.get(THEIRS.model_id) == theirs
    assert [m.stamp for m in await vertex.observe() if m.model_id == TONE.model_id] == [ours.stamp]

    await vertex.cancel(TONE.model_id)
    await vertex.delete(TONE.model_id)
    assert await vertex.get(TONE.model_id) is None
    assert await others.get(THEIRS.model_id) == theirs, "theirs serves, and went on serving"


async def test_a_running_job_of_another_project_is_not_cancelled(
    cloud: Cloud, vertex: VertexProvider, others: VertexProvider
) -> None:
    await create(others, THEIRS)
    await create(vertex, TONE)
    await vertex.cancel(TONE.model_id)
    await vertex.delete(TONE.model_id)
    cloud.advance(60)
    states = [(await each.get(TONE.model_id)) for each in (vertex, others)]
    assert [found.state for found in states if found] == [
        ModelState.CANCELLED,
        ModelState.TRAINING,
    ]


async def test_what_others_made_is_shown_under_the_number_of_its_job(
    cloud: Cloud, vertex: VertexProvider, others: VertexProvider
) -> None:
    await tuned(cloud, others, THEIRS)
    (theirs,) = await vertex.observe()
    assert theirs.model_id == cloud.jobs.jobs[0].number
    assert theirs.stamp
    assert theirs.stamp.project == "other"
    assert await vertex.get(theirs.model_id) == theirs


async def test_another_version_of_our_model_that_somebody_deployed_beside_it_is_left_alone(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    ready = await tuned(cloud, vertex, desired(last_checkpoint_only=True))
    (endpoint,) = cloud.registry.endpoints.values()
    (model,) = cloud.registry.models.values()
    cloud.registry.add_version(model, model.location, dict(model.versions["1"]), {})
    first = endpoint.document["deployedModels"][0]
    second = {**first, "id": "7", "model": f"{model.name}@2", "modelVersionId": "2"}
    endpoint.document["deployedModels"].append(second)
    endpoint.document["trafficSplit"] = {"7": 100}
    await vertex.delete(ready.model_id)
    assert [one["id"] for one in endpoint.document["deployedModels"]] == ["7"]
    assert list(model.versions) == ["2"]


async def test_traffic_that_goes_to_another_version_of_our_model_too_is_not_cut_off(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    ready = await tuned(cloud, vertex, desired(last_checkpoint_only=True))
    (endpoint,) = cloud.registry.endpoints.values()
    first = endpoint.document["deployedModels"][0]
    second = {**first, "id": "7", "model": first["model"][:-1] + "2", "modelVersionId": "2"}
    endpoint.document["deployedModels"].append(second)
    with pytest.raises(InvalidArgumentError, match="other models"):
        await vertex.delete(ready.model_id)
    assert len(endpoint.document["deployedModels"]) == 2


async def test_an_adopted_model_without_its_endpoint_is_no_use_either(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    await tuned(cloud, vertex, TONE)
    del cloud.jobs.jobs[0].sent["labels"], cloud.jobs.jobs[0].sent["description"]
    (model,) = await vertex.observe()
    await vertex.update(model.model_id, Edit("", TONE.stamp()))
    cloud.registry.endpoints.clear()
    (adopted,) = await vertex.observe()
    assert adopted.stamp == TONE.stamp()
    assert adopted.state is ModelState.FAILED
    assert await vertex.get(adopted.model_id) == adopted


async def test_whoever_lost_the_lock_while_it_waited_ends_nothing_any_more(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    """A machine that slept for an hour: another apply works with other manifests by now."""
    await tuned(cloud, vertex, TONE)
    running = desired("running")
    await create(vertex, running)
    async with vertex.guard(), opened(cloud) as later:
        await later.break_guard()
        for end in (vertex.delete, vertex.cancel):
            with pytest.raises(RefusedError, match="Nothing was sent"):
                await end(running.model_id)
        with pytest.raises(RefusedError, match="Nothing was sent"):
            await vertex.delete(TONE.model_id)
    assert cloud.count("tuningJobs.cancel") == cloud.count("endpoints.undeployModel") == 0
    await vertex.delete(TONE.model_id)


async def test_a_create_that_was_not_answered_is_looked_for_whatever_the_clocks_say(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    """Its machine died at once, and its clock was wrong by hours."""
    cloud.jobs.lists_until_shown = 6
    async with opened(cloud) as died:
        await create(died, TONE)
    ((bucket, name),) = [key for key in cloud.buckets.objects if "/creates/" in key[1]]
    cloud.buckets.put(bucket, name, b"", began="2001-01-01T00:00:00+00:00", job="", before="")
    await create(vertex, TONE)
    assert len(cloud.jobs.jobs) == 1
