"""Jobs: how they go, how they end, and that every end but a good one leaves no half a model."""

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
    ended,
    get,
    service,
    train_all,
)
from tunedmodels.engines import adapters
from tunedmodels.errors import StoreError
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.errors import Status
from tunedmodels.service.store.database import Database
from tunedmodels.service.store.jobs import Jobs
from tunedmodels.service.store.models import Store

QUESTION = {"contents": [{"parts": [{"text": "I"}]}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def opened(folder: Path) -> Iterator[EmbeddedService]:
    with service(folder) as one:
        yield one


async def learned(api: Any, model_id: str) -> str:
    answer = await api.post(f"{PATH}/{model_id}:generateContent", json=QUESTION)
    text: str = answer.json()["candidates"][0]["content"]["parts"][0]["text"]
    return text


def after(looks: int) -> Callable[[], bool]:
    """A parent that is gone at the given look."""
    left = iter(range(looks))
    return lambda: next(left, None) is None


@pytest.mark.parametrize(
    ("orders", "code", "words"),
    [
        ("refuse", 3, "this cannot be learned"),
        ("memory", 8, "The memory of this machine is not enough"),
        ("break", 13, "Training broke down: RuntimeError: a wheel came off"),
    ],
)
async def test_a_job_that_fails_says_why_on_its_operation(
    opened: EmbeddedService,
    folder: Path,
    orders: str,
    code: int,
    words: str,
) -> None:
    async with client(opened) as api:
        operation = await create(api, "a", body(orders))
        train_all(folder)
        done = await ended(api, operation)
        model = await get(api, f"{PATH}/a")
    assert done["error"]["code"] == code
    assert words in done["error"]["message"]
    assert model["state"] == "FAILED"
    assert [one["step"] for one in model["tuningTask"].get("snapshots", [])] in ([], [1])


async def test_a_job_that_was_left_goes_on_where_it_was_and_ends_the_same(
    opened: EmbeddedService, folder: Path, tmp_path: Path
) -> None:
    asked = body(f"pace=0.021 log={tmp_path / 'steps'}", examples=8)
    async with client(opened) as api:
        await create(api, "left", asked)
        train_all(folder, must_leave=after(3))
        halfway = await get(api, f"{PATH}/left")
        train_all(folder)
        await create(api, "whole", asked)
        train_all(folder)
        models = [await get(api, f"{PATH}/{name}") for name in ("left", "whole")]
        answers = [await learned(api, name) for name in ("left", "whole")]
    curves = [
        [
            (one["step"], one.get("epoch"), one["meanLoss"])
            for one in model["tuningTask"]["snapshots"]
        ]
        for model in models
    ]
    assert halfway["state"] == "CREATING"
    assert 0 < len(halfway["tuningTask"]["snapshots"]) < 10
    assert curves[0] == curves[1]
    assert answers[0] == answers[1]
    steps = await anyio.Path(tmp_path / "steps").read_text()
    assert [int(step) for step in steps.split()] == [*range(1, 11), *range(1, 11)]


async def test_the_same_request_gives_the_same_curve_and_other_data_another(
    opened: EmbeddedService, folder: Path
) -> None:
    async with client(opened) as api:
        await create(api, "a")
        await create(api, "b")
        await create(api, "c", body("other"))
        train_all(folder)
        answers = [await learned(api, name) for name in "abc"]
    assert answers[0] == answers[1] != answers[2]


@pytest.mark.parametrize("harm", ["damaged", "ahead of the database"])
async def test_a_checkpoint_that_does_not_fit_costs_time_and_nothing_else(
    opened: EmbeddedService, folder: Path, harm: str
) -> None:
    asked = body("pace=0.021", examples=8)
    async with client(opened) as api:
        await create(api, "a", asked)
        train_all(folder, must_leave=after(3))
        (checkpoint,) = (folder / "checkpoints").iterdir()
        if harm == "damaged":
            checkpoint.write_bytes(checkpoint.read_bytes()[:-4] + b"oops")
        else:
            database = Database(folder)
            with database.writing() as connection:
                connection.execute("UPDATE models SET completed_steps = 1")
                connection.execute("DELETE FROM curves")
            database.close()
        train_all(folder)
        await create(api, "b", asked)
        train_all(folder)
        model = await get(api, f"{PATH}/a")
        assert await learned(api, "a") == await learned(api, "b")
    assert [one["step"] for one in model["tuningTask"]["snapshots"]] == list(range(1, 11))


async def test_a_finished_job_leaves_its_parameters_and_nothing_else(
    opened: EmbeddedService, folder: Path
) -> None:
    async with client(opened) as api:
        await create(api, "a")
        train_all(folder)
        kept = [file.name for file in Store(folder).files.listed()]
        await api.delete(f"{PATH}/a")
    assert kept == ["a.1.safetensors"]
    assert Store(folder).files.listed() == []


@pytest.mark.parametrize("change", ["cancel", "delete"])
async def test_a_job_that_nobody_wants_any_more_is_never_active(
    opened: EmbeddedService, folder: Path, change: str
) -> None:
    async with client(opened) as api:
        operation = await create(api, "a", body("pace=0.021", examples=20))
        store = Store(folder)
        looks = after(6)

        def while_it_trains() -> bool:
            if looks() and (model := store.get("a")):
                (store.remove if change == "delete" else store.cancel)(model)
            return False

        assert train_all(folder, must_leave=while_it_trains) == 1
        store.close()
        if change == "cancel":
            done = await ended(api, operation)
            assert done["error"]["code"] == 1
            assert 0 < len(done["metadata"]["snapshots"]) < done["metadata"]["totalSteps"]
        else:
            assert await get(api, PATH) == {}
    assert Store(folder).files.listed() == []


async def test_an_id_that_comes_back_is_another_job(opened: EmbeddedService, folder: Path) -> None:
    async with client(opened) as api:
        await create(api, "a")
        store = Store(folder)
        store.files.prepare()
        former = Jobs(store).take()
        assert former is not None
        await api.delete(f"{PATH}/a")
        await create(api, "a", body("other"))
        assert Jobs(store).add_steps(former.model.seq, 1, "{}") is False
        assert Jobs(store).finish(former.model.seq) is False
        Jobs(store).fail(former.model.seq, Status.INTERNAL, "late")
        former.release()
        store.close()
        assert train_all(folder) == 1
        assert (await get(api, f"{PATH}/a"))["state"] == "ACTIVE"


async def test_a_child_whose_parent_was_deleted_fails_in_words(
    opened: EmbeddedService, folder: Path
) -> None:
    child = body()
    del child["baseModel"]
    child["tunedModelSource"] = {"tunedModel": "tunedModels/parent"}
    async with client(opened) as api:
        await create(api, "parent")
        train_all(folder)
        operation = await create(api, "child", child)
        await api.delete(f"{PATH}/parent")
        train_all(folder)
        done = await ended(api, operation)
    words = "tunedModels/parent, which this model continues from, was deleted."
    assert done["error"] == {"code": 9, "message": words}


async def test_a_disk_that_takes_nothing_stops_a_job_and_does_not_fail_it(
    opened: EmbeddedService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, adapter: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with client(opened) as api:
        operation = await create(api, "a")
        with monkeypatch.context() as patch:
            patch.setattr(adapters, "save", full)
            for _ in range(5):
                with pytest.raises(StoreError, match="No space left on device"):
                    train_all(folder)
        assert "done" not in await get(api, f"/v1/{operation['name']}")
        train_all(folder)
        assert "response" in await ended(api, operation)


async def test_of_many_creates_with_one_id_one_wins(folder: Path) -> None:
    answers: list[int] = []

    async def post(to: EmbeddedService) -> None:
        async with client(to) as api:
            answer = await api.post(f"{PATH}?tunedModelId=a", json=body())
            answers.append(answer.status_code)

    with service(folder) as one, service(folder) as other:
        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(post, (one, other)[number % 2])
    assert sorted(answers) == [200] + [409] * 11
