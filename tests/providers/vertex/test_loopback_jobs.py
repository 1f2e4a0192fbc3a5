"""The loopback tuning jobs behave as the real ones do where that costs money."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.vertex.client import HOUR, PARENT, Asker, examples, job, preferences
from tests.support.vertex.cloud import Cloud
from tests.support.vertex.jobs import Fate

JOBS = f"v1/{PARENT}/tuningJobs"


async def state(asker: Asker, path: str) -> str:
    return str((await asker.ask("GET", path))["state"]).removeprefix("JOB_STATE_")


async def listed(asker: Asker, **query: Any) -> list[str]:
    """The paths of the jobs of a whole list."""
    found: list[str] = []
    while True:
        page = await asker.ask("GET", JOBS, params=query)
        found += [f"v1/{one['name']}" for one in page.get("tuningJobs", [])]
        if not (token := page.get("nextPageToken")):
            return found
        query["pageToken"] = token


async def test_the_same_create_starts_another_job_each_time(asker: Asker) -> None:
    first, second = [await asker.create(labels={"a": "b"}) for _ in range(2)]
    assert first != second
    assert "projects/123456789012/" in first
    assert first.rpartition("/")[2].isdigit()


async def test_a_job_passes_through_its_states_as_time_does(asker: Asker, cloud: Cloud) -> None:
    path = await asker.create()
    beta = path.replace("v1/", "v1beta1/", 1)
    seen = []
    for _ in range(5):
        now = await asker.ask("GET", beta)
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
    ended = await asker.ask("GET", path)
    assert "tuningJobState" not in ended
    assert (ended["startTime"], ended["endTime"]) == (
        "2026-11-22T12:01:00.000000Z",
        "2026-11-22T12:13:00.000000Z",
    )


async def test_one_job_runs_at_a_time_and_the_others_wait(asker: Asker, cloud: Cloud) -> None:
    first, second = [await asker.create() for _ in range(2)]
    assert (await state(asker, first), await state(asker, second)) == ("PENDING", "QUEUED")
    cloud.advance(780)
    assert (await state(asker, first), await state(asker, second)) == ("SUCCEEDED", "PENDING")
    cloud.advance(780)
    assert await state(asker, second) == "SUCCEEDED"


async def test_a_quota_may_also_refuse(asker: Asker, cloud: Cloud) -> None:
    cloud.jobs.refuses_beyond_quota = True
    await asker.create()
    error = await asker.refused("POST", JOBS, job())
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert error["details"][0]["retryDelay"] == "31s"
    assert len(await listed(asker)) == 1


async def test_what_was_cancelled_stays_and_leaves_its_place(asker: Asker, cloud: Cloud) -> None:
    first, second = [await asker.create() for _ in range(2)]
    assert await asker.ask("POST", f"{first}:cancel", {}) == {}
    assert await state(asker, first) == "CANCELLING"
    cloud.advance(30)
    assert (await state(asker, first), await state(asker, second)) == ("CANCELLED", "PENDING")
    assert (await asker.ask("GET", first))["error"]["code"] == 1
    cloud.advance(HOUR)
    await asker.ask("POST", f"{second}:cancel")
    assert await state(asker, second) == "SUCCEEDED"


async def test_jobs_can_be_neither_deleted_nor_changed(asker: Asker, cloud: Cloud) -> None:
    path = await asker.create()
    for verb in ("DELETE", "PATCH"):
        assert (await asker.send(verb, path)).status_code == 404
    assert [words.rpartition(": ")[2] for words in cloud.violations] == ["no method of the API"] * 2
    cloud.violations.clear()


async def test_jobs_are_listed_by_label_the_newest_first_in_pages(
    asker: Asker, cloud: Cloud
) -> None:
    paths = [await asker.create(labels={"n": str(number % 2)}) for number in range(4)]
    cloud.page_limit = 1
    assert await listed(asker) == paths[::-1]
    assert await listed(asker, filter='labels.n="1"') == [paths[3], paths[1]]
    assert await listed(asker, filter="labels.n=0 AND labels.m:*") == []
    assert (await asker.refused("GET", JOBS, params={"filter": "state=x"}))["code"] == 400


async def test_a_new_job_may_be_listed_late(asker: Asker, cloud: Cloud) -> None:
    cloud.jobs.lists_until_shown = 2
    path = await asker.create()
    assert [await listed(asker) for _ in range(3)] == [[], [], [path]]
    assert await state(asker, path) == "PENDING"


async def test_what_a_job_makes_carries_its_labels(asker: Asker, cloud: Cloud) -> None:
    made = await asker.tuned(labels={"team": "words"}, tunedModelDisplayName="tone")
    model = await asker.ask("GET", f"v1/{made['model']}")
    endpoint = await asker.ask("GET", f"v1/{made['endpoint']}")
    assert model["labels"]["team"] == endpoint["labels"]["team"] == "words"
    assert (model["displayName"], model["versionId"]) == ("tone", "1")
    assert len({point["endpoint"] for point in made["checkpoints"]}) == 2
    assert made["checkpoints"][-1]["endpoint"] == made["endpoint"]


async def test_only_the_last_checkpoint_is_kept_where_that_was_asked(asker: Asker) -> None:
    spec = job()["supervisedTuningSpec"] | {"exportLastCheckpointOnly": True}
    assert set(await asker.tuned(supervisedTuningSpec=spec)) == {"model", "endpoint"}


async def test_what_was_learned_is_asked_at_the_host_of_the_endpoint(
    asker: Asker, cloud: Cloud
) -> None:
    made = await asker.tuned(baseModel="gemini-3.5-flash")
    assert "/locations/us/" in made["endpoint"]
    body = {"contents": [{"role": "user", "parts": [{"text": "q3"}]}]}
    path = f"v1/{made['endpoint']}:generateContent"
    answer = await asker.ask("POST", path, body, host="aiplatform.us.rep.googleapis.com")
    assert answer["candidates"][0]["content"]["parts"] == [{"text": "a3"}]
    assert (await asker.send("POST", path, body)).status_code == 400
    assert cloud.violations == [
        "endpoints.generateContent: us was asked at us-central1-aiplatform.googleapis.com"
    ]
    cloud.violations.clear()


@pytest.mark.parametrize(("display", "version"), [("tone", "2"), ("other", "1")])
async def test_tuning_on_makes_a_version_or_with_another_name_a_model(
    asker: Asker, cloud: Cloud, display: str, version: str
) -> None:
    first = await asker.tuned(tunedModelDisplayName="tone")
    spec = job()["supervisedTuningSpec"]
    body = {"preTunedModel": {"tunedModelName": first["model"]}, "supervisedTuningSpec": spec}
    path = await asker.ask("POST", JOBS, {**body, "tunedModelDisplayName": display})
    cloud.advance(HOUR)
    made = (await asker.ask("GET", f"v1/{path['name']}"))["tunedModel"]
    assert made["model"].partition("@")[2] == version
    is_same = made["model"].partition("@")[0] == first["model"].partition("@")[0]
    assert is_same == (display == "tone")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "The dataset is empty."),
        (examples(2) + b"\n{", "Dataset example 3 of 3 is not valid JSON."),
        (b'{"messages": []}', 'Dataset example 1 of 1 contains an unknown field "messages".'),
        (b'{"contents": [{"role": "user", "parts": [{"text": "q"}]}]}', 'role "model"'),
        (b'{"contents": [{"role": "model", "parts": [{"words": "q"}]}]}', "parts[0].words"),
        (preferences(1), '"completions"'),
    ],
)
async def test_data_that_is_wrong_fails_the_job(
    asker: Asker, cloud: Cloud, data: bytes, words: str
) -> None:
    cloud.buckets.put("data", "train.jsonl", data)
    path = await asker.create()
    cloud.advance(60)
    assert await state(asker, path) == "RUNNING"
    cloud.advance(60)
    failed = await asker.ask("GET", path)
    assert (failed["state"], failed["error"]["code"]) == ("JOB_STATE_FAILED", 3)
    assert words in failed["error"]["message"]
    assert "tuningDataStats" not in failed


async def test_data_that_is_missing_or_may_not_be_read_fails_the_job(
    asker: Asker, cloud: Cloud
) -> None:
    robot = "robot@proj-1.iam.gserviceaccount.com"
    path = await asker.create(serviceAccount=robot)
    cloud.advance(HOUR)
    error = (await asker.ask("GET", path))["error"]
    assert (error["code"], error["message"].partition(" ")[0]) == (7, robot)
    cloud.identity.policies["data"] = {"roles/storage.objectViewer": {f"serviceAccount:{robot}"}}
    path = await asker.create(serviceAccount=robot)
    cloud.advance(HOUR)
    assert "error" not in await asker.ask("GET", path)
    cloud.buckets.objects.clear()
    path = await asker.create()
    cloud.advance(HOUR)
    assert (await asker.ask("GET", path))["error"]["code"] == 5


async def test_dropped_examples_are_counted_in_the_words_of_each_method(
    asker: Asker, cloud: Cloud
) -> None:
    cloud.jobs.fates = [Fate(dropped={2: "Too long.", 9: "Empty."})] * 2
    first = await asker.create()
    cloud.buckets.put("data", "train.jsonl", preferences())
    spec = {"trainingDatasetUri": "gs://data/train.jsonl"}
    cloud.advance(HOUR)
    cloud.buckets.put("data", "train.jsonl", preferences())
    body = {"baseModel": "gemini-2.5-flash", "preferenceOptimizationSpec": spec}
    second = f"v1/{(await asker.ask('POST', JOBS, body))['name']}"
    cloud.advance(HOUR)
    supervised = (await asker.ask("GET", first))["tuningDataStats"]["supervisedTuningDataStats"]
    assert supervised["totalTruncatedExampleCount"] == "2"
    assert supervised["truncatedExampleIndices"] == ["2", "9"]
    preferred = (await asker.ask("GET", second))["tuningDataStats"]
    assert preferred["preferenceOptimizationDataStats"]["droppedExampleIndices"] == ["2", "9"]


@pytest.mark.parametrize(
    ("fate", "ends"),
    [
        (Fate(ends="JOB_STATE_PARTIALLY_SUCCEEDED"), "PARTIALLY_SUCCEEDED"),
        (Fate(ends="JOB_STATE_EXPIRED"), "EXPIRED"),
        (Fate(error=(13, "Internal error.")), "FAILED"),
        (Fate(never_ends=True), "RUNNING"),
    ],
)
async def test_a_job_meets_the_fate_that_a_test_gives_it(
    asker: Asker, cloud: Cloud, fate: Fate, ends: str
) -> None:
    cloud.jobs.fates = [fate]
    path = await asker.create()
    cloud.advance(HOUR)
    assert await state(asker, path) == ends


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"baseModel": "gemini-1.0"}, "not supported"),
        ({"preTunedModel": {"tunedModelName": "x"}}, "Exactly one"),
        ({"labels": {"Upper": "x"}}, "Invalid label"),
        ({"tunedModelDisplayName": "x" * 129}, "128"),
        ({"supervisedTuningSpec": {"trainingDatasetUri": "data.jsonl"}}, "trainingDatasetUri"),
        ({"preferenceOptimizationSpec": {}}, "Exactly one"),
    ],
)
async def test_what_the_service_refuses_starts_no_job(
    asker: Asker, changed: dict[str, Any], words: str
) -> None:
    error = await asker.refused("POST", JOBS, job(**changed))
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert words in error["message"]
    assert await listed(asker) == []


async def test_an_adapter_too_large_for_the_base_is_refused_in_the_real_words(
    asker: Asker,
) -> None:
    spec = job()["supervisedTuningSpec"]
    spec["hyperParameters"] = {"adapterSize": "ADAPTER_SIZE_SIXTEEN"}
    body = job(baseModel="gemini-2.5-pro", supervisedTuningSpec=spec)
    error = await asker.refused("POST", JOBS, body)
    assert error["message"] == "The adapter size is not supported for this base model."
