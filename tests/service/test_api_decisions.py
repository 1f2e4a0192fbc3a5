"""What the service decides where the hosted API is silent; `docs/embedded-service.md` lists it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.counting_engine import BASE
from tests.support.embedded_service import PATH, body, client, create, get, service, train_all
from tests.support.paths import ROOT
from tunedmodels.service.embedded import EmbeddedService

DOCUMENT = ROOT / "docs" / "embedded-service.md"


def test_every_row_of_the_document_is_held_by_a_test_that_exists() -> None:
    rows = [
        line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")
    ]
    rows = [
        row for row in rows if not row.startswith(("| Point", "| Call", "| Promise", "| Metric"))
    ]
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(rows) > 30
    for row in rows:
        tests = re.findall(r"`(test_\w+)`", row)
        assert tests, row
        for test in tests:
            assert f"def {test}(" in sources, test


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store") as one:
        yield one


async def test_one_example_is_enough(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        operation = await create(api, "a", body(examples=1))
    assert operation["metadata"]["totalSteps"] == 2


@pytest.mark.parametrize("examples", [1, 500])
async def test_defaults_do_not_depend_on_the_number_of_examples(
    opened: EmbeddedService, examples: int
) -> None:
    async with client(opened) as api:
        await create(api, "a", body(examples=examples))
        model = await get(api, f"{PATH}/a")
    settings = {"epochCount": 5, "batchSize": 4, "learningRate": 0.001}
    assert model["tuningTask"]["hyperparameters"] == settings
    assert (model["temperature"], model["topP"], "topK" in model) == (0.0, 1.0, False)


async def test_a_description_may_be_long(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        await create(api, "a", body(description="x" * 100_000))
        assert len((await get(api, f"{PATH}/a"))["description"]) == 100_000


async def test_what_ended_is_not_cancelled_any_more(
    opened: EmbeddedService, tmp_path: Path
) -> None:
    async with client(opened) as api:
        operation = await create(api, "a")
        train_all(tmp_path / "store")
        for _ in range(2):
            assert (await api.post(f"/v1/{operation['name']}:cancel")).json() == {}
        assert (await get(api, f"{PATH}/a"))["state"] == "ACTIVE"


async def test_an_operation_is_there_as_long_as_its_model(
    opened: EmbeddedService, tmp_path: Path
) -> None:
    async with client(opened) as api:
        operation = await create(api, "a")
        train_all(tmp_path / "store")
        assert (await get(api, f"/v1/{operation['name']}"))["done"]
        await api.delete(f"{PATH}/a")
        gone = await api.get(f"/v1/{operation['name']}")
        again = await create(api, "a")
    assert gone.status_code == 404
    assert again["name"] != operation["name"]


async def test_operations_are_listed_whatever_filter_or_page_is_asked_for(
    opened: EmbeddedService,
) -> None:
    async with client(opened) as api:
        await create(api, "a")
        asked = "filter=done%3Dtrue&pageSize=1&returnPartialSuccess=true"
        listed = await get(api, f"{PATH}/a/operations?{asked}")
    assert len(listed["operations"]) == 1


async def test_two_changes_at_a_time_are_not_told_apart_by_an_etag(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        await create(api, "a")
        for words in ("first", "second"):
            sent = {"description": words}
            answer = await api.patch(f"{PATH}/a", json=sent, headers={"if-match": "other"})
            assert answer.status_code == 200
        assert (await get(api, f"{PATH}/a"))["description"] == "second"


async def test_jobs_queue_without_a_limit(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        for number in range(30):
            await create(api, f"m{number}")
        page = await get(api, f"{PATH}?pageSize=1000")
    assert {model["state"] for model in page["tunedModels"]} == {"CREATING"}
    assert not any("startTime" in model["tuningTask"] for model in page["tunedModels"])


@pytest.mark.parametrize(
    "call",
    [
        f"{PATH}/a:generateText",
        f"{PATH}/a:batchGenerateContent",
        f"{PATH}/a:asyncBatchEmbedContent",
        f"/v1beta/{BASE}:countTokens",
        f"/v1beta/{BASE}:embedContent",
        "/v1beta3/tunedModels",
        "/v1alpha/tunedModels",
    ],
)
async def test_methods_beside_tuning_and_asking_are_not_here(
    opened: EmbeddedService, call: str
) -> None:
    async with client(opened) as api:
        answer: Any = await api.post(call, json={})
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")
