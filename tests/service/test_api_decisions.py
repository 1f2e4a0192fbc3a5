"""Tests of behavior that no source of the hosted API describes; see `docs/embedded-service.md`."""

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


def test_every_row_of_the_document_names_an_existing_test() -> None:
    rows = [
        line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")
    ]
    headers = ("| Topic", "| Method", "| Guarantee", "| Metric")
    rows = [row for row in rows if not row.startswith(headers)]
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(rows) > 30
    for row in rows:
        tests = re.findall(r"`(test_\w+)`", row)
        assert tests, row
        for test in tests:
            assert f"def {test}(" in sources, test


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store") as instance:
        yield instance


async def test_one_example_is_enough(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
        operation = await create(api, "a", body(examples=1))
    assert operation["metadata"]["totalSteps"] == 2


@pytest.mark.parametrize("examples", [1, 500])
async def test_defaults_do_not_depend_on_the_number_of_examples(
    embedded: EmbeddedService, examples: int
) -> None:
    async with client(embedded) as api:
        await create(api, "a", body(examples=examples))
        model = await get(api, f"{PATH}/a")
    settings = {"epochCount": 5, "batchSize": 4, "learningRate": 0.001}
    assert model["tuningTask"]["hyperparameters"] == settings
    assert (model["temperature"], model["topP"], "topK" in model) == (0.0, 1.0, False)


async def test_a_description_can_be_long(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
        await create(api, "a", body(description="x" * 100_000))
        assert len((await get(api, f"{PATH}/a"))["description"]) == 100_000


async def test_an_ended_job_is_not_cancelled(embedded: EmbeddedService, tmp_path: Path) -> None:
    async with client(embedded) as api:
        operation = await create(api, "a")
        train_all(tmp_path / "store")
        for _ in range(2):
            assert (await api.post(f"/v1/{operation['name']}:cancel")).json() == {}
        assert (await get(api, f"{PATH}/a"))["state"] == "ACTIVE"


async def test_an_operation_exists_as_long_as_its_model(
    embedded: EmbeddedService, tmp_path: Path
) -> None:
    async with client(embedded) as api:
        operation = await create(api, "a")
        train_all(tmp_path / "store")
        assert (await get(api, f"/v1/{operation['name']}"))["done"]
        await api.delete(f"{PATH}/a")
        missing = await api.get(f"/v1/{operation['name']}")
        recreated = await create(api, "a")
    assert missing.status_code == 404
    assert recreated["name"] != operation["name"]


async def test_the_list_of_operations_ignores_filter_and_page_size(
    embedded: EmbeddedService,
) -> None:
    async with client(embedded) as api:
        await create(api, "a")
        query = "filter=done%3Dtrue&pageSize=1&returnPartialSuccess=true"
        listed = await get(api, f"{PATH}/a/operations?{query}")
    assert len(listed["operations"]) == 1


async def test_without_an_etag_the_last_change_wins(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
        await create(api, "a")
        for description in ("first", "second"):
            response = await api.patch(f"{PATH}/a", json={"description": description})
            assert response.status_code == 200
        change = {"description": "third"}
        response = await api.patch(f"{PATH}/a", json=change, headers={"if-match": "other"})
        assert response.status_code == 412
        assert (await get(api, f"{PATH}/a"))["description"] == "second"


async def test_jobs_queue_without_a_limit(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
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
async def test_methods_other_than_tuning_and_generation_are_not_found(
    embedded: EmbeddedService, call: str
) -> None:
    async with client(embedded) as api:
        response: Any = await api.post(call, json={})
    assert (response.status_code, response.json()["error"]["status"]) == (404, "NOT_FOUND")
