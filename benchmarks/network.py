"""How close the provider comes to the floor that latency sets, over HTTP on this machine.

A server in a process of its own answers after 50 ms. The floor is round trips x latency /
requests at once; the result is a multiple of it. Only 127.0.0.1 is used:

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
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired, DesiredDataset
from tunedmodels.providers.gemini.provider import GeminiProvider
from tunedmodels.providers.http import AT_ONCE
from tunedmodels.schema.tuned_model import Examples
from tunedmodels.stamp import write

LATENCY_S = 0.05
ROUNDS = 3
PAGE = 1000
EXAMPLES = [Example(f"question {number}", f"answer {number}") for number in range(20)]


def desired(number: int) -> Desired:
    """Return the declaration of one model among many."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    path = f"data/model-{number}.jsonl"
    data = DesiredDataset(Path(path), path, Examples(path=path), digest, len(EXAMPLES))
    return Desired("bench", f"model-{number}", "local", "models/base", data, display_name="bench")


def live(number: int) -> dict[str, object]:
    """Return a ready model as the service shows it, with a short loss curve."""
    want = desired(number)
    snapshots = [
        {"step": step, "meanLoss": 2 / step, "computeTime": "2026-11-22T12:00:00.123456Z"}
        for step in range(1, 26)
    ]
    return {
        "name": f"tunedModels/{want.model_id}",
        "baseModel": "models/base",
        "displayName": "bench",
        "description": write("A model of a benchmark.", want.stamp()),
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
    """Answers list, get and create from memory, each after the latency."""

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
        """Serve until stdin is closed; the first line on stdout is the port."""
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
            return json.dumps({"name": f"{name}/operations/x"}).encode()
        name = address.path.removeprefix("/v1beta/")
        return self._created.get(name) or self._pages[int(query.get("pageToken", ["0"])[0])]


async def observe(port: int, models: int) -> float:
    """Return the seconds of one observation of all models."""
    async with GeminiProvider("x", project="bench", endpoint=f"http://127.0.0.1:{port}") as place:
        await place.base_models()  # the connection stands
        began = time.perf_counter()
        found = await place.observe()
        seconds = time.perf_counter() - began
    if len(found) != models:
        raise SystemExit(f"{len(found)} models instead of {models}")
    return seconds


async def create(port: int, models: int, turn: int) -> float:
    """Return the seconds of creating so many models, all asked for at once."""
    wants = [desired(turn * models + number) for number in range(models)]
    async with GeminiProvider("x", project="bench", endpoint=f"http://127.0.0.1:{port}") as place:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for want in wants:
                group.create_task(place.create(want, EXAMPLES, want.stamp()))
        return time.perf_counter() - began


def show(what: str, seconds: list[float], floor_s: float, requests: int) -> None:
    """Print the median beside its floor."""
    median = statistics.median(seconds)
    print(f"{what}: {median:.2f} s, floor {floor_s:.2f} s, {median / floor_s:.2f}x", end="")
    print(f" ({requests} round trips)")


def main(observed: int = 5_000, created: int = 200) -> None:
    """Measure both, against a server in a process of its own."""
    # Without byte code a fresh interpreter compiles everything again, which nobody's machine does.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    with subprocess.Popen(
        [sys.executable, __file__, "--serve", str(observed)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            port = int(server.stdout.readline()) if server.stdout else 0
            pages = math.ceil(observed / PAGE)
            times = [asyncio.run(observe(port, observed)) for _ in range(ROUNDS)]
            show(f"observe {observed} models", times, pages * LATENCY_S, pages)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"peak memory: {peak} MiB")
            times = [asyncio.run(create(port, created, turn)) for turn in range(ROUNDS)]
            floor_s = 2 * created * LATENCY_S / AT_ONCE
            show(
                f"create {created} models, {AT_ONCE} requests at once", times, floor_s, 2 * created
            )
        finally:
            if server.stdin:
                server.stdin.close()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--serve", models]:
            asyncio.run(Server(int(models)).run())
        case numbers:
            main(*map(int, numbers))
