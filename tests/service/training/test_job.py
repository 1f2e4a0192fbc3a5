"""Tests of a single job: progress, outcomes, and no partial model after any of them."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

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
from tunedmodels.engines import adapters
from tunedmodels.errors import StoreError
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.errors import ApiStatus
from tunedmodels.service.store.database import Database
from tunedmodels.service.store.jobs import JobQueue
from tunedmodels.service.store.models import ModelStore

PROMPT = {"contents": [{"parts": [{"text": "I"}]}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def embedded(folder: Path) -> Iterator[EmbeddedService]:
    with service(folder) as instance:
        yield instance


async def generate(api: Any, model_id: str) -> str:
    response = await api.post(f"{PATH}/{model_id}:generateContent", json=PROMPT)
    text: str = response.json()["candidates"][0]["content"]["parts"][0]["text"]
    return text


def stop_after(polls: int) -> Callable[[], bool]:
    """Return a `should_stop` that returns True at the given poll."""
    remaining = iter(range(polls))
    return lambda: next(remaining, None) is None


@pytest.mark.parametrize(
    ("commands", "code", "message"),
    [
        ("refuse", 3, "this cannot be learned"),
        ("memory", 8, "Not enough memory on this machine"),
        ("break", 13, "Training failed: RuntimeError: the engine failed"),
    ],
)
async def test_a_failed_job_has_its_error_on_its_operation(
    embedded: EmbeddedService,
    folder: Path,
    commands: str,
    code: int,
    message: str,
) -> None:
    async with client(embedded) as api:
        operation = await create(api, "a", body(commands))
        train_all(folder)
        done = await wait_done(api, operation)
        model = await get(api, f"{PATH}/a")
    assert done["error"]["code"] == code
    assert message in done["error"]["message"]
    assert model["state"] == "FAILED"
    assert [snapshot["step"] for snapshot in model["tuningTask"].get("snapshots", [])] in ([], [1])


async def test_an_interrupted_job_continues_from_its_checkpoint_with_the_same_result(
    embedded: EmbeddedService, folder: Path, tmp_path: Path
) -> None:
    request = body(f"pace=0.021 log={tmp_path / 'steps'}", examples=8)
    async with client(embedded) as api:
        await create(api, "interrupted", request)
        train_all(folder, should_stop=stop_after(3))
        halfway = await get(api, f"{PATH}/interrupted")
        train_all(folder)
        await create(api, "uninterrupted", request)
        train_all(folder)
        models = [await get(api, f"{PATH}/{name}") for name in ("interrupted", "uninterrupted")]
        answers = [await generate(api, name) for name in ("interrupted", "uninterrupted")]
    curves = [
        [
            (snapshot["step"], snapshot.get("epoch"), snapshot["meanLoss"])
            for snapshot in model["tuningTask"]["snapshots"]
        ]
        for model in models
    ]
    assert halfway["state"] == "CREATING"
    assert 0 < len(halfway["tuningTask"]["snapshots"]) < 10
    assert curves[0] == curves[1]
    assert answers[0] == answers[1]
    steps = await anyio.Path(tmp_path / "steps").read_text()
    assert [int(step) for step in steps.split()] == [*range(1, 11), *range(1, 11)]


async def test_equal_requests_give_equal_models_and_other_data_gives_another(
    embedded: EmbeddedService, folder: Path
) -> None:
    async with client(embedded) as api:
        await create(api, "a")
        await create(api, "b")
        await create(api, "c", body("other"))
        train_all(folder)
        answers = [await generate(api, name) for name in "abc"]
    assert answers[0] == answers[1] != answers[2]


@pytest.mark.parametrize("damage", ["damaged", "ahead of the database"])
async def test_an_unusable_checkpoint_is_ignored(
    embedded: EmbeddedService, folder: Path, damage: str
) -> None:
    request = body("pace=0.021", examples=8)
    async with client(embedded) as api:
        await create(api, "a", request)
        train_all(folder, should_stop=stop_after(3))
        (checkpoint,) = (folder / "checkpoints").iterdir()
        if damage == "damaged":
            checkpoint.write_bytes(checkpoint.read_bytes()[:-4] + b"oops")
        else:
            database = Database(folder)
            with database.write_transaction() as connection:
                connection.execute("UPDATE models SET completed_steps = 1")
                connection.execute("DELETE FROM curves")
            database.close()
        train_all(folder)
        await create(api, "b", request)
        train_all(folder)
        model = await get(api, f"{PATH}/a")
        assert await generate(api, "a") == await generate(api, "b")
    assert [snapshot["step"] for snapshot in model["tuningTask"]["snapshots"]] == list(range(1, 11))


async def test_a_finished_job_leaves_only_its_adapter(
    embedded: EmbeddedService, folder: Path
) -> None:
    async with client(embedded) as api:
        await create(api, "a")
        train_all(folder)
        kept = [file.name for file in ModelStore(folder).files.list_all()]
        await api.delete(f"{PATH}/a")
    assert kept == ["a.1.safetensors"]
    assert ModelStore(folder).files.list_all() == []


@pytest.mark.parametrize("change", ["cancel", "delete"])
async def test_a_cancelled_or_deleted_job_is_never_active(
    embedded: EmbeddedService, folder: Path, change: str
) -> None:
    async with client(embedded) as api:
        operation = await create(api, "a", body("pace=0.021", examples=20))
        store = ModelStore(folder)
        is_due = stop_after(6)

        def end_job() -> bool:
            if is_due() and (model := store.get("a")):
                (store.delete if change == "delete" else store.cancel)(model)
            return False

        assert train_all(folder, should_stop=end_job) == 1
        store.close()
        if change == "cancel":
            done = await wait_done(api, operation)
            assert done["error"]["code"] == 1
            assert 0 < len(done["metadata"]["snapshots"]) < done["metadata"]["totalSteps"]
        else:
            assert await get(api, PATH) == {}
    assert ModelStore(folder).files.list_all() == []


async def test_a_reused_id_is_another_job(embedded: EmbeddedService, folder: Path) -> None:
    async with client(embedded) as api:
        await create(api, "a")
        store = ModelStore(folder)
        store.files.create_directories()
        lease = JobQueue(store).take()
        assert lease is not None
        await api.delete(f"{PATH}/a")
        await create(api, "a", body("other"))
        assert JobQueue(store).add_steps(lease.model.seq, 1, "{}") is False
        assert JobQueue(store).finish(lease.model.seq) is False
        JobQueue(store).fail(lease.model.seq, ApiStatus.INTERNAL, "late")
        lease.release()
        store.close()
        assert train_all(folder) == 1
        assert (await get(api, f"{PATH}/a"))["state"] == "ACTIVE"


async def test_a_job_whose_source_model_was_deleted_fails_with_a_message(
    embedded: EmbeddedService, folder: Path
) -> None:
    child = body()
    del child["baseModel"]
    child["tunedModelSource"] = {"tunedModel": "tunedModels/parent"}
    async with client(embedded) as api:
        await create(api, "parent")
        train_all(folder)
        operation = await create(api, "child", child)
        await api.delete(f"{PATH}/parent")
        train_all(folder)
        done = await wait_done(api, operation)
    message = "tunedModels/parent, from which this model continues, was deleted."
    assert done["error"] == {"code": 9, "message": message}


async def test_a_full_disk_stops_a_job_without_failing_it(
    embedded: EmbeddedService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, adapter: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with client(embedded) as api:
        operation = await create(api, "a")
        with monkeypatch.context() as patch:
            patch.setattr(adapters, "save", full)
            for _ in range(5):
                with pytest.raises(StoreError, match="No space left on device"):
                    train_all(folder)
        assert "done" not in await get(api, f"/v1/{operation['name']}")
        train_all(folder)
        assert "response" in await wait_done(api, operation)


async def test_concurrent_creates_of_one_id_have_one_winner(folder: Path) -> None:
    statuses: list[int] = []

    async def post(embedded: EmbeddedService) -> None:
        async with client(embedded) as api:
            response = await api.post(f"{PATH}?tunedModelId=a", json=body())
            statuses.append(response.status_code)

    with service(folder) as first, service(folder) as second:
        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(post, (first, second)[number % 2])
    assert sorted(statuses) == [200] + [409] * 11
