"""The embedded service for tests: over its real application, with an engine that only counts."""

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
from tunedmodels.service.api.base_models import Catalogue
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.identity import Keys
from tunedmodels.service.store.jobs import Jobs
from tunedmodels.service.store.models import Store
from tunedmodels.service.training.job import Ending, train

ENGINES = "tests.support.counting_engine:ENGINES"
PATH = "/v1beta/tunedModels"
_PATIENCE_S = 20.0


def service(folder: Path, *, jobs: int = 2, keys: Keys | None = None) -> EmbeddedService:
    """A service on `folder`, closed by `with`."""
    return EmbeddedService(folder, jobs=jobs, engines=ENGINES, keys=keys)


def client(of: EmbeddedService, *, key: str = "") -> httpx.AsyncClient:
    """A client of a service in this process; what the service raises comes out here."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(of.app),
        base_url="http://localhost",
        headers={"x-goog-api-key": key} if key else {},
    )


def body(
    orders: str = "one", *, examples: int = 4, hyperparameters: Any = None, **others: Any
) -> dict[str, Any]:
    """The body of a create; `orders` are for the engine."""
    inputs = [orders, *(f"input {number}" for number in range(1, examples))]
    data = [{"textInput": text, "output": "yes"} for text in inputs]
    task: dict[str, Any] = {"trainingData": {"examples": {"examples": data}}}
    if hyperparameters is not None:
        task["hyperparameters"] = hyperparameters
    return {"baseModel": BASE, "tuningTask": task, **others}


async def create(to: httpx.AsyncClient, model_id: str, document: Any = None) -> dict[str, Any]:
    """Create a model and return its operation."""
    answer = await to.post(f"{PATH}?tunedModelId={model_id}", json=document or body())
    assert answer.status_code == 200, answer.text
    operation: dict[str, Any] = answer.json()
    return operation


async def get(of: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """The answer to a GET that must succeed."""
    answer = await of.get(path)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """What `condition` returns, as soon as it is true."""
    deadline = time.monotonic() + _PATIENCE_S
    while not (value := await condition()):
        assert time.monotonic() < deadline, "it never came true"
        await anyio.sleep(0.01)
    return value


async def ended(of: httpx.AsyncClient, operation: dict[str, Any]) -> dict[str, Any]:
    """The operation, when it is done."""

    async def look() -> dict[str, Any] | None:
        now = await get(of, f"/v1/{operation['name']}")
        return now if now.get("done") else None

    result: dict[str, Any] = await until(look)
    return result


def train_all(folder: Path, *, must_leave: Callable[[], bool] = lambda: False) -> int:
    """Train what is unfinished, in this process; returns how many jobs were taken."""
    store = Store(folder)
    jobs = Jobs(store)
    taken = 0
    try:
        if jobs.unfinished():
            store.files.prepare()
        while lease := jobs.take():
            taken += 1
            try:
                ending = train(lease.model, jobs, Catalogue(ENGINES), must_leave=must_leave)
            finally:
                lease.release()
            if ending is Ending.LEFT:
                break
    finally:
        store.close()
    return taken


@contextmanager
def listening(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serve an application on a port of this machine, 0 for any, in a thread; yields its URL."""
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
