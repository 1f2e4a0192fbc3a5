"""The provider of Vertex AI on the loopback cloud, beyond the contract of a provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.errors import ServiceError
from tests.support.vertex.faults import Fault
from tests.support.vertex.jobs import JobOutcome
from tests.support.vertex.tuning import (
    EXAMPLES,
    HOUR_S,
    create_model,
    desired,
    loopback_provider,
    train_model,
)
from tunedmodels.datasets.examples import Preference
from tunedmodels.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RefusedError,
)
from tunedmodels.model_fields import MutableFields
from tunedmodels.observed import ModelState
from tunedmodels.providers.provider import Edit
from tunedmodels.providers.vertex import read
from tunedmodels.providers.vertex.provider import VertexProvider
from tunedmodels.schema.tuned_model import Hyperparameters

TONE = desired()


@pytest.fixture
async def vertex(cloud: LoopbackCloud) -> AsyncIterator[VertexProvider]:
    async with loopback_provider(cloud) as provider:
        yield provider


async def test_the_stamp_is_in_the_job_and_later_in_its_model(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    tone = desired(description="words\nof two lines")
    created = await create_model(vertex, tone)
    assert created.state is ModelState.QUEUED
    assert created.job_phase == "waiting for capacity"
    assert created.stamp == tone.stamp(commit="abc")
    assert created.fields.description == tone.fields.description
    assert await vertex.observe() == [created]
    cloud.advance(HOUR_S)
    ready = await vertex.get(tone.model_id)
    assert ready
    assert ready.state is ModelState.READY
    assert ready.stamp == created.stamp
    assert "/endpoints/" in ready.resource
    assert ready.total_steps == 15
    sent = cloud.jobs.jobs[0].body
    assert sent["labels"]["tunedmodels-version"] == tone.model_id
    assert all(len(value) <= 63 for value in sent["labels"].values())


async def test_a_promotion_is_one_patch_of_one_model(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    ready = await train_model(cloud, vertex, TONE)
    assert ready.stamp
    before = cloud.request_count("models.patch")
    stamp = ready.stamp.promoted_at(cloud.now())
    changes = MutableFields(description="new text", display_name="Tone!")
    await vertex.update(TONE.model_id, Edit(stamp, changes))
    assert cloud.request_count("models.patch") == before + 1
    after = await vertex.get(TONE.model_id)
    fields = replace(ready.fields, **changes.values())
    assert after == replace(ready, fields=fields, stamp=stamp)


async def test_all_declared_fields_are_sent(cloud: LoopbackCloud, vertex: VertexProvider) -> None:
    key = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
    account = "tuner@proj-1.iam.gserviceaccount.com"
    tone = desired(
        hyperparameters=Hyperparameters(
            epoch_count=2, learning_rate_multiplier=0.5, adapter_size=4
        ),
        last_checkpoint_only=True,
        encryption_key=key,
        service_account=account,
        validation=TONE.inputs.dataset,
    )
    await create_model(vertex, tone, validation=EXAMPLES[:20])
    sent = cloud.jobs.jobs[0].body
    spec = sent["supervisedTuningSpec"]
    assert spec["hyperParameters"] == {
        "epochCount": "2",
        "learningRateMultiplier": 0.5,
        "adapterSize": "ADAPTER_SIZE_FOUR",
    }
    assert spec["exportLastCheckpointOnly"] is True
    assert spec["validationDatasetUri"] != spec["trainingDatasetUri"]
    assert sent["encryptionSpec"] == {"kmsKeyName": key}
    assert sent["serviceAccount"] == account


async def test_preferences_are_trained_with_their_own_settings(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    pairs = [Preference(e.text_input, e.output, "no") for e in EXAMPLES]
    tone = desired(
        method="preference",
        preamble="Be kind.",
        preamble_as="systemInstruction",
        hyperparameters=Hyperparameters(epoch_count=1, beta=0.1),
    )
    ready = await train_model(cloud, vertex, tone, examples=pairs)
    assert ready.state is ModelState.READY
    spec = cloud.jobs.jobs[0].body["preferenceOptimizationSpec"]
    assert spec["hyperParameters"] == {"epochCount": "1", "beta": 0.1}
    answer = [part async for part in vertex.generate(ready.resource, "text 3", system="Be kind.")]
    assert "".join(answer) == "answer 3"


async def test_a_child_continues_from_its_parent(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    parent = await train_model(cloud, vertex, TONE)
    child = desired("child", source=f"tunedModels/{TONE.model_id}", parent="tone")
    ready = await train_model(cloud, vertex, child)
    assert ready.source == f"tunedModels/{TONE.model_id}"
    source = cloud.jobs.jobs[1].body["preTunedModel"]["tunedModelName"]
    assert source.endswith("@1")
    # Two models, since versions of one model could not be deleted independently.
    assert len(cloud.registry.models) == 2
    assert await vertex.get(TONE.model_id) == parent


async def test_a_child_with_the_display_name_of_its_parent_is_a_separate_model(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    await train_model(cloud, vertex, TONE)
    child = desired("child", source=f"tunedModels/{TONE.model_id}", display_name="tone")
    await train_model(cloud, vertex, child)
    assert len(cloud.registry.models) == 2


async def test_a_child_requires_its_parent_in_the_same_location(vertex: VertexProvider) -> None:
    with pytest.raises(NotFoundError, match="the model to continue from"):
        await create_model(vertex, desired("child", source="tunedModels/tone-00000000"))


async def test_a_model_is_deleted_with_all_its_endpoints(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    await train_model(cloud, vertex, TONE)
    assert len(cloud.registry.endpoints) == 5  # one for each checkpoint
    await vertex.delete(TONE.model_id)
    assert not cloud.registry.endpoints
    assert not cloud.registry.models
    assert await vertex.get(TONE.model_id) is None
    assert await vertex.observe() == []
    await vertex.delete(TONE.model_id)


@pytest.mark.parametrize("skip", range(14))
async def test_an_interrupted_deletion_is_continued(
    cloud: LoopbackCloud, vertex: VertexProvider, skip: int
) -> None:
    tone = desired(hyperparameters=Hyperparameters(epoch_count=2))
    await train_model(cloud, vertex, tone)
    stops = iter([False] * skip + [True] * 100)
    orders = ("endpoints.undeployModel", "endpoints.delete", "models.delete", "operations.get")

    def stop(name: str) -> None:
        if name in orders and next(stops):
            raise KeyError(name)

    cloud.faults.on_response = stop
    with suppress(KeyError):
        await vertex.delete(tone.model_id)
    cloud.faults.on_response = lambda _: None
    cloud.advance(60)
    await vertex.delete(tone.model_id)
    assert (cloud.registry.endpoints, cloud.registry.models) == ({}, {})


async def test_an_endpoint_with_other_models_is_not_changed(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    ready = await train_model(cloud, vertex, desired(last_checkpoint_only=True))
    (endpoint,) = cloud.registry.endpoints.values()
    other = {
        **endpoint.document["deployedModels"][0],
        "id": "7",
        "model": "projects/1/locations/us-central1/models/9@1",
    }
    endpoint.document["deployedModels"].append(other)
    with pytest.raises(InvalidArgumentError, match="to other models"):
        await vertex.delete(ready.model_id)
    assert len(endpoint.document["deployedModels"]) == 2


async def test_a_failed_job_has_a_reason_and_leaves_only_a_record(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    cloud.jobs.outcomes.append(JobOutcome("JOB_STATE_FAILED", (3, "no good")))
    failed = await train_model(cloud, vertex, TONE)
    assert (failed.state, failed.is_job_record) == (ModelState.FAILED, True)
    assert failed.failure.startswith("no good (job ")
    assert await vertex.observe() == [failed]
    again = await vertex.create(TONE, EXAMPLES, TONE.stamp(attempt=2))
    assert again.stamp
    assert (again.state.is_running, again.stamp.attempt) == (True, 2)
    assert await vertex.observe() == [await vertex.get(TONE.model_id)]


async def test_a_cancelled_job_leaves_a_record_and_a_new_job_may_follow(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    await create_model(vertex, TONE)
    await vertex.cancel(TONE.model_id)
    current = await vertex.get(TONE.model_id)
    assert current
    assert (current.state, current.job_phase) == (ModelState.TRAINING, "being cancelled")
    cloud.advance(60)
    gone = await vertex.get(TONE.model_id)
    assert gone
    assert (gone.state, gone.is_job_record) == (ModelState.CANCELLED, True)
    assert (await create_model(vertex, TONE)).state.is_running


async def test_a_model_without_its_endpoint_has_failed(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    await train_model(cloud, vertex, TONE)
    cloud.registry.endpoints.clear()
    broken = await vertex.get(TONE.model_id)
    assert broken
    assert (broken.state, broken.is_job_record) == (ModelState.FAILED, False)
    assert "endpoint was deleted" in broken.failure


DROPPED = JobOutcome(dropped={3: "too long", 17: "too long"})


@pytest.mark.parametrize("policy", ["error", "warn"])
async def test_dropped_examples_are_reported_and_block_by_setting(
    cloud: LoopbackCloud, policy: str
) -> None:
    cloud.jobs.outcomes.append(DROPPED)
    async with loopback_provider(cloud, on_dropped_examples=policy) as vertex:
        ready = await train_model(cloud, vertex, TONE)
    assert ready.state is ModelState.READY
    assert ready.warning == "trained on 22 of 24 examples (dropped: 3, 17: too long)"
    assert ready.blocked_reason == (ready.warning if policy == "error" else "")


async def test_a_model_in_another_location_is_called_and_deleted_there(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    tone = desired(source="models/gemini-3.5-flash")
    ready = await train_model(cloud, vertex, tone)
    assert "/locations/us/" in ready.resource
    assert [part async for part in vertex.generate(ready.resource, "text 3")] == ["answer 3"]
    await vertex.delete(tone.model_id)
    assert not cloud.registry.endpoints


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.TRUNCATED, Fault.FAILED_AFTER])
async def test_a_create_with_a_lost_response_is_found_and_not_repeated(
    cloud: LoopbackCloud, vertex: VertexProvider, fault: Fault
) -> None:
    cloud.jobs.list_lag = 2
    cloud.faults.add(fault, "tuningJobs.create")
    created = await create_model(vertex, TONE)
    assert cloud.request_count("tuningJobs.create") == len(cloud.jobs.jobs) == 1
    assert created.resource == cloud.jobs.jobs[0].name


async def test_a_lost_create_has_an_unknown_outcome(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    cloud.faults.add(Fault.LOST_BEFORE, "tuningJobs.create")
    with pytest.raises(OutcomeUnknownError, match="may or may not have started"):
        await create_model(vertex, TONE)
    assert cloud.request_count("tuningJobs.create") == 1
    assert (await create_model(vertex, TONE)).state.is_running
    assert len(cloud.jobs.jobs) == 1


async def test_a_lost_retry_is_distinguished_from_the_previous_attempt(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    cloud.jobs.outcomes.append(JobOutcome("JOB_STATE_FAILED", (3, "no good")))
    await train_model(cloud, vertex, TONE)
    cloud.faults.add(Fault.LOST_AFTER, "tuningJobs.create")
    created = await vertex.create(TONE, EXAMPLES, TONE.stamp(attempt=2))
    assert created.stamp
    assert (created.stamp.attempt, len(cloud.jobs.jobs)) == (2, 2)


async def test_nothing_is_created_without_the_lock(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    async with vertex.lock():
        async with loopback_provider(cloud) as other:
            await other.break_lock()
        with pytest.raises(RefusedError, match="was lost"):
            await vertex.create(TONE, EXAMPLES, TONE.stamp())
    assert cloud.request_count("tuningJobs.create") == 0


async def test_a_job_with_our_labels_and_no_stamp_is_a_conflict(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    await create_model(vertex, TONE)
    cloud.jobs.jobs[0].body["description"] = "no stamp at all"
    with pytest.raises(AlreadyExistsError):
        await create_model(vertex, TONE)


async def test_a_version_without_our_labels_is_identified_by_the_number_of_its_job(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    await train_model(cloud, vertex, TONE)
    del cloud.jobs.jobs[0].body["labels"]
    (other,) = await vertex.observe()
    assert other.model_id == cloud.jobs.jobs[0].number
    assert await vertex.get(other.model_id) == other


async def test_a_rejected_filter_is_replaced_by_a_complete_list(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    await create_model(vertex, TONE)
    cloud.faults.reject(ServiceError(400, "Invalid filter."), "tuningJobs.list")
    assert await vertex.get(TONE.model_id)


async def test_a_model_that_is_not_listed_yet_does_not_count_as_deleted(
    cloud: LoopbackCloud, vertex: VertexProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = await train_model(cloud, vertex, TONE)
    shown = cloud.registry.models

    def hide(name: str) -> None:
        cloud.registry.models = {} if name == "models.list" else shown

    cloud.faults.on_request = hide
    monkeypatch.setattr(read, "LIST_LAG", timedelta(days=10_000))
    assert await vertex.observe() == [ready]


async def test_an_error_contains_the_message_and_the_id_of_the_request(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    refusal = ServiceError(403, "Not today.", headers={"x-request-id": "abc-123"})
    cloud.faults.reject(refusal, "tuningJobs.list")
    with pytest.raises(PermissionDeniedError, match=r"Not today\. \(request abc-123\)") as caught:
        await vertex.observe()
    assert "roles/aiplatform.user" in caught.value.cure


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        ("JOB_STATE_SUCCEEDED", ModelState.TRAINING),  # the job names its model a moment later
        ("JOB_STATE_PARTIALLY_SUCCEEDED", ModelState.FAILED),
        ("JOB_STATE_EXPIRED", ModelState.FAILED),
        ("JOB_STATE_OF_TOMORROW", ModelState.TRAINING),
    ],
)
async def test_a_job_that_names_no_model_is_never_ready(
    cloud: LoopbackCloud, vertex: VertexProvider, ends: str, state: ModelState
) -> None:
    cloud.jobs.outcomes.append(JobOutcome(ends))
    await create_model(vertex, TONE)
    cloud.advance(HOUR_S)
    cloud.jobs.jobs[0].result = None
    cloud.violations.clear()  # no discovery document contains JOB_STATE_OF_TOMORROW
    found = await vertex.get(TONE.model_id)
    assert found
    assert (found.state, bool(found.failure)) == (state, state is ModelState.FAILED)
    cloud.violations.clear()


async def test_the_result_of_an_unknown_kind_of_tuning_is_ignored(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    await train_model(cloud, vertex, TONE)
    other = cloud.jobs.jobs[0]
    other.result = {"model": "publishers/google/models/x"}
    del other.body["labels"]
    assert await vertex.observe() == []


async def test_a_partial_success_with_a_model_is_ready(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    cloud.jobs.outcomes.append(JobOutcome("JOB_STATE_PARTIALLY_SUCCEEDED"))
    assert (await train_model(cloud, vertex, TONE)).state is ModelState.READY


async def test_labels_of_the_user_are_added_to_the_job_and_the_model(
    cloud: LoopbackCloud, vertex: VertexProvider
) -> None:
    shadows = {"tunedmodels-name": "other", "tunedmodels-source": "other"}
    tone = desired(labels={"team": "support", **shadows})
    ready = await train_model(cloud, vertex, tone)
    sent = cloud.jobs.jobs[0].body["labels"]
    assert (sent["team"], sent["tunedmodels-name"]) == ("support", "tone")
    assert "tunedmodels-source" not in sent
    labels = ready.fields.labels
    assert labels is not None
    assert labels["team"] == "support"
    assert not [key for key in labels if key.startswith("tunedmodels-")]
    assert ready.stamp
    edit = Edit(ready.stamp, MutableFields(labels={"team": "ops", **shadows}))
    await vertex.update(tone.model_id, edit)
    after = await vertex.get(tone.model_id)
    fields = replace(ready.fields, labels={**labels, "team": "ops"})
    assert after == replace(ready, fields=fields)
    (model,) = cloud.registry.models.values()
    assert model.version("")["labels"]["tunedmodels-name"] == "tone"
