"""Real processes in an empty folder: the product as a person has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TONE = [
    ("thank you so much", "friendly"),
    ("stop wasting my time", "angry"),
    ("what a lovely day", "friendly"),
    ("this is a disgrace", "angry"),
]


@dataclass(frozen=True)
class Desk:
    """A folder with a project in it, and the command line as a process of its own."""

    folder: Path

    def run(self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Ended:
        """Run one command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "tunedmodels", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            input=stdin,
            env=self.environ() | (env or {}),
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one command and let it run."""
        return subprocess.Popen(
            [sys.executable, "-m", "tunedmodels", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env=self.environ(),
        )

    def environ(self) -> dict[str, str]:
        """An environment without anything of this machine's owner."""
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "NO_COLOR": "1"}
        return kept | {key: value for key, value in os.environ.items() if key.startswith("COV")}

    def write(self, path: str, text: str) -> None:
        """Write a file of the project."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def model(self, name: str = "tone", **spec: Any) -> None:
        """Declare a model on `data/NAME.jsonl`."""
        spec = {
            "baseModel": "models/embedded-label-001",
            "dataset": {"path": f"data/{name}.jsonl"},
            **spec,
        }
        manifest = {
            "apiVersion": "tunedmodels.dev/v1",
            "kind": "TunedModel",
            "metadata": {"name": name},
            "spec": spec,
        }
        self.write(f"manifests/{name}.yaml", json.dumps(manifest, indent=1))

    def dataset(self, name: str = "tone", *, times: int = 6, tail: str = "") -> None:
        """Write a dataset of `4 x times` examples, no two alike."""
        rows = [
            json.dumps({"text_input": f"{words} {number}", "output": label})
            for number in range(times)
            for words, label in TONE
        ]
        self.write(f"manifests/data/{name}.jsonl", "\n".join(rows) + "\n" + tail)

    def status(self, name: str = "tone") -> dict[str, Any]:
        """What `status --format json` says of one name."""
        ended = self.run("status", "--format", "json")
        assert ended.code == 0, ended.err
        models: list[dict[str, Any]] = json.loads(ended.out)["models"]
        return next(model for model in models if model["name"] == name)

    def plan(self, *arguments: str) -> dict[str, Any]:
        """What `plan --format json` says."""
        ended = self.run("plan", "--format", "json", *arguments)
        assert ended.out, ended.err
        document: dict[str, Any] = json.loads(ended.out)
        return document


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A project with one model, not applied yet."""
    here = Desk(tmp_path)
    here.write(
        "manifests/tunedmodels.yaml",
        "apiVersion: tunedmodels.dev/v1\nkind: Project\nmetadata: {name: demo}\n",
    )
    here.model()
    here.dataset()
    return here


@pytest.fixture
def slow(desk: Desk) -> Callable[[], None]:
    """Make the model of the desk train for some seconds, so that there is time to interrupt it."""

    def declare() -> None:
        desk.model(hyperparameters={"epochCount": 300, "batchSize": 1})
        desk.dataset(times=25)

    return declare
