"""Changing a tuned model: which fields, by which masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.counting_engine import BASE
from tests.support.embedded_service import PATH, body, client, create, get, service, train_all
from tunedmodels.service.embedded import EmbeddedService

EVERYTHING: dict[str, Any] = {
    "displayName": "new",
    "description": "new words",
    "temperature": 0.5,
    "topP": 0.9,
    "topK": 7,
    "readerProjectNumbers": ["9007199254740993", 12],
}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[EmbeddedService]:
    with service(tmp_path / "store") as one:
        yield one


@pytest.mark.parametrize(
    ("mask", "changed"),
    [
        pytest.param("description", {"description"}, id="one"),
        pytest.param("displayName,topK", {"displayName", "topK"}, id="lowerCamel"),
        pytest.param("display_name,top_k", {"displayName", "topK"}, id="snake_case"),
        pytest.param("state,createTime,tuningTask,description", {"description"}, id="output only"),
        pytest.param("tuningTask.snapshots,name", set(), id="nothing but output"),
        pytest.param("*", set(EVERYTHING), id="all that may change"),
        pytest.param("", set(EVERYTHING), id="no mask: what is there"),
    ],
)
async def test_a_patch_changes_what_its_mask_names_and_nothing_else(
    opened: EmbeddedService, mask: str, changed: set[str]
) -> None:
    async with client(opened) as api:
        await create(api, "a", body(displayName="old", description="old words"))
        before = await get(api, f"{PATH}/a")
        answer = await api.patch(f"{PATH}/a", params={"updateMask": mask}, json=EVERYTHING)
        after = await get(api, f"{PATH}/a")
    assert answer.json() == after
    wanted = {**EVERYTHING, "readerProjectNumbers": ["9007199254740993", "12"]}
    expected = {**before, **{field: wanted[field] for field in changed}}
    assert {**after, "updateTime": ""} == {**expected, "updateTime": ""}
    assert after["updateTime"] > before["updateTime"]


async def test_a_masked_field_that_is_missing_is_cleared(opened: EmbeddedService) -> None:
    async with client(opened) as api:
        await create(api, "a", body(**EVERYTHING))
        mask = ",".join(EVERYTHING)
        answer = await api.patch(f"{PATH}/a", params={"update_mask": mask}, json={})
    model = answer.json()
    assert {field: model.get(field) for field in EVERYTHING} == {
        "displayName": None,
        "description": None,
        "temperature": 0.0,
        "topP": 1.0,
        "topK": None,
        "readerProjectNumbers": None,
    }


async def test_a_whole_model_may_be_sent_back_as_it_was_read(
    opened: EmbeddedService, tmp_path: Path
) -> None:
    async with client(opened) as api:
        await create(api, "a")
        train_all(tmp_path / "store")
        model = await get(api, f"{PATH}/a")
        sent = {**model, "state": 2, "description": "new"}  # older clients send enums as numbers
        for mask in ({}, {"updateMask": "description"}):
            answer = await api.patch(f"{PATH}/a", params=mask, json=sent)
            assert answer.status_code == 200, answer.text
            assert answer.json()["description"] == "new"
            assert answer.json()["state"] == "ACTIVE"


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
async def test_what_cannot_change_is_refused_and_nothing_is_changed(
    opened: EmbeddedService, mask: str, sent: dict[str, Any]
) -> None:
    async with client(opened) as api:
        await create(api, "a")
        before = await get(api, f"{PATH}/a")
        answer = await api.patch(
            f"{PATH}/a", params={"updateMask": mask}, json={"description": "new", **sent}
        )
        assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert await get(api, f"{PATH}/a") == before
