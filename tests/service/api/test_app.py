"""Tests of the routes of the API: requests and responses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.counting_engine import BASE
from tests.support.embedded_service import (
    PATH,
    body,
    client,
    create,
    get,
    service,
    train_all,
    wait_done,
)
from tunedmodels.service.embedded import EmbeddedService

PROMPT = {"contents": [{"parts": [{"text": "I"}]}]}
V1BETA = "type.googleapis.com/google.ai.generativelanguage.v1beta"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def embedded(folder: Path) -> Iterator[EmbeddedService]:
    with service(folder) as instance:
        yield instance


async def test_create_responds_at_once_with_an_operation(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
        request = body(examples=15, hyperparameters={"epochCount": 5, "batchSize": 2})
        operation = await create(api, "numbers", request)
    assert re.fullmatch(r"tunedModels/numbers/operations/[a-z0-9]{12}", operation["name"])
    assert operation["metadata"] == {
        "@type": f"{V1BETA}.CreateTunedModelMetadata",
        "totalSteps": 38,
        "tunedModel": "tunedModels/numbers",
    }
    assert set(operation) == {"name", "metadata"}


async def test_a_queued_model_has_the_documented_fields(
    embedded: EmbeddedService,
) -> None:
    async with client(embedded) as api:
        await create(api, "numbers", body(displayName="Numbers", description="Next number."))
        model = await get(api, f"{PATH}/numbers")
    times = [model.pop("createTime"), model.pop("updateTime")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time) for time in times)
    assert model == {
        "name": "tunedModels/numbers",
        "baseModel": BASE,
        "displayName": "Numbers",
        "description": "Next number.",
        "state": "CREATING",
        "temperature": 0.0,
        "topP": 1.0,
        "tuningTask": {
            "hyperparameters": {"epochCount": 5, "batchSize": 4, "learningRate": 0.001},
        },
    }


async def test_a_finished_model_and_its_operation_contain_one_snapshot_per_step(
    embedded: EmbeddedService, folder: Path
) -> None:
    request = body(examples=15, hyperparameters={"epochCount": 3, "batchSize": 4})
    async with client(embedded) as api:
        operation = await create(api, "numbers", request)
        assert train_all(folder) == 1
        done = await get(api, f"/v1beta/{operation['name']}")
        model = await get(api, f"{PATH}/numbers")
    task = model["tuningTask"]
    assert model["state"] == "ACTIVE"
    assert model["updateTime"] == task["completeTime"]
    assert re.fullmatch(r".*\.\d{9}Z", task["startTime"])
    assert [snapshot["step"] for snapshot in task["snapshots"]] == list(range(1, 13))
    epochs = [snapshot.get("epoch", 0) for snapshot in task["snapshots"]]
    assert epochs == [step * 4 // 15 for step in range(1, 13)]
    assert "epoch" not in task["snapshots"][0]
    assert "trainingData" not in task
    assert done["done"] is True
    assert done["response"] == {"@type": f"{V1BETA}.TunedModel", **model}
    assert done["metadata"]["completedSteps"] == done["metadata"]["totalSteps"] == 12
    assert done["metadata"]["completedPercent"] == 100
    assert done["metadata"]["snapshots"] == task["snapshots"]


async def test_v1_has_every_method_of_v1beta(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
        created = await api.post("/v1/tunedModels?tunedModelId=a", json=body())
        name = created.json()["name"]
        for path in ("models", "tunedModels", "tunedModels/a", "tunedModels/a/operations", name):
            assert await get(api, f"/v1/{path}") == await get(api, f"/v1beta/{path}")
    assert created.json()["metadata"]["@type"] == f"{V1BETA}.CreateTunedModelMetadata"


@pytest.mark.parametrize(
    ("display_name", "prefix"),
    [
        pytest.param("number generator model", "number-generator-model-", id="words"),
        pytest.param("test_number_generator", "testnumbergenerator-", id="punctuation is removed"),
        pytest.param("2024 Numbers", "numbers-", id="begins with a letter"),
        pytest.param("x" * 40, "x" * 27 + "-", id="at most 40 characters"),
        pytest.param("日本語", "", id="no usable characters"),
        pytest.param("", "", id="empty"),
    ],
)
async def test_a_missing_id_is_generated_from_the_display_name(
    embedded: EmbeddedService, display_name: str, prefix: str
) -> None:
    async with client(embedded) as api:
        created = await api.post(PATH, json=body(displayName=display_name))
    model_id = created.json()["metadata"]["tunedModel"].removeprefix("tunedModels/")
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", model_id)
    assert re.fullmatch(rf"{prefix}[a-z0-9]{{12,13}}", model_id)


async def test_snake_case_and_trailing_commas_are_accepted(embedded: EmbeddedService) -> None:
    text = """{"base_model": "models/counting-001", "display_name": "a, ]", "tuning_task": {
      "hyperparameters": {"batch_size": "2", "learning_rate": 0.0005,},
      "training_data": {"examples": {"examples": [
        {"text_input": "1", "output": "2"}, {"text_input": "\\"3,}", "output": "4"},
      ]}}}}"""
    async with client(embedded) as api:
        created = await api.post(f"{PATH}?tuned_model_id=a&%24alt=json&key=k", content=text)
        assert created.status_code == 200, created.text
        model = await get(api, f"{PATH}/a")
    assert model["displayName"] == "a, ]"
    assert model["tuningTask"]["hyperparameters"] == {
        "epochCount": 5,
        "batchSize": 2,
        "learningRate": 0.0005,
    }


@pytest.mark.parametrize(
    ("hyperparameters", "rate"),
    [({"learningRateMultiplier": 0.3}, 0.0003), ({"learningRate": 0.1}, 0.1), ({}, 0.001)],
)
async def test_the_effective_rate_is_returned_and_a_multiplier_is_not(
    embedded: EmbeddedService, hyperparameters: Any, rate: float
) -> None:
    async with client(embedded) as api:
        await create(api, "a", body(hyperparameters=hyperparameters))
        settings = (await get(api, f"{PATH}/a"))["tuningTask"]["hyperparameters"]
    assert settings == {"epochCount": 5, "batchSize": 4, "learningRate": rate}


async def test_an_existing_id_is_rejected_until_its_model_is_deleted(
    embedded: EmbeddedService,
) -> None:
    async with client(embedded) as api:
        await create(api, "a")
        repeated = await api.post(f"{PATH}?tunedModelId=a", json=body())
        assert (repeated.status_code, repeated.json()["error"]["status"]) == (409, "ALREADY_EXISTS")
        assert (await api.delete(f"{PATH}/a")).json() == {}
        await create(api, "a")


async def test_a_missing_model_is_not_found_with_the_message_of_google(
    embedded: EmbeddedService,
) -> None:
    async with client(embedded) as api:
        responses = [
            await api.get(f"{PATH}/missing"),
            await api.delete(f"{PATH}/missing"),
            await api.patch(f"{PATH}/missing?updateMask=description", json={}),
            await api.post(f"{PATH}/missing:generateContent", json=PROMPT),
            await api.get(f"{PATH}/missing/operations/x"),
        ]
    for response in responses:
        assert response.status_code == 404
        message = "Tuned model tunedModels/missing does not exist."
        assert response.json()["error"] == {"code": 404, "message": message, "status": "NOT_FOUND"}


@pytest.mark.parametrize(
    "call", ["POST /v1beta/tunedModels/a:cancel", "PUT /v1beta/models", "GET /"]
)
async def test_an_unknown_method_is_not_found(embedded: EmbeddedService, call: str) -> None:
    method, _, path = call.partition(" ")
    async with client(embedded) as api:
        response = await api.request(method, path)
    assert response.status_code == 404
    assert response.json()["error"]["status"] == "NOT_FOUND"


async def test_an_empty_list_is_an_empty_message_and_does_not_create_the_store(
    embedded: EmbeddedService, folder: Path
) -> None:
    async with client(embedded) as api:
        assert await get(api, PATH) == {}
    assert not folder.exists()  # noqa: ASYNC240  # nothing else runs in this test


async def test_pages_contain_every_model_once_in_order_during_changes(
    embedded: EmbeddedService,
) -> None:
    async with client(embedded) as api:
        for number in range(5):
            await create(api, f"m{number}")
        first = await get(api, f"{PATH}?pageSize=2")
        await api.delete(f"{PATH}/m0")
        await create(api, "m5")
        second = await get(api, f"{PATH}?page_size=2&pageToken={first['nextPageToken']}")
        third = await get(api, f"{PATH}?pageSize=2&page_token={second['nextPageToken']}")
    names = [model["name"][-2:] for page in (first, second, third) for model in page["tunedModels"]]
    assert names == ["m0", "m1", "m2", "m3", "m4", "m5"]
    assert "nextPageToken" not in third


async def test_a_page_has_ten_models_by_default(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
        for number in range(11):
            await create(api, f"m{number}")
        pages = [
            await get(api, f"{PATH}{query}") for query in ("", "?pageSize=0", "?pageSize=5000")
        ]
    assert [len(page["tunedModels"]) for page in pages] == [10, 10, 11]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("owner:me", ["a", "b"]),
        ("readers:me writers:me", ["a", "b"]),
        ("readers:everyone", []),
        ("POLITE", ["a"]),
        ("straße", ["b"]),
        ("polite owner:me", ["a"]),
        ("tone%", ["b"]),
        ("nothing", []),
    ],
)
async def test_a_filter_searches_names_and_descriptions(
    embedded: EmbeddedService, text: str, expected: list[str]
) -> None:
    async with client(embedded) as api:
        await create(api, "a", body(displayName="Polite", description="and short"))
        await create(api, "b", body(displayName="Tone% 2", description="STRASSE"))
        response = await api.get(PATH, params={"filter": text})
    assert [model["name"][-1] for model in response.json().get("tunedModels", [])] == expected


@pytest.mark.parametrize(
    "query",
    [
        "pageSize=-1",
        "pageSize=x",
        "pageToken=%00",
        "pageToken=MTIz",
        "filter=owner:you",
        "filter=" + "a+" * 51,
    ],
)
async def test_an_invalid_list_request_is_rejected(embedded: EmbeddedService, query: str) -> None:
    async with client(embedded) as api:
        response = await api.get(f"{PATH}?{query}")
    assert (response.status_code, response.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


async def test_a_page_token_is_valid_only_for_its_filter(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
        await create(api, "a")
        await create(api, "b")
        token = (await get(api, f"{PATH}?pageSize=1&filter=owner:me"))["nextPageToken"]
        other = await api.get(f"{PATH}?pageSize=1&pageToken={token}")
        same = await api.get(f"{PATH}?pageSize=1&filter=owner:me&pageToken={token}")
    assert (other.status_code, same.status_code) == (400, 200)


async def test_cancelling_ends_the_operation_and_the_model_is_failed(
    embedded: EmbeddedService, folder: Path
) -> None:
    async with client(embedded) as api:
        operation = await create(api, "a")
        for prefix in ("/v1", "/v1beta"):  # the second cancel changes nothing
            assert (await api.post(f"{prefix}/{operation['name']}:cancel")).json() == {}
        done = await wait_done(api, operation)
        model = await get(api, f"{PATH}/a")
        answer = await api.post(f"{PATH}/a:generateContent", json=PROMPT)
    assert done["error"] == {"code": 1, "message": "The operation was cancelled."}
    assert "response" not in done
    assert model["state"] == "FAILED"
    assert (answer.status_code, answer.json()["error"]["status"]) == (
        400,
        "FAILED_PRECONDITION",
    )
    assert train_all(folder) == 0


async def test_an_operation_is_found_only_by_its_own_name(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
        operation = await create(api, "a")
        listed = await get(api, f"{PATH}/a/operations")
        unknown = await api.get(f"{PATH}/a/operations/other")
        uncancelled = await api.post(f"{PATH}/a/operations/other:cancel")
    assert listed == {"operations": [operation]}
    assert (unknown.status_code, uncancelled.status_code) == (404, 404)


async def test_a_base_model_lists_tuning_as_a_supported_method(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
        listed = await get(api, "/v1beta/models?pageSize=1")
        base_model = await get(api, f"/v1beta/{BASE}")
        missing = await api.get("/v1beta/models/other")
    assert listed == {"models": [base_model]}
    assert base_model["name"] == BASE
    assert base_model["supportedGenerationMethods"] == ["generateContent", "createTunedModel"]
    assert (base_model["inputTokenLimit"], base_model["outputTokenLimit"]) == (10_000, 1_250)
    assert missing.status_code == 404


async def test_a_model_can_continue_from_a_finished_one_of_the_same_base(
    embedded: EmbeddedService, folder: Path
) -> None:
    child = body()
    del child["baseModel"]
    child["tunedModelSource"] = {"tunedModel": "tunedModels/parent", "baseModel": BASE}
    async with client(embedded) as api:
        await create(api, "parent")
        premature = await api.post(f"{PATH}?tunedModelId=child", json=child)
        train_all(folder)
        await create(api, "child", child)
        train_all(folder)
        model = await get(api, f"{PATH}/child")
        missing = await api.post(
            PATH, json={**child, "tunedModelSource": {"tunedModel": "tunedModels/missing"}}
        )
    assert premature.json()["error"]["status"] == "FAILED_PRECONDITION"
    assert missing.status_code == 404
    assert model["state"] == "ACTIVE"
    assert model["tunedModelSource"] == {"tunedModel": "tunedModels/parent", "baseModel": BASE}
    assert "baseModel" not in model
