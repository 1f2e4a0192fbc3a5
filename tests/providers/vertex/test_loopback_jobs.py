"""The loopback tuning jobs behave like real ones in everything that costs money."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.vertex.client import (
    HOUR_S,
    PARENT,
    LoopbackClient,
    examples,
    job_body,
    preferences,
)
from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.jobs import JobOutcome

JOBS = f"v1/{PARENT}/tuningJobs"


async def state(client: LoopbackClient, path: str) -> str:
    return str((await client.call("GET", path))["state"]).removeprefix("JOB_STATE_")


async def listed(client: LoopbackClient, **query: Any) -> list[str]:
    """The paths of the jobs on all pages of a list."""
    found: list[str] = []
    while True:
        page = await client.call("GET", JOBS, params=query)
        found += [f"v1/{listed_job['name']}" for listed_job in page.get("tuningJobs", [])]
        if not (token := page.get("nextPageToken")):
            return found
        query["pageToken"] = token


async def test_a_repeated_create_starts_another_job(client: LoopbackClient) -> None:
    first, second = [await client.create_job(labels={"a": "b"}) for _ in range(2)]
    assert first != second
    assert "projects/123456789012/" in first
    assert first.rpartition("/")[2].isdigit()


async def test_a_job_passes_through_its_states(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    path = await client.create_job()
    beta = path.replace("v1/", "v1beta1/", 1)
    seen = []
    for _ in range(5):
        now = await client.call("GET", beta)
        detail = now.get("tuningJobState", "").removeprefix("TUNING_JOB_STATE_")
        seen.append((now["state"].removeprefix("JOB_STATE_"), detail))
        cloud.advance(60 if len(seen) != 3 else 600)
    assert seen == [
        ("PENDING", "WAITING_FOR_CAPACITY"),
        ("RUNNING", "PROCESSING_DATASET"),
        ("RUNNING", "TUNING"),
        ("RUNNING", "POST_PROCESSING"),
        ("SUCCEEDED", ""),
    ]
    ended = await client.call("GET", path)
    assert "tuningJobState" not in ended
    assert (ended["startTime"], ended["endTime"]) == (
        "2026-11-22T12:01:00.000000Z",
        "2026-11-22T12:13:00.000000Z",
    )


async def test_one_job_runs_at_a_time_and_the_others_wait(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    first, second = [await client.create_job() for _ in range(2)]
    assert (await state(client, first), await state(client, second)) == ("PENDING", "QUEUED")
    cloud.advance(780)
    assert (await state(client, first), await state(client, second)) == ("SUCCEEDED", "PENDING")
    cloud.advance(780)
    assert await state(client, second) == "SUCCEEDED"


async def test_a_quota_can_reject_a_create(client: LoopbackClient, cloud: LoopbackCloud) -> None:
    cloud.jobs.rejects_beyond_quota = True
    await client.create_job()
    error = await client.expect_error("POST", JOBS, job_body())
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert error["details"][0]["retryDelay"] == "31s"
    assert len(await listed(client)) == 1


async def test_a_cancelled_job_remains_and_frees_its_slot(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    first, second = [await client.create_job() for _ in range(2)]
    assert await client.call("POST", f"{first}:cancel", {}) == {}
    assert await state(client, first) == "CANCELLING"
    cloud.advance(30)
    assert (await state(client, first), await state(client, second)) == ("CANCELLED", "PENDING")
    assert (await client.call("GET", first))["error"]["code"] == 1
    cloud.advance(HOUR_S)
    await client.call("POST", f"{second}:cancel")
    assert await state(client, second) == "SUCCEEDED"


async def test_jobs_can_be_neither_deleted_nor_changed(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    path = await client.create_job()
    for verb in ("DELETE", "PATCH"):
        assert (await client.send(verb, path)).status_code == 404
    assert [violation.rpartition(": ")[2] for violation in cloud.violations] == [
        "not a method of the API"
    ] * 2
    cloud.violations.clear()


async def test_jobs_are_listed_by_label_newest_first_in_pages(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    paths = [await client.create_job(labels={"n": str(number % 2)}) for number in range(4)]
    cloud.page_limit = 1
    assert await listed(client) == paths[::-1]
    assert await listed(client, filter='labels.n="1"') == [paths[3], paths[1]]
    assert await listed(client, filter="labels.n=0 AND labels.m:*") == []
    assert (await client.expect_error("GET", JOBS, params={"filter": "state=x"}))["code"] == 400


async def test_a_new_job_may_be_listed_late(client: LoopbackClient, cloud: LoopbackCloud) -> None:
    cloud.jobs.list_lag = 2
    path = await client.create_job()
    assert [await listed(client) for _ in range(3)] == [[], [], [path]]
    assert await state(client, path) == "PENDING"


async def test_the_results_of_a_job_have_its_labels(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    result = await client.train(labels={"team": "words"}, tunedModelDisplayName="tone")
    model = await client.call("GET", f"v1/{result['model']}")
    endpoint = await client.call("GET", f"v1/{result['endpoint']}")
    assert model["labels"]["team"] == endpoint["labels"]["team"] == "words"
    assert (model["displayName"], model["versionId"]) == ("tone", "1")
    assert len({point["endpoint"] for point in result["checkpoints"]}) == 2
    assert result["checkpoints"][-1]["endpoint"] == result["endpoint"]


async def test_only_the_last_checkpoint_is_exported_on_request(
    client: LoopbackClient,
) -> None:
    spec = job_body()["supervisedTuningSpec"] | {"exportLastCheckpointOnly": True}
    assert set(await client.train(supervisedTuningSpec=spec)) == {"model", "endpoint"}


async def test_a_model_is_called_at_the_host_of_its_endpoint(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    result = await client.train(baseModel="gemini-3.5-flash")
    assert "/locations/us/" in result["endpoint"]
    body = {"contents": [{"role": "user", "parts": [{"text": "q3"}]}]}
    path = f"v1/{result['endpoint']}:generateContent"
    answer = await client.call("POST", path, body, host="aiplatform.us.rep.googleapis.com")
    assert answer["candidates"][0]["content"]["parts"] == [{"text": "a3"}]
    assert (await client.send("POST", path, body)).status_code == 400
    assert cloud.violations == [
        "endpoints.generateContent: us is not served by us-central1-aiplatform.googleapis.com"
    ]
    cloud.violations.clear()


@pytest.mark.parametrize(("display", "version"), [("tone", "2"), ("other", "1")])
async def test_continued_tuning_creates_a_version_or_with_another_name_a_model(
    client: LoopbackClient, cloud: LoopbackCloud, display: str, version: str
) -> None:
    first = await client.train(tunedModelDisplayName="tone")
    spec = job_body()["supervisedTuningSpec"]
    body = {"preTunedModel": {"tunedModelName": first["model"]}, "supervisedTuningSpec": spec}
    path = await client.call("POST", JOBS, {**body, "tunedModelDisplayName": display})
    cloud.advance(HOUR_S)
    result = (await client.call("GET", f"v1/{path['name']}"))["tunedModel"]
    assert result["model"].partition("@")[2] == version
    is_same = result["model"].partition("@")[0] == first["model"].partition("@")[0]
    assert is_same == (display == "tone")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "The dataset is empty."),
        (examples(2) + b"\n{", "Dataset example 3 of 3 is not valid JSON."),
        (b'{"messages": []}', 'Dataset example 1 of 1 contains an unknown field "messages".'),
        (b'{"contents": [{"role": "user", "parts": [{"text": "q"}]}]}', 'role "model"'),
        (b'{"contents": [{"role": "model", "parts": [{"words": "q"}]}]}', "parts[0].words"),
        (preferences(1), '"completions"'),
    ],
)
async def test_invalid_data_fails_the_job(
    client: LoopbackClient, cloud: LoopbackCloud, data: bytes, message: str
) -> None:
    cloud.buckets.put("data", "train.jsonl", data)
    path = await client.create_job()
    cloud.advance(60)
    assert await state(client, path) == "RUNNING"
    cloud.advance(60)
    failed = await client.call("GET", path)
    assert (failed["state"], failed["error"]["code"]) == ("JOB_STATE_FAILED", 3)
    assert message in failed["error"]["message"]
    assert "tuningDataStats" not in failed


async def test_missing_or_unreadable_data_fails_the_job(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    robot = "robot@proj-1.iam.gserviceaccount.com"
    path = await client.create_job(serviceAccount=robot)
    cloud.advance(HOUR_S)
    error = (await client.call("GET", path))["error"]
    assert (error["code"], error["message"].partition(" ")[0]) == (7, robot)
    cloud.identity.policies["data"] = {"roles/storage.objectViewer": {f"serviceAccount:{robot}"}}
    path = await client.create_job(serviceAccount=robot)
    cloud.advance(HOUR_S)
    assert "error" not in await client.call("GET", path)
    cloud.buckets.objects.clear()
    path = await client.create_job()
    cloud.advance(HOUR_S)
    assert (await client.call("GET", path))["error"]["code"] == 5


async def test_dropped_examples_are_reported_as_each_method_does(
    client: LoopbackClient, cloud: LoopbackCloud
) -> None:
    cloud.jobs.outcomes = [JobOutcome(dropped={2: "Too long.", 9: "Empty."})] * 2
    first = await client.create_job()
    cloud.buckets.put("data", "train.jsonl", preferences())
    spec = {"trainingDatasetUri": "gs://data/train.jsonl"}
    cloud.advance(HOUR_S)
    cloud.buckets.put("data", "train.jsonl", preferences())
    body = {"baseModel": "regional-model", "preferenceOptimizationSpec": spec}
    second = f"v1/{(await client.call('POST', JOBS, body))['name']}"
    cloud.advance(HOUR_S)
    supervised = (await client.call("GET", first))["tuningDataStats"]["supervisedTuningDataStats"]
    assert supervised["totalTruncatedExampleCount"] == "2"
    assert supervised["truncatedExampleIndices"] == ["2", "9"]
    preferred = (await client.call("GET", second))["tuningDataStats"]
    assert preferred["preferenceOptimizationDataStats"]["droppedExampleIndices"] == ["2", "9"]


@pytest.mark.parametrize(
    ("outcome", "state_name"),
    [
        (JobOutcome(state="JOB_STATE_PARTIALLY_SUCCEEDED"), "PARTIALLY_SUCCEEDED"),
        (JobOutcome(state="JOB_STATE_EXPIRED"), "EXPIRED"),
        (JobOutcome(error=(13, "Internal error.")), "FAILED"),
        (JobOutcome(is_endless=True), "RUNNING"),
    ],
)
async def test_a_job_has_the_planned_outcome(
    client: LoopbackClient, cloud: LoopbackCloud, outcome: JobOutcome, state_name: str
) -> None:
    cloud.jobs.outcomes = [outcome]
    path = await client.create_job()
    cloud.advance(HOUR_S)
    assert await state(client, path) == state_name


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"baseModel": "gemini-1.0"}, "not supported"),
        ({"preTunedModel": {"tunedModelName": "x"}}, "Exactly one"),
        ({"labels": {"Upper": "x"}}, "Invalid label"),
        ({"tunedModelDisplayName": "x" * 129}, "128"),
        ({"supervisedTuningSpec": {"trainingDatasetUri": "data.jsonl"}}, "trainingDatasetUri"),
        ({"preferenceOptimizationSpec": {}}, "Exactly one"),
    ],
)
async def test_an_invalid_create_starts_no_job(
    client: LoopbackClient, changed: dict[str, Any], message: str
) -> None:
    error = await client.expect_error("POST", JOBS, job_body(**changed))
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert message in error["message"]
    assert await listed(client) == []


async def test_an_adapter_that_is_too_large_is_rejected_with_the_real_message(
    client: LoopbackClient,
) -> None:
    spec = job_body()["supervisedTuningSpec"]
    spec["hyperParameters"] = {"adapterSize": "ADAPTER_SIZE_SIXTEEN"}
    body = job_body(baseModel="regional-model", supervisedTuningSpec=spec)
    error = await client.expect_error("POST", JOBS, body)
    assert error["message"] == "The adapter size is not supported for this base model."
