"""Tests of real worker processes: start, restart after a kill, and exclusive jobs."""

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
    get,
    service,
    wait_done,
    wait_until,
)
from tunedmodels.errors import StoreError
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.store.jobs import JobQueue
from tunedmodels.service.store.models import ModelStore

# A process that opens a service, trains, and never closes it.
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
def embedded(folder: Path) -> Iterator[EmbeddedService]:
    with service(folder) as instance:
        yield instance


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "steps"


def steps(log: Path) -> list[int]:
    """Return the steps that all workers trained, in order."""
    return [int(step) for step in log.read_text().split()] if log.exists() else []


async def wait_for_step(log: Path, *, step: int = 3) -> None:
    """Wait until a step was trained."""

    async def has_step() -> bool:
        return step in steps(log)

    await wait_until(has_step)


async def wait_until_free(folder: Path) -> None:
    """Wait until no worker trains the first job."""
    jobs = JobQueue(ModelStore(folder))

    async def is_free() -> bool:
        return jobs.is_free(1, "a")

    await wait_until(is_free)
    jobs.store.close()


async def completed_steps(api: httpx.AsyncClient) -> int:
    operation = (await get(api, f"{PATH}/a/operations"))["operations"][0]
    done: int = operation["metadata"].get("completedSteps", 0)
    return done


def snapshot_steps(model: dict[str, Any]) -> list[int]:
    return [snapshot["step"] for snapshot in model["tuningTask"]["snapshots"]]


async def test_jobs_train_concurrently_and_new_jobs_start(
    embedded: EmbeddedService,
) -> None:
    async with client(embedded) as api:
        first = [await create(api, name) for name in ("a", "b", "c")]
        embedded.start()
        for operation in first:
            assert "response" in await wait_done(api, operation)
        later = await wait_done(api, await create(api, "d"))
    assert later["response"]["state"] == "ACTIVE"


async def test_nothing_trains_before_the_start(embedded: EmbeddedService, folder: Path) -> None:
    async with client(embedded) as api:
        await create(api, "a")
        assert (await get(api, f"{PATH}/a"))["state"] == "CREATING"
    assert ModelStore(folder).files.list_all() == []


async def test_cancelling_stops_the_worker_between_two_steps(
    embedded: EmbeddedService, log: Path, folder: Path
) -> None:
    embedded.start()
    async with client(embedded) as api:
        operation = await create(api, "a", body(f"pace=0.03 log={log}", examples=1000))
        await wait_for_step(log)
        await wait_until(lambda: completed_steps(api))
        assert (await api.post(f"/v1/{operation['name']}:cancel")).json() == {}
        done = await wait_done(api, operation)
        await wait_until_free(folder)
        trained = len(steps(log))
        assert await get(api, f"/v1/{operation['name']}") == done
    assert done["error"]["code"] == 1
    assert 0 < done["metadata"]["completedSteps"] <= trained < 100


async def test_a_killed_worker_loses_only_the_steps_after_its_checkpoint(
    folder: Path, log: Path
) -> None:
    request = body(f"pace=0.03 log={log}", examples=40)
    with service(folder) as embedded:
        embedded.start()
        async with client(embedded) as api:
            await create(api, "a", request)
        await wait_for_step(log)
    # The end of the block stops the worker, which saves a checkpoint.
    saved = steps(log)[-1]
    with service(folder) as embedded, service(folder.with_name("uninterrupted")) as other:
        embedded.start()
        await wait_for_step(log, step=saved + 3)
        (worker,) = embedded._supervisor._workers
        worker.kill()
        async with client(embedded) as api, client(other) as api2:
            done = await wait_done(api, (await get(api, f"{PATH}/a/operations"))["operations"][0])
            trained = steps(log)
            other.start()
            uninterrupted = await wait_done(api2, await create(api2, "a", request))
    killed = trained.index(saved + 1, saved + 1) - 1
    assert trained == [*range(1, trained[killed] + 1), *range(saved + 1, 51)]
    models = [done["response"], uninterrupted["response"]]
    curves = [[s["meanLoss"] for s in model["tuningTask"]["snapshots"]] for model in models]
    assert curves[0] == curves[1]
    assert snapshot_steps(done["response"]) == list(range(1, 51))


async def test_a_worker_exits_when_its_parent_is_killed_and_another_continues(
    embedded: EmbeddedService, folder: Path, log: Path
) -> None:
    async with client(embedded) as api:
        operation = await create(api, "a", body(f"pace=0.03 log={log}", examples=40))
        arguments = [sys.executable, "-c", PARENT, str(folder), ENGINES]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with subprocess.Popen(arguments, env=environment) as parent:  # noqa: ASYNC220  # a short call
            await wait_for_step(log)
            parent.send_signal(signal.SIGKILL)
        await wait_until_free(folder)
        trained = len(steps(log))
        assert 3 <= trained < 50
        embedded.start()
        done = await wait_done(api, operation)
    assert snapshot_steps(done["response"]) == list(range(1, 51))
    assert steps(log) == list(range(1, 51))


async def test_two_services_on_one_store_train_a_job_once(folder: Path, log: Path) -> None:
    with service(folder) as first, service(folder) as second:
        first.start()
        second.start()
        async with client(first) as api:
            operation = await create(api, "a", body(f"pace=0.01 log={log}", examples=40))
            await wait_done(api, operation)
    assert steps(log) == list(range(1, 51))


async def test_a_job_that_crashes_three_workers_fails(embedded: EmbeddedService, log: Path) -> None:
    embedded.start()
    async with client(embedded) as api:
        operation = await create(api, "a", body(f"die=2 log={log}"))
        done = await wait_done(api, operation)
        healthy = await wait_done(api, await create(api, "b"))
    assert steps(log) == [1, 2, 1, 2, 1, 2]
    assert done["error"]["code"] == 13
    assert "The training process crashed 3 times without progress" in done["error"]["message"]
    assert "response" in healthy


async def test_orphaned_files_of_killed_processes_are_removed(folder: Path) -> None:
    with service(folder) as embedded:
        async with client(embedded) as api:
            await create(api, "a")
        store = ModelStore(folder)
        store.files.create_directories()
        kept = store.files.checkpoint_path("a", 1)
        orphans = [
            store.files.adapter_path("gone", 7),
            store.files.checkpoint_path("gone", 7),
            store.files.lease_path("gone", 7),
        ]
        for file in (kept, *orphans):
            file.touch()
        store.remove_orphaned_files()
        store.close()
        assert [file for file in (kept, *orphans) if file.exists()] == [kept]


async def test_check_reports_that_the_disk_prevents_training(
    embedded: EmbeddedService, folder: Path
) -> None:
    api = client(embedded)
    embedded.start()
    (folder / "leases").parent.mkdir(exist_ok=True)
    (folder / "leases").write_text("a file in place of a directory")
    operation = await create(api, "a")

    async def error_message() -> str:
        try:
            embedded.check()
        except StoreError as error:
            return error.message
        return ""

    async def is_healthy() -> bool:
        return not await error_message()

    assert "No job can continue: " in (message := await wait_until(error_message))
    assert "leases: File exists" in message
    (folder / "leases").unlink()
    await wait_done(api, operation)
    await wait_until(is_healthy)
    await api.aclose()
