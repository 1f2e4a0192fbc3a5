"""`tunedmodels serve` as a process of its own, for tests of what happens to a process."""

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
class Server:
    """A server that listens, and a client of it."""

    process: subprocess.Popen[str]
    url: str
    said: str
    api: httpx.Client

    def stop(self) -> str:
        """Stop it in order and return what it said on the way."""
        self.process.terminate()
        _, words = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, words
        return words

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(timeout=30)


@contextmanager
def serving(store: Path, *options: str, key: str = "") -> Iterator[Server]:
    """Run `tunedmodels serve` on a store; killed at the end if it has not ended by then."""
    command = [sys.executable, "-m", "tunedmodels", "serve", "--port", "0", "--store", str(store)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [*command, *options], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stderr is not None
            said = ""
            while "listens on" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            (url,) = (word for word in said.split() if word.startswith("http"))
            headers = {"x-goog-api-key": key} if key else {}
            limits = httpx.Limits(max_keepalive_connections=0)
            with httpx.Client(base_url=url, headers=headers, timeout=20, limits=limits) as api:
                yield Server(process, url, said, api)
        finally:
            process.kill()


def job(*, epochs: int = 5, examples: int = 4, **others: Any) -> dict[str, Any]:
    """The body of a create; it takes about a second for 60 epochs of 100 examples."""
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


def models(api: httpx.Client) -> dict[str, dict[str, Any]]:
    """Every model by its id."""
    answer = api.get("/v1beta/tunedModels", params={"pageSize": 1000})
    assert answer.status_code == 200, answer.text
    listed = json.loads(answer.content).get("tunedModels", [])
    return {model["name"].removeprefix("tunedModels/"): model for model in listed}
