"""`tunedmodels serve` as another process, for tests that stop or kill it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

LABEL = "models/embedded-label-001"


@dataclass(frozen=True)
class ServeProcess:
    """A running server and a client for it."""

    process: subprocess.Popen[str]
    url: str
    output: str
    api: httpx.Client

    def stop(self) -> str:
        """Stop the server gracefully, and return its remaining output."""
        self.process.terminate()
        _, output = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, output
        return output

    def kill(self) -> None:
        """Kill the server."""
        self.process.kill()
        self.process.wait(timeout=30)


@contextmanager
def run_server(store: Path, *options: str, key: str = "") -> Iterator[ServeProcess]:
    """Run `tunedmodels serve` on a store, and kill it at the end of the block if it still runs."""
    command = [sys.executable, "-m", "tunedmodels", "serve", "--port", "0", "--store", str(store)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [*command, *options], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stderr is not None
            output = ""
            while "listens on" not in output:
                line = process.stderr.readline()
                assert line, output
                output += line
            (url,) = (word for word in output.split() if word.startswith("http"))
            headers = {"x-goog-api-key": key} if key else {}
            limits = httpx.Limits(max_keepalive_connections=0)
            with httpx.Client(base_url=url, headers=headers, timeout=20, limits=limits) as api:
                yield ServeProcess(process, url, output, api)
        finally:
            process.kill()


def create_body(*, epochs: int = 5, examples: int = 4, **others: Any) -> dict[str, Any]:
    """Return the body of a create request; 60 epochs of 100 examples take about a second."""
    pairs = [
        {"textInput": f"{word} {number}", "output": word}
        for number in range(examples // 2)
        for word in ("yes", "no")
    ]
    task = {
        "hyperparameters": {"epochCount": epochs, "batchSize": 1},
        "trainingData": {"examples": {"examples": pairs}},
    }
    return {"baseModel": LABEL, "tuningTask": task, **others}


def list_models(api: httpx.Client) -> dict[str, dict[str, Any]]:
    """Return every model by its id."""
    response = api.get("/v1beta/tunedModels", params={"pageSize": 1000})
    assert response.status_code == 200, response.text
    listed = json.loads(response.content).get("tunedModels", [])
    return {model["name"].removeprefix("tunedModels/"): model for model in listed}
