"""The latency of `tunedmodels serve` while it trains, compared with an idle service.

Sequential GETs of one client, first at rest and then while two jobs train; and the largest page of
models, each with a loss curve of 25 steps:

    python benchmarks/service.py [REQUESTS]
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tunedmodels.service.api.responses import snapshot
from tunedmodels.service.identity import LOCAL_CALLER
from tunedmodels.service.records import NewModel, timestamp
from tunedmodels.service.store.models import ModelStore

MODELS = 1000
STEPS = 25
JOBS = ("one", "two")
GOAL_MS = 50
PAGES = 10
TUNED_MODELS = "/v1beta/tunedModels"


def fill(directory: Path) -> None:
    """Add ready models to a store."""
    store = ModelStore(directory)
    for number in range(MODELS):
        store.add(
            NewModel(
                id=f"model-{number:05d}",
                operation="x",
                base_model="models/embedded-label-001",
                source="",
                source_seq=None,
                display_name="bench",
                description="A model of a benchmark.",
                temperature=0.7,
                top_p=0.95,
                top_k=None,
                readers="[]",
                epoch_count=5,
                batch_size=4,
                learning_rate=0.001,
                total_steps=STEPS,
                create_time=timestamp(),
                update_time=timestamp(),
            ),
            b"",
            owner=LOCAL_CALLER.email,
        )
    curve = b",".join(snapshot(step, step // 5, 2 / step) for step in range(1, STEPS + 1))
    with store.database.write_transaction() as connection:
        connection.execute("UPDATE models SET state = 'ACTIVE'")
        connection.execute(
            "INSERT INTO curves SELECT seq, ?, ? FROM models", (STEPS, curve.decode())
        )
    store.close()


@contextmanager
def serving(directory: Path) -> Iterator[http.client.HTTPConnection]:
    """Run the service and yield a connection that stays open."""
    command = [str(Path(sys.executable).with_name("tunedmodels")), "serve", "--port", "0"]
    # Without byte code a new interpreter compiles all modules, unlike in an installation.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        [*command, "--store", str(directory)], env=environment, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            line = server.stderr.readline() if server.stderr else ""
            url = next(word for word in line.split() if word.startswith("http"))
            connection = http.client.HTTPConnection(urlsplit(url).netloc)
            yield connection
            connection.close()
        finally:
            server.terminate()


def ask(connection: http.client.HTTPConnection, path: str, body: object = None) -> bytes:
    """Send one request and return the body of the response."""
    sent = None if body is None else json.dumps(body)
    connection.request("GET" if body is None else "POST", path, sent)
    response = connection.getresponse()
    content = response.read()
    if response.status != http.HTTPStatus.OK:
        raise SystemExit(f"{path}: {response.status} {content.decode()}")
    return content


def begin(connection: http.client.HTTPConnection, name: str) -> None:
    """Start a job that outlasts the benchmark, and wait until it trains."""
    rows = [{"textInput": f"{row} is a number", "output": str(row % 7)} for row in range(500)]
    task = {
        "trainingData": {"examples": {"examples": rows}},
        "hyperparameters": {"epochCount": 1000, "batchSize": 1},
    }
    body = {"baseModel": "models/embedded-label-001", "tuningTask": task}
    ask(connection, f"{TUNED_MODELS}?tunedModelId={name}", body)
    while b"snapshots" not in ask(connection, f"{TUNED_MODELS}/{name}/operations"):
        time.sleep(0.2)


def latencies(connection: http.client.HTTPConnection, path: str, requests: int) -> list[float]:
    """Return the milliseconds of each of some GETs."""
    times_ms = []
    for _ in range(requests):
        start = time.perf_counter()
        ask(connection, path)
        times_ms.append((time.perf_counter() - start) * 1000)
    return times_ms


def show(name: str, times_ms: list[float], base_ms: list[float], goal: str = "") -> None:
    """Print the median and the 99th percentile, also as multiples of those of the base."""
    (p50, p99), (b50, b99) = (
        (statistics.median(times), statistics.quantiles(times, n=100)[-1])
        for times in (times_ms, base_ms)
    )
    print(
        f"{name:30} p50 {p50:6.1f} ms ({p50 / b50:5.1f}x), p99 {p99:6.1f} ms ({p99 / b99:5.1f}x)"
        f"{goal}"
    )


def main(requests: int = 500) -> None:
    """Print one line for the idle service, one while it trains, and one for each page."""
    model = f"{TUNED_MODELS}/model-00000"
    page = f"{TUNED_MODELS}?pageSize={MODELS}"
    with tempfile.TemporaryDirectory() as directory:
        fill(Path(directory))
        with serving(Path(directory)) as connection:
            ask(connection, model)
            rest = latencies(connection, model, requests)
            show("GET at rest", rest, rest)
            show(f"page of {MODELS:,} at rest", latencies(connection, page, PAGES), rest)
            for name in JOBS:
                begin(connection, name)
            busy = latencies(connection, model, requests)
            show("GET while two jobs train", busy, rest, f" (goal: {GOAL_MS} ms)")
            show(f"page of {MODELS:,} meanwhile", latencies(connection, page, PAGES), rest)
            for name in JOBS:
                if b"completedSteps" not in ask(connection, f"{TUNED_MODELS}/{name}/operations"):
                    raise SystemExit(f"job {name} does not train")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
