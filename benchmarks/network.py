"""The time of provider calls compared with the lower bound by latency, over HTTP on this machine.

A server in a separate process answers after 50 ms. The lower bound is round trips x latency /
concurrent requests; the result is a multiple of it. Only 127.0.0.1 is used:

    python benchmarks/network.py [MODELS TO OBSERVE] [MODELS TO CREATE]     # e.g. 10000 1000
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.model_fields import DesiredDataset, MutableFields, TrainingInputs
from tunedmodels.providers.gemini.provider import GeminiProvider
from tunedmodels.schema.tuned_model import ExampleFile
from tunedmodels.stamp import format_description

LATENCY_S = 0.05
CONCURRENT = 50  # requests in flight that the lower bound of a create assumes
ROUNDS = 3
PAGE = 1000
EXAMPLES = [Example(f"question {number}", f"answer {number}") for number in range(20)]


def desired(number: int) -> Desired:
    """Return the declaration of one of many models."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    path = f"data/model-{number}.jsonl"
    dataset = DesiredDataset(Path(path), path, ExampleFile(path=path), digest, len(EXAMPLES))
    inputs = TrainingInputs("models/base", dataset)
    fields = MutableFields(display_name="bench")
    return Desired("bench", f"model-{number}", "local", inputs, "models/base", fields)


def live(number: int) -> dict[str, object]:
    """Return the message of a ready model with a short loss curve."""
    model = desired(number)
    snapshots = [
        {"step": step, "meanLoss": 2 / step, "computeTime": "2026-11-22T12:00:00.123456Z"}
        for step in range(1, 26)
    ]
    return {
        "name": f"tunedModels/{model.model_id}",
        "baseModel": "models/base",
        "displayName": "bench",
        "description": format_description("A model of a benchmark.", model.stamp()),
        "state": "ACTIVE",
        "createTime": "2026-11-22T12:00:00.123456Z",
        "updateTime": "2026-11-22T12:00:00.123456Z",
        "tuningTask": {
            "startTime": "2026-11-22T12:00:00.123456789Z",
            "completeTime": "2026-11-22T12:00:00.123456Z",
            "snapshots": snapshots,
            "hyperparameters": {"epochCount": 5, "batchSize": 4, "learningRate": 0.001},
        },
        "temperature": 0.7,
    }


class Server:
    """Answers list, get and create requests from memory, each after the latency."""

    def __init__(self, models: int) -> None:
        self._created: dict[str, bytes] = {}
        self._pages: list[bytes] = []
        pages = math.ceil(models / PAGE)
        for page in range(pages):
            numbers = range(page * PAGE, min(models, (page + 1) * PAGE))
            message: dict[str, object] = {"tunedModels": [live(number) for number in numbers]}
            if page + 1 < pages:
                message["nextPageToken"] = str(page + 1)
            self._pages.append(json.dumps(message).encode())

    async def run(self) -> None:
        """Serve until standard input is closed; the first line of the output is the port."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        async with server:
            print(server.sockets[0].getsockname()[1], flush=True)
            await asyncio.to_thread(sys.stdin.read)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, target, _ = head.split(" ", 2)
                _, _, length = head.lower().partition("content-length: ")
                body = await reader.readexactly(int(length.split("\r", 1)[0])) if length else b""
                await asyncio.sleep(LATENCY_S)
                answer = self._answer(method, target, body)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(answer))
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, method: str, target: str, body: bytes) -> bytes:
        address = urlsplit(target)
        query = parse_qs(address.query)
        if method == "POST":
            name = f"tunedModels/{query['tunedModelId'][0]}"
            model = {"name": name, "description": json.loads(body)["description"]}
            self._created[name] = json.dumps({**model, "state": "CREATING"}).encode()
            return json.dumps(
                {"name": f"{name}/operations/x", "metadata": {"tunedModel": name}}
            ).encode()
        name = address.path.removeprefix("/v1beta/")
        return self._created.get(name) or self._pages[int(query.get("pageToken", ["0"])[0])]


async def observe(port: int, models: int) -> float:
    """Return the seconds of one observation of all models."""
    async with GeminiProvider(
        "x", project="bench", endpoint=f"http://127.0.0.1:{port}"
    ) as provider:
        await provider.base_models()  # opens the connection
        start = time.perf_counter()
        observed = await provider.observe()
        seconds = time.perf_counter() - start
    if len(observed) != models:
        raise SystemExit(f"{len(observed)} models instead of {models}")
    return seconds


async def create(port: int, models: int, turn: int) -> float:
    """Return the seconds of creating models concurrently."""
    declared = [desired(turn * models + number) for number in range(models)]
    async with GeminiProvider(
        "x", project="bench", endpoint=f"http://127.0.0.1:{port}"
    ) as provider:
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for model in declared:
                group.create_task(provider.create(model, EXAMPLES, model.stamp()))
        return time.perf_counter() - start


def show(name: str, seconds: list[float], bound_s: float, requests: int) -> None:
    """Print the median and its lower bound."""
    median = statistics.median(seconds)
    print(
        f"{name}: {median:.2f} s; lower bound {bound_s:.2f} s, {median / bound_s:.2f}x",
        end="",
    )
    print(f" ({requests} round trips)")


@contextmanager
def serving(models: int) -> Iterator[int]:
    """Run the server in a separate process and yield its port."""
    # Without byte code a new interpreter compiles all modules, unlike in an installation.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    with subprocess.Popen(
        [sys.executable, __file__, "--serve", str(models)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            yield int(server.stdout.readline()) if server.stdout else 0
        finally:
            if server.stdin:
                server.stdin.close()


def main(observed: int = 5_000, created: int = 200) -> None:
    """Measure both, with a server in a separate process."""
    with serving(observed) as port:
        pages = math.ceil(observed / PAGE)
        times = [asyncio.run(observe(port, observed)) for _ in range(ROUNDS)]
        show(f"observe {observed} models", times, pages * LATENCY_S, pages)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"peak memory: {peak} MiB")
        times = [asyncio.run(create(port, created, turn)) for turn in range(ROUNDS)]
        lower_bound_s = created * LATENCY_S / CONCURRENT
        show(f"create {created} models", times, lower_bound_s, created)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--serve", models]:
            asyncio.run(Server(int(models)).run())
        case numbers:
            main(*map(int, numbers))
