"""Workers as real processes: they come, go on after a kill, and never do one job twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.embedded_service import (
    ENGINES,
    PATH,
    body,
    client,
    create,
    ended,
    get,
    service,
    until,
)
from tunedmodels.errors import StoreError
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.store.jobs import Jobs
from tunedmodels.service.store.models import Store

# Someone who opens a service, trains, and never closes it.
PARENT = """
import sys, time
from pathlib import Path
from tunedmodels.errors import StoreError
from tunedmodels.service.embedded import EmbeddedService
EmbeddedService(Path(sys.argv[1]), engines=sys.argv[2]).start()
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def opened(folder: Path) -> Iterator[EmbeddedService]:
    with service(folder) as one:
        yield one


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "steps"


def steps(log: Path) -> list[int]:
    """Every step that any worker took, in order."""
    return [int(step) for step in log.read_text().split()] if log.exists() else []


async def trains(log: Path, *, step: int = 3) -> None:
    """Wait until a step was taken."""

    async def look() -> bool:
        return step in steps(log)

    await until(look)


async def is_left(folder: Path) -> None:
    """Wait until nobody holds the first job."""
    jobs = Jobs(Store(folder))

    async def look() -> bool:
        return jobs.is_free(1, "a")

    await until(look)
    jobs.store.close()


async def completed(api: httpx.AsyncClient) -> int:
    operation = (await get(api, f"{PATH}/a/operations"))["operations"][0]
    done: int = operation["metadata"].get("completedSteps", 0)
    return done


def task(model: dict[str, Any]) -> list[int]:
    return [one["step"] for one in model["tuningTask"]["snapshots"]]


async def test_jobs_train_side_by_side_and_those_that_come_later_too(
    opened: EmbeddedService,
) -> None:
    async with client(opened) as api:
        first = [await create(api, name) for name in ("a", "b", "c")]
        opened.start()
        for operation in first:
            assert "response" in await ended(api, operation)
        later = await ended(api, await create(api, "d"))
    assert later["response"]["state"] == "ACTIVE"


async def test_nothing_trains_before_the_start(opened: EmbeddedService, folder: Path) -> None:
    async with client(opened) as api:
        await create(api, "a")
        assert (await get(api, f"{PATH}/a"))["state"] == "CREATING"
    assert Store(folder).files.listed() == []


async def test_cancelling_stops_the_worker_between_two_steps(
    opened: EmbeddedService, log: Path, folder: Path
) -> None:
    opened.start()
    async with client(opened) as api:
        operation = await create(api, "a", body(f"pace=0.03 log={log}", examples=1000))
        await trains(log)
        await until(lambda: completed(api))
        assert (await api.post(f"/v1/{operation['name']}:cancel")).json() == {}
        done = await ended(api, operation)
        await is_left(folder)
        taken = len(steps(log))
        assert await get(api, f"/v1/{operation['name']}") == done
    assert done["error"]["code"] == 1
    assert 0 < done["metadata"]["completedSteps"] <= taken < 100


async def test_a_killed_worker_loses_what_came_after_its_checkpoint_and_nothing_else(
    folder: Path, log: Path
) -> None:
    asked = body(f"pace=0.03 log={log}", examples=40)
    with service(folder) as opened:
        opened.start()
        async with client(opened) as api:
            await create(api, "a", asked)
        await trains(log)
    # To close is to let the worker write a checkpoint and leave.
    left = steps(log)[-1]
    with service(folder) as opened, service(folder.with_name("whole")) as other:
        opened.start()
        await trains(log, step=left + 3)
        (worker,) = opened._trainer._workers
        worker.kill()
        async with client(opened) as api, client(other) as api2:
            done = await ended(api, (await get(api, f"{PATH}/a/operations"))["operations"][0])
            taken = steps(log)
            other.start()
            whole = await ended(api2, await create(api2, "a", asked))
    killed = taken.index(left + 1, left + 1) - 1
    assert taken == [*range(1, taken[killed] + 1), *range(left + 1, 51)]
    models = [done["response"], whole["response"]]
    curves = [[one["meanLoss"] for one in each["tuningTask"]["snapshots"]] for each in models]
    assert curves[0] == curves[1]
    assert task(done["response"]) == list(range(1, 51))


async def test_a_worker_leaves_when_its_parent_was_killed_and_the_next_goes_on(
    opened: EmbeddedService, folder: Path, log: Path
) -> None:
    async with client(opened) as api:
        operation = await create(api, "a", body(f"pace=0.03 log={log}", examples=40))
        arguments = [sys.executable, "-c", PARENT, str(folder), ENGINES]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with subprocess.Popen(arguments, env=environment) as parent:  # noqa: ASYNC220  # not long
            await trains(log)
            parent.send_signal(signal.SIGKILL)
        await is_left(folder)
        taken = len(steps(log))
        assert 3 <= taken < 50
        opened.start()
        done = await ended(api, operation)
    assert task(done["response"]) == list(range(1, 51))
    assert steps(log) == list(range(1, 51))


async def test_two_services_on_one_store_train_a_job_once(folder: Path, log: Path) -> None:
    with service(folder) as one, service(folder) as other:
        one.start()
        other.start()
        async with client(one) as api:
            operation = await create(api, "a", body(f"pace=0.01 log={log}", examples=40))
            await ended(api, operation)
    assert steps(log) == list(range(1, 51))


async def test_a_job_that_kills_its_workers_is_given_up_after_three(
    opened: EmbeddedService, log: Path
) -> None:
    opened.start()
    async with client(opened) as api:
        operation = await create(api, "a", body(f"die=2 log={log}"))
        done = await ended(api, operation)
        healthy = await ended(api, await create(api, "b"))
    assert steps(log) == [1, 2, 1, 2, 1, 2]
    assert done["error"]["code"] == 13
    assert "Training ended 3 times without a word" in done["error"]["message"]
    assert "response" in healthy


async def test_what_killed_processes_left_behind_is_swept_away(folder: Path) -> None:
    with service(folder) as opened:
        async with client(opened) as api:
            await create(api, "a")
        store = Store(folder)
        store.files.prepare()
        kept = store.files.checkpoint("a", 1)
        litter = [
            store.files.adapter("gone", 7),
            store.files.checkpoint("gone", 7),
            store.files.lease("gone", 7),
        ]
        for file in (kept, *litter):
            file.touch()
        store.sweep()
        store.close()
        assert [file for file in (kept, *litter) if file.exists()] == [kept]


async def test_whoever_waits_hears_that_the_disk_keeps_jobs_from_going_on(
    opened: EmbeddedService, folder: Path
) -> None:
    api = client(opened)
    opened.start()
    (folder / "leases").parent.mkdir(exist_ok=True)
    (folder / "leases").write_text("a file where a folder should be")
    operation = await create(api, "a")

    async def look() -> str:
        try:
            opened.check()
        except StoreError as error:
            return error.message
        return ""

    async def all_is_well() -> bool:
        return not await look()

    assert "No job can go on: " in (said := await until(look))
    assert "leases: File exists" in said
    (folder / "leases").unlink()
    await ended(api, operation)
    await until(all_is_well)
    await api.aclose()
