"""The routes of the embedded service: what is sent, what comes back."""

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
    ended,
    get,
    service,
    train_all,
)
from tunedmodels.service.embedded import EmbeddedService

V1BETA = "type.googleapis.com/google.ai.generativelanguage.v1beta"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def opened(folder: Path) -> Iterator[EmbeddedService]:
    with service(folder) as one:
        yield one


async def test_create_answers_at_once_with_an_operation(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        asked = body(examples=15, hyperparameters={"epochCount": 5, "batchSize": 2})
        operation = await create(api, "numbers", asked)
    assert re.fullmatch(r"tunedModels/numbers/operations/[a-z0-9]{12}", operation["name"])
    assert operation["metadata"] == {
        "@type": f"{V1BETA}.CreateTunedModelMetadata",
        "totalSteps": 38,
        "tunedModel": "tunedModels/numbers",
    }
    assert set(operation) == {"name", "metadata"}


async def test_a_model_that_waits_for_training_looks_as_the_api_documents(
    opened: EmbeddedService,
) -> None:
    async with client(opened) as api:
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


async def test_a_finished_model_and_its_operation_hold_one_snapshot_per_step(
    opened: EmbeddedService, folder: Path
) -> None:
    asked = body(examples=15, hyperparameters={"epochCount": 3, "batchSize": 4})
    async with client(opened) as api:
        operation = await create(api, "numbers", asked)
        assert train_all(folder) == 1
        done = await get(api, f"/v1beta/{operation['name']}")
        model = await get(api, f"{PATH}/numbers")
    task = model["tuningTask"]
    assert model["state"] == "ACTIVE"
    assert model["updateTime"] == task["completeTime"]
    assert re.fullmatch(r".*\.\d{9}Z", task["startTime"])
    assert [one["step"] for one in task["snapshots"]] == list(range(1, 13))
    epochs = [one.get("epoch", 0) for one in task["snapshots"]]
    assert epochs == [step * 4 // 15 for step in range(1, 13)]
    assert "epoch" not in task["snapshots"][0]
    assert "trainingData" not in task
    assert done["done"] is True
    assert done["response"] == {"@type": f"{V1BETA}.TunedModel", **model}
    assert done["metadata"]["completedSteps"] == done["metadata"]["totalSteps"] == 12
    assert done["metadata"]["completedPercent"] == 100
    assert done["metadata"]["snapshots"] == task["snapshots"]


async def test_v1_knows_everything_that_v1beta_knows(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        made = await api.post("/v1/tunedModels?tunedModelId=a", json=body())
        name = made.json()["name"]
        for path in ("models", "tunedModels", "tunedModels/a", "tunedModels/a/operations", name):
            assert await get(api, f"/v1/{path}") == await get(api, f"/v1beta/{path}")
    assert made.json()["metadata"]["@type"] == f"{V1BETA}.CreateTunedModelMetadata"


@pytest.mark.parametrize(
    ("display_name", "readable"),
    [
        pytest.param("number generator model", "number-generator-model-", id="words"),
        pytest.param("test_number_generator", "testnumbergenerator-", id="punctuation goes"),
        pytest.param("2024 Numbers", "numbers-", id="it begins with a letter"),
        pytest.param("x" * 40, "x" * 27 + "-", id="it fits into 40 characters"),
        pytest.param("日本語", "", id="nothing readable in it"),
        pytest.param("", "", id="none"),
    ],
)
async def test_an_id_that_nobody_chose_is_made_from_the_display_name(
    opened: EmbeddedService, display_name: str, readable: str
) -> None:
    async with client(opened) as api:
        made = await api.post(PATH, json=body(displayName=display_name))
    model_id = made.json()["metadata"]["tunedModel"].removeprefix("tunedModels/")
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", model_id)
    assert re.fullmatch(rf"{readable}[a-z0-9]{{12,13}}", model_id)


async def test_snake_case_and_trailing_commas_are_read_as_well(opened: EmbeddedService) -> None:
    text = """{"base_model": "models/counting-001", "display_name": "a, ]", "tuning_task": {
      "hyperparameters": {"batch_size": "2", "learning_rate": 0.0005,},
      "training_data": {"examples": {"examples": [
        {"text_input": "1", "output": "2"}, {"text_input": "\\"3,}", "output": "4"},
      ]}}}}"""
    async with client(opened) as api:
        made = await api.post(f"{PATH}?tuned_model_id=a&%24alt=json&key=k", content=text)
        assert made.status_code == 200, made.text
        model = await get(api, f"{PATH}/a")
    assert model["displayName"] == "a, ]"
    assert model["tuningTask"]["hyperparameters"] == {
        "epochCount": 5,
        "batchSize": 2,
        "learningRate": 0.0005,
    }


@pytest.mark.parametrize(
    ("asked", "rate"),
    [({"learningRateMultiplier": 0.3}, 0.0003), ({"learningRate": 0.1}, 0.1), ({}, 0.001)],
)
async def test_the_effective_rate_is_echoed_and_a_multiplier_never_is(
    opened: EmbeddedService, asked: Any, rate: float
) -> None:
    async with client(opened) as api:
        await create(api, "a", body(hyperparameters=asked))
        settings = (await get(api, f"{PATH}/a"))["tuningTask"]["hyperparameters"]
    assert settings == {"epochCount": 5, "batchSize": 4, "learningRate": rate}


async def test_a_taken_id_is_refused_until_its_model_is_deleted(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        await create(api, "a")
        again = await api.post(f"{PATH}?tunedModelId=a", json=body())
        assert (again.status_code, again.json()["error"]["status"]) == (409, "ALREADY_EXISTS")
        assert (await api.delete(f"{PATH}/a")).json() == {}
        await create(api, "a")


async def test_what_does_not_exist_is_not_found_in_googles_words(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        answers = [
            await api.get(f"{PATH}/gone"),
            await api.delete(f"{PATH}/gone"),
            await api.patch(f"{PATH}/gone?updateMask=description", json={}),
            await api.post(f"{PATH}/gone:generateContent", json=QUESTION),
            await api.get(f"{PATH}/gone/operations/x"),
        ]
    for answer in answers:
        assert answer.status_code == 404
        words = "Tuned model tunedModels/gone does not exist."
        assert answer.json()["error"] == {"code": 404, "message": words, "status": "NOT_FOUND"}


QUESTION = {"contents": [{"parts": [{"text": "I"}]}]}


@pytest.mark.parametrize(
    "call", ["POST /v1beta/tunedModels/a:cancel", "PUT /v1beta/models", "GET /"]
)
async def test_a_method_that_the_api_does_not_have_is_not_found(
    opened: EmbeddedService, call: str
) -> None:
    method, _, path = call.partition(" ")
    async with client(opened) as api:
        answer = await api.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["error"]["status"] == "NOT_FOUND"


async def test_an_empty_list_is_an_empty_message_and_creates_nothing(
    opened: EmbeddedService, folder: Path
) -> None:
    async with client(opened) as api:
        assert await get(api, PATH) == {}
    assert not folder.exists()  # noqa: ASYNC240  # nothing else runs in this test


async def test_pages_show_every_model_once_in_order_also_while_some_come_and_go(
    opened: EmbeddedService,
) -> None:
    async with client(opened) as api:
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


async def test_a_page_has_ten_models_unless_more_are_asked_for(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        for number in range(11):
            await create(api, f"m{number}")
        pages = [
            await get(api, f"{PATH}{query}") for query in ("", "?pageSize=0", "?pageSize=5000")
        ]
    assert [len(page["tunedModels"]) for page in pages] == [10, 10, 11]


@pytest.mark.parametrize(
    ("selection", "shown"),
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
    opened: EmbeddedService, selection: str, shown: list[str]
) -> None:
    async with client(opened) as api:
        await create(api, "a", body(displayName="Polite", description="and short"))
        await create(api, "b", body(displayName="Tone% 2", description="STRASSE"))
        answer = await api.get(PATH, params={"filter": selection})
    assert [model["name"][-1] for model in answer.json().get("tunedModels", [])] == shown


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
async def test_a_list_that_cannot_be_given_is_refused(opened: EmbeddedService, query: str) -> None:
    async with client(opened) as api:
        answer = await api.get(f"{PATH}?{query}")
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


async def test_a_page_token_is_for_the_filter_it_came_with(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        await create(api, "a")
        await create(api, "b")
        token = (await get(api, f"{PATH}?pageSize=1&filter=owner:me"))["nextPageToken"]
        other = await api.get(f"{PATH}?pageSize=1&pageToken={token}")
        same = await api.get(f"{PATH}?pageSize=1&filter=owner:me&pageToken={token}")
    assert (other.status_code, same.status_code) == (400, 200)


async def test_cancelling_ends_the_operation_and_leaves_a_failed_model(
    opened: EmbeddedService, folder: Path
) -> None:
    async with client(opened) as api:
        operation = await create(api, "a")
        for prefix in ("/v1", "/v1beta"):  # the second time it is over already: no harm
            assert (await api.post(f"{prefix}/{operation['name']}:cancel")).json() == {}
        done = await ended(api, operation)
        model = await get(api, f"{PATH}/a")
        question = await api.post(f"{PATH}/a:generateContent", json=QUESTION)
    assert done["error"] == {"code": 1, "message": "The operation was cancelled."}
    assert "response" not in done
    assert model["state"] == "FAILED"
    assert (question.status_code, question.json()["error"]["status"]) == (
        400,
        "FAILED_PRECONDITION",
    )
    assert train_all(folder) == 0


async def test_an_operation_is_found_by_its_own_name_only(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        operation = await create(api, "a")
        listed = await get(api, f"{PATH}/a/operations")
        wrong = await api.get(f"{PATH}/a/operations/other")
        uncancelled = await api.post(f"{PATH}/a/operations/other:cancel")
    assert listed == {"operations": [operation]}
    assert (wrong.status_code, uncancelled.status_code) == (404, 404)


async def test_a_base_model_says_that_it_can_be_tuned(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        listed = await get(api, "/v1beta/models?pageSize=1")
        one = await get(api, f"/v1beta/{BASE}")
        missing = await api.get("/v1beta/models/other")
    assert listed == {"models": [one]}
    assert one["name"] == BASE
    assert one["supportedGenerationMethods"] == ["generateContent", "createTunedModel"]
    assert (one["inputTokenLimit"], one["outputTokenLimit"]) == (10_000, 1_250)
    assert missing.status_code == 404


async def test_a_model_can_continue_from_a_finished_one_of_the_same_base(
    opened: EmbeddedService, folder: Path
) -> None:
    child = body()
    del child["baseModel"]
    child["tunedModelSource"] = {"tunedModel": "tunedModels/parent", "baseModel": BASE}
    async with client(opened) as api:
        await create(api, "parent")
        early = await api.post(f"{PATH}?tunedModelId=child", json=child)
        train_all(folder)
        await create(api, "child", child)
        train_all(folder)
        model = await get(api, f"{PATH}/child")
        gone = await api.post(
            PATH, json={**child, "tunedModelSource": {"tunedModel": "tunedModels/gone"}}
        )
    assert early.json()["error"]["status"] == "FAILED_PRECONDITION"
    assert gone.status_code == 404
    assert model["state"] == "ACTIVE"
    assert model["tunedModelSource"] == {"tunedModel": "tunedModels/parent", "baseModel": BASE}
    assert "baseModel" not in model
