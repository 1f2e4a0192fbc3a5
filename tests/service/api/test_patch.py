"""Tests of tunedModels.patch: mutable fields and update masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.counting_engine import BASE
from tests.support.embedded_service import PATH, body, client, create, get, service, train_all
from tunedmodels.service.embedded import EmbeddedService

ALL_FIELDS: dict[str, Any] = {
    "displayName": "new",
    "description": "new text",
    "temperature": 0.5,
    "topP": 0.9,
    "topK": 7,
    "readerProjectNumbers": ["9007199254740993", 12],
}


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store") as instance:
        yield instance


@pytest.mark.parametrize(
    ("mask", "changed"),
    [
        pytest.param("description", {"description"}, id="one"),
        pytest.param("displayName,topK", {"displayName", "topK"}, id="lowerCamel"),
        pytest.param("display_name,top_k", {"displayName", "topK"}, id="snake_case"),
        pytest.param("state,createTime,tuningTask,description", {"description"}, id="output only"),
        pytest.param("tuningTask.snapshots,name", set(), id="only output"),
        pytest.param("*", set(ALL_FIELDS), id="all mutable fields"),
        pytest.param("", set(ALL_FIELDS), id="no mask: fields of the body"),
    ],
)
async def test_a_patch_changes_only_the_fields_of_its_mask(
    embedded: EmbeddedService, mask: str, changed: set[str]
) -> None:
    async with client(embedded) as api:
        await create(api, "a", body(displayName="old", description="old text"))
        before = await get(api, f"{PATH}/a")
        response = await api.patch(f"{PATH}/a", params={"updateMask": mask}, json=ALL_FIELDS)
        after = await get(api, f"{PATH}/a")
    assert response.json() == after
    values = {**ALL_FIELDS, "readerProjectNumbers": ["9007199254740993", "12"]}
    expected = {**before, **{field: values[field] for field in changed}}
    assert {**after, "updateTime": ""} == {**expected, "updateTime": ""}
    assert after["updateTime"] > before["updateTime"]


async def test_a_masked_field_that_the_body_lacks_is_cleared(embedded: EmbeddedService) -> None:
    async with client(embedded) as api:
        await create(api, "a", body(**ALL_FIELDS))
        mask = ",".join(ALL_FIELDS)
        response = await api.patch(f"{PATH}/a", params={"update_mask": mask}, json={})
    model = response.json()
    assert {field: model.get(field) for field in ALL_FIELDS} == {
        "displayName": None,
        "description": None,
        "temperature": 0.0,
        "topP": 1.0,
        "topK": None,
        "readerProjectNumbers": None,
    }


async def test_a_received_model_can_be_sent_back(embedded: EmbeddedService, tmp_path: Path) -> None:
    async with client(embedded) as api:
        await create(api, "a")
        train_all(tmp_path / "store")
        model = await get(api, f"{PATH}/a")
        sent = {**model, "state": 2, "description": "new"}  # older clients send enums as numbers
        for mask in ({}, {"updateMask": "description"}):
            response = await api.patch(f"{PATH}/a", params=mask, json=sent)
            assert response.status_code == 200, response.text
            assert response.json()["description"] == "new"
            assert response.json()["state"] == "ACTIVE"


@pytest.mark.parametrize(
    ("mask", "sent"),
    [
        ("baseModel", {"baseModel": BASE}),
        ("tuningTask.hyperparameters.batchSize", {}),
        ("tuning_task.training_data", {}),
        ("", {"baseModel": "models/other"}),
        ("", {"tunedModelSource": {"tunedModel": "tunedModels/other"}}),
        ("", {"tuningTask": {"hyperparameters": {"epochCount": 6}}}),
        ("", {"tuningTask": {"hyperparameters": {"learningRateMultiplier": 1}}}),
        ("", {"tuningTask": {"trainingData": {}}}),
        ("colour", {}),
        ("description", {"colour": "red"}),
        ("", {"temperature": 1.5}),
        ("", {"displayName": "x" * 41}),
    ],
)
async def test_a_change_of_an_immutable_field_is_rejected_and_changes_nothing(
    embedded: EmbeddedService, mask: str, sent: dict[str, Any]
) -> None:
    async with client(embedded) as api:
        await create(api, "a")
        before = await get(api, f"{PATH}/a")
        response = await api.patch(
            f"{PATH}/a", params={"updateMask": mask}, json={"description": "new", **sent}
        )
        assert (response.status_code, response.json()["error"]["status"]) == (
            400,
            "INVALID_ARGUMENT",
        )
        assert await get(api, f"{PATH}/a") == before
