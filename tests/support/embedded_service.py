"""Helpers for tests of the embedded service: its real application with a counting engine."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import uvicorn
from starlette.types import ASGIApp

from tests.support.counting_engine import BASE
from tunedmodels.service.api.base_models import EngineCatalog
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.identity import ApiKeys
from tunedmodels.service.store.jobs import JobQueue
from tunedmodels.service.store.models import ModelStore
from tunedmodels.service.training.job import JobOutcome, train_job

ENGINES = "tests.support.counting_engine:ENGINES"
PATH = "/v1beta/tunedModels"
_TIMEOUT_S = 20.0


def service(folder: Path, *, jobs: int = 2, keys: ApiKeys | None = None) -> EmbeddedService:
    """Return a service on `folder`; `with` closes it."""
    return EmbeddedService(folder, jobs=jobs, engines=ENGINES, keys=keys)


def client(embedded: EmbeddedService, *, key: str = "") -> httpx.AsyncClient:
    """Return a client of a service in this process. Internal errors of the service are raised."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(embedded.app),
        base_url="http://localhost",
        headers={"x-goog-api-key": key} if key else {},
    )


def body(
    commands: str = "one", *, examples: int = 4, hyperparameters: Any = None, **others: Any
) -> dict[str, Any]:
    """Return the body of a create request; `commands` are for the counting engine."""
    inputs = [commands, *(f"input {number}" for number in range(1, examples))]
    data = [{"textInput": text, "output": "yes"} for text in inputs]
    task: dict[str, Any] = {"trainingData": {"examples": {"examples": data}}}
    if hyperparameters is not None:
        task["hyperparameters"] = hyperparameters
    return {"baseModel": BASE, "tuningTask": task, **others}


async def create(api: httpx.AsyncClient, model_id: str, document: Any = None) -> dict[str, Any]:
    """Create a model and return its operation."""
    response = await api.post(f"{PATH}?tunedModelId={model_id}", json=document or body())
    assert response.status_code == 200, response.text
    operation: dict[str, Any] = response.json()
    return operation


async def get(api: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """Return the response to a GET request that must succeed."""
    response = await api.get(path)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


async def wait_until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """Return the value of `condition` as soon as it is true."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not (value := await condition()):
        assert time.monotonic() < deadline, "the condition never became true"
        await anyio.sleep(0.01)
    return value


async def wait_done(api: httpx.AsyncClient, operation: dict[str, Any]) -> dict[str, Any]:
    """Wait until an operation is done and return it."""

    async def poll() -> dict[str, Any] | None:
        current = await get(api, f"/v1/{operation['name']}")
        return current if current.get("done") else None

    result: dict[str, Any] = await wait_until(poll)
    return result


def train_all(folder: Path, *, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Train the unfinished jobs in this process and return the number of jobs taken."""
    store = ModelStore(folder)
    jobs = JobQueue(store)
    count = 0
    try:
        if jobs.list_unfinished():
            store.files.create_directories()
        while lease := jobs.take():
            count += 1
            try:
                outcome = train_job(
                    lease.model, jobs, EngineCatalog(ENGINES), should_stop=should_stop
                )
            finally:
                lease.release()
            if outcome is JobOutcome.INTERRUPTED:
                break
    finally:
        store.close()
    return count


@contextmanager
def serve_in_thread(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serve an application on a local port (0: any) in a thread; yield its URL."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
