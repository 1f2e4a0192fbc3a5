"""The provider of Vertex AI in front of the loopback cloud: what is its own beside the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.vertex.cloud import Cloud
from tests.support.vertex.errors import Refused
from tests.support.vertex.faults import Fault
from tests.support.vertex.jobs import Fate
from tests.support.vertex.tuning import EXAMPLES, HOUR, create, desired, opened, tuned
from tunedmodels.datasets.examples import Preference
from tunedmodels.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RefusedError,
)
from tunedmodels.observed import ModelState
from tunedmodels.providers.provider import Edit
from tunedmodels.providers.vertex import read
from tunedmodels.providers.vertex.provider import VertexProvider
from tunedmodels.schema.tuned_model import Hyperparameters

TONE = desired()


@pytest.fixture
async def vertex(cloud: Cloud) -> AsyncIterator[VertexProvider]:
    async with opened(cloud) as provider:
        yield provider


async def test_a_job_carries_the_stamp_and_later_its_model_does(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    want = desired(description="words\nof two lines")
    began = await create(vertex, want)
    assert began.state is ModelState.QUEUED
    assert began.phase == "waiting for capacity"
    assert began.stamp == want.stamp(commit="abc")
    assert began.description == want.description
    assert await vertex.observe() == [began]
    cloud.advance(HOUR)
    ready = await vertex.get(want.model_id)
    assert ready
    assert ready.state is ModelState.READY
    assert ready.stamp == began.stamp
    assert "/endpoints/" in ready.resource
    assert ready.total_steps == 15
    sent = cloud.jobs.jobs[0].sent
    assert sent["labels"]["tunedmodels-version"] == want.model_id
    assert all(len(value) <= 63 for value in sent["labels"].values())


async def test_a_promotion_is_one_patch_of_one_model(cloud: Cloud, vertex: VertexProvider) -> None:
    ready = await tuned(cloud, vertex, TONE)
    assert ready.stamp
    before = cloud.count("models.patch")
    mark = ready.stamp.promoted_at(cloud.now())
    await vertex.update(TONE.model_id, Edit("new words", mark, display_name="Tone!"))
    assert cloud.count("models.patch") == before + 1
    after = await vertex.get(TONE.model_id)
    assert after == replace(ready, description="new words", display_name="Tone!", stamp=mark)


async def test_everything_that_is_declared_is_sent(cloud: Cloud, vertex: VertexProvider) -> None:
    key = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
    account = "tuner@proj-1.iam.gserviceaccount.com"
    want = desired(
        hyperparameters=Hyperparameters(
            epoch_count=2, learning_rate_multiplier=0.5, adapter_size=4
        ),
        last_checkpoint_only=True,
        encryption_key=key,
        service_account=account,
        validation=TONE.dataset,
    )
    await create(vertex, want, validation=EXAMPLES[:20])
    sent = cloud.jobs.jobs[0].sent
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


async def test_preferences_are_learned_with_their_own_settings(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    pairs = [Preference(e.text_input, e.output, "no") for e in EXAMPLES]
    want = desired(
        method="preference",
        preamble="Be kind.",
        preamble_as="systemInstruction",
        hyperparameters=Hyperparameters(epoch_count=1, beta=0.1),
    )
    ready = await tuned(cloud, vertex, want, examples=pairs)
    assert ready.state is ModelState.READY
    spec = cloud.jobs.jobs[0].sent["preferenceOptimizationSpec"]
    assert spec["hyperParameters"] == {"epochCount": "1", "beta": 0.1}
    answer = [piece async for piece in vertex.generate(ready.resource, "text 3", system="Be kind.")]
    assert "".join(answer) == "answer 3"


async def test_a_child_continues_from_its_parent(cloud: Cloud, vertex: VertexProvider) -> None:
    parent = await tuned(cloud, vertex, TONE)
    child = desired("child", source=f"tunedModels/{TONE.model_id}", parent="tone")
    ready = await tuned(cloud, vertex, child)
    assert ready.source == f"tunedModels/{TONE.model_id}"
    source = cloud.jobs.jobs[1].sent["preTunedModel"]["tunedModelName"]
    assert source.endswith("@1")
    # Two models: where the child were a version of its parent, neither could be deleted alone.
    assert len(cloud.registry.models) == 2
    assert await vertex.get(TONE.model_id) == parent


async def test_a_child_of_its_parents_display_name_is_a_model_of_its_own(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    await tuned(cloud, vertex, TONE)
    child = desired("child", source=f"tunedModels/{TONE.model_id}", display_name="tone")
    await tuned(cloud, vertex, child)
    assert len(cloud.registry.models) == 2


async def test_a_child_needs_its_parent_in_the_same_place(vertex: VertexProvider) -> None:
    with pytest.raises(NotFoundError, match="to be continued from"):
        await create(vertex, desired("child", source="tunedModels/tone-00000000"))


async def test_a_model_is_taken_apart_with_all_its_endpoints(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    await tuned(cloud, vertex, TONE)
    assert len(cloud.registry.endpoints) == 5  # one for each checkpoint
    await vertex.delete(TONE.model_id)
    assert not cloud.registry.endpoints
    assert not cloud.registry.models
    assert await vertex.get(TONE.model_id) is None
    assert await vertex.observe() == []
    await vertex.delete(TONE.model_id)


@pytest.mark.parametrize("skip", range(14))
async def test_a_deletion_that_broke_off_goes_on_the_next_time(
    cloud: Cloud, vertex: VertexProvider, skip: int
) -> None:
    want = desired(hyperparameters=Hyperparameters(epoch_count=2))
    await tuned(cloud, vertex, want)
    stops = iter([False] * skip + [True] * 100)
    orders = ("endpoints.undeployModel", "endpoints.delete", "models.delete", "operations.get")

    def stop(name: str) -> None:
        if name in orders and next(stops):
            raise KeyError(name)

    cloud.faults.after = stop
    with suppress(KeyError):
        await vertex.delete(want.model_id)
    cloud.faults.after = lambda _: None
    cloud.advance(60)
    await vertex.delete(want.model_id)
    assert (cloud.registry.endpoints, cloud.registry.models) == ({}, {})


async def test_an_endpoint_that_others_use_too_is_left_alone(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    ready = await tuned(cloud, vertex, desired(last_checkpoint_only=True))
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


async def test_a_failed_job_says_why_and_leaves_only_a_record(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    cloud.jobs.fates.append(Fate("JOB_STATE_FAILED", (3, "no good")))
    failed = await tuned(cloud, vertex, TONE)
    assert (failed.state, failed.is_record) == (ModelState.FAILED, True)
    assert failed.failure.startswith("no good (job ")
    assert await vertex.observe() == [failed]
    again = await vertex.create(TONE, EXAMPLES, TONE.stamp(attempt=2))
    assert again.stamp
    assert (again.state.is_running, again.stamp.attempt) == (True, 2)
    assert await vertex.observe() == [await vertex.get(TONE.model_id)]


async def test_of_a_cancelled_job_a_record_stays_and_a_new_one_may_follow(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    await create(vertex, TONE)
    await vertex.cancel(TONE.model_id)
    now = await vertex.get(TONE.model_id)
    assert now
    assert (now.state, now.phase) == (ModelState.TRAINING, "being cancelled")
    cloud.advance(60)
    gone = await vertex.get(TONE.model_id)
    assert gone
    assert (gone.state, gone.is_record) == (ModelState.CANCELLED, True)
    assert (await create(vertex, TONE)).state.is_running


async def test_a_model_without_its_endpoint_is_no_use(cloud: Cloud, vertex: VertexProvider) -> None:
    await tuned(cloud, vertex, TONE)
    cloud.registry.endpoints.clear()
    broken = await vertex.get(TONE.model_id)
    assert broken
    assert (broken.state, broken.is_record) == (ModelState.FAILED, False)
    assert "endpoint was deleted" in broken.failure


DROPPED = Fate(dropped={3: "too long", 17: "too long"})


@pytest.mark.parametrize("policy", ["error", "warn"])
async def test_examples_that_were_left_out_are_told_and_judged_by_policy(
    cloud: Cloud, policy: str
) -> None:
    cloud.jobs.fates.append(DROPPED)
    async with opened(cloud, on_dropped_examples=policy) as vertex:
        ready = await tuned(cloud, vertex, TONE)
    assert ready.state is ModelState.READY
    assert ready.remark == "trained on 22 of 24 examples (left out: 3, 17: too long)"
    assert ready.objection == (ready.remark if policy == "error" else "")


async def test_a_model_that_serves_elsewhere_is_asked_and_deleted_there(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    want = desired(source="models/gemini-3.5-flash")
    ready = await tuned(cloud, vertex, want)
    assert "/locations/us/" in ready.resource
    assert [piece async for piece in vertex.generate(ready.resource, "text 3")] == ["answer 3"]
    await vertex.delete(want.model_id)
    assert not cloud.registry.endpoints


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.CUT, Fault.REFUSED_AFTER])
async def test_a_create_whose_answer_was_lost_is_found_and_not_sent_again(
    cloud: Cloud, vertex: VertexProvider, fault: Fault
) -> None:
    cloud.jobs.lists_until_shown = 2
    cloud.faults.plan(fault, "tuningJobs.create")
    made = await create(vertex, TONE)
    assert cloud.count("tuningJobs.create") == len(cloud.jobs.jobs) == 1
    assert made.resource == cloud.jobs.jobs[0].name


async def test_a_create_that_was_lost_on_the_way_is_not_guessed_at(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    cloud.faults.plan(Fault.LOST_BEFORE, "tuningJobs.create")
    with pytest.raises(OutcomeUnknownError, match="may or may not have begun"):
        await create(vertex, TONE)
    assert cloud.count("tuningJobs.create") == 1
    assert (await create(vertex, TONE)).state.is_running
    assert len(cloud.jobs.jobs) == 1


async def test_a_lost_retry_is_told_from_the_attempt_before_it(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    cloud.jobs.fates.append(Fate("JOB_STATE_FAILED", (3, "no good")))
    await tuned(cloud, vertex, TONE)
    cloud.faults.plan(Fault.LOST_AFTER, "tuningJobs.create")
    made = await vertex.create(TONE, EXAMPLES, TONE.stamp(attempt=2))
    assert made.stamp
    assert (made.stamp.attempt, len(cloud.jobs.jobs)) == (2, 2)


async def test_without_the_lock_nothing_is_created(cloud: Cloud, vertex: VertexProvider) -> None:
    async with vertex.guard():
        async with opened(cloud) as other:
            await other.break_guard()
        with pytest.raises(RefusedError, match="not held any more"):
            await vertex.create(TONE, EXAMPLES, TONE.stamp())
    assert cloud.count("tuningJobs.create") == 0


async def test_a_job_that_somebody_else_labelled_so_is_a_conflict(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    await create(vertex, TONE)
    cloud.jobs.jobs[0].sent["description"] = "no stamp at all"
    with pytest.raises(AlreadyExistsError):
        await create(vertex, TONE)


async def test_what_bears_no_label_of_ours_goes_by_the_number_of_its_job(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    await tuned(cloud, vertex, TONE)
    del cloud.jobs.jobs[0].sent["labels"]
    (theirs,) = await vertex.observe()
    assert theirs.model_id == cloud.jobs.jobs[0].number
    assert await vertex.get(theirs.model_id) == theirs


async def test_a_filter_that_is_refused_is_done_without(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    await create(vertex, TONE)
    cloud.faults.refuse(Refused(400, "Invalid filter."), "tuningJobs.list")
    assert await vertex.get(TONE.model_id)


async def test_a_model_that_a_list_does_not_show_yet_is_not_believed_gone(
    cloud: Cloud, vertex: VertexProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = await tuned(cloud, vertex, TONE)
    shown = cloud.registry.models

    def hide(name: str) -> None:
        cloud.registry.models = {} if name == "models.list" else shown

    cloud.faults.before = hide
    monkeypatch.setattr(read, "LAG", timedelta(days=10_000))
    assert await vertex.observe() == [ready]


async def test_a_refusal_keeps_the_words_and_the_number_of_the_request(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    refusal = Refused(403, "Not today.", headers={"x-request-id": "abc-123"})
    cloud.faults.refuse(refusal, "tuningJobs.list")
    with pytest.raises(PermissionDeniedError, match=r"Not today\. \(request abc-123\)") as refused:
        await vertex.observe()
    assert "roles/aiplatform.user" in refused.value.cure


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        ("JOB_STATE_SUCCEEDED", ModelState.TRAINING),  # it says in a moment what it made
        ("JOB_STATE_PARTIALLY_SUCCEEDED", ModelState.FAILED),
        ("JOB_STATE_EXPIRED", ModelState.FAILED),
        ("JOB_STATE_OF_TOMORROW", ModelState.TRAINING),
    ],
)
async def test_a_job_that_names_no_model_is_never_ready(
    cloud: Cloud, vertex: VertexProvider, ends: str, state: ModelState
) -> None:
    cloud.jobs.fates.append(Fate(ends))
    await create(vertex, TONE)
    cloud.advance(HOUR)
    cloud.jobs.jobs[0].made = None
    cloud.violations.clear()  # no document of Google's knows the state of tomorrow
    found = await vertex.get(TONE.model_id)
    assert found
    assert (found.state, bool(found.failure)) == (state, state is ModelState.FAILED)
    cloud.violations.clear()


async def test_what_somebody_else_tuned_in_ways_unknown_to_us_is_passed_over(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    await tuned(cloud, vertex, TONE)
    theirs = cloud.jobs.jobs[0]
    theirs.made = {"model": "publishers/google/models/x"}
    del theirs.sent["labels"]
    assert await vertex.observe() == []


async def test_a_partial_success_that_made_a_model_is_ready(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    cloud.jobs.fates.append(Fate("JOB_STATE_PARTIALLY_SUCCEEDED"))
    assert (await tuned(cloud, vertex, TONE)).state is ModelState.READY


async def test_labels_of_people_stand_beside_the_stamp_on_job_and_model(
    cloud: Cloud, vertex: VertexProvider
) -> None:
    shadows = {"tunedmodels-name": "other", "tunedmodels-source": "other"}
    want = desired(labels={"team": "support", **shadows})
    ready = await tuned(cloud, vertex, want)
    sent = cloud.jobs.jobs[0].sent["labels"]
    assert (sent["team"], sent["tunedmodels-name"]) == ("support", "tone")
    assert "tunedmodels-source" not in sent
    assert ready.labels is not None
    assert ready.labels["team"] == "support"
    assert not [key for key in ready.labels if key.startswith("tunedmodels-")]
    assert ready.stamp
    edit = Edit("", ready.stamp, labels={"team": "ops", **shadows})
    await vertex.update(want.model_id, edit)
    after = await vertex.get(want.model_id)
    assert after == replace(ready, labels={**ready.labels, "team": "ops"})
    (model,) = cloud.registry.models.values()
    assert model.version("")["labels"]["tunedmodels-name"] == "tone"
