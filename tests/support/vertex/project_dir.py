"""A project on a loopback Vertex AI at a desk, and the processes that work on it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.forked_cli import Nursery
from tests.support.vertex.client import REGION
from tests.support.vertex.cloud import PROJECT, Cloud
from tests.support.vertex.faults import Fault
from tests.support.vertex.service import loopback

HEAD = {"apiVersion": "tunedmodels.dev/v1"}
MODEL = {"baseModel": "models/gemini-3.5-flash", "dataset": {"path": "tone.jsonl"}}


@dataclass
class Shop:
    """A project with the model `tone`, its cloud, and what is run on them."""

    cloud: Cloud
    nursery: Nursery
    folder: Path
    environ: dict[str, str]

    def start(self, *arguments: str) -> int:
        """Start a command, and return its process id."""
        return self.nursery.start(self.folder, self.environ, *arguments)

    def end(self, pid: int) -> tuple[int, str]:
        """Wait for a command; returns its exit code and what it said."""
        code = self.nursery.wait(pid)
        return code, (self.folder / f"said-{pid}").read_text(encoding="utf-8")

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command to its end; returns its exit code and what it said."""
        return self.end(self.start(*arguments))

    def kill(self, name: str, occurrence: int, *, is_done: bool) -> None:
        """Kill an apply with its n-th request of a method: before it is done, or after."""
        left = [occurrence]

        def watch(passing: str) -> None:
            if passing == name:
                left[0] -= 1
            if passing == name and left[0] == 0:
                if not is_done:
                    self.cloud.faults.plan(Fault.LOST_BEFORE)
                os.kill(self.pid, signal.SIGKILL)

        if is_done:
            self.cloud.faults.after = watch
        else:
            self.cloud.faults.before = watch
        self.pid = self.start("apply", "--yes")
        code, said = self.end(self.pid)
        assert code == -signal.SIGKILL, said
        self.cloud.faults.before = self.cloud.faults.after = lambda _: None

    def declare(self, **spec: Any) -> None:
        """Write the manifest of the model, with more than it needs."""
        model = {"kind": "TunedModel", "metadata": {"name": "tone"}, "spec": MODEL | spec}
        self.write("tone.yaml", json.dumps(HEAD | model))

    def teach(self, answers: Mapping[str, str], path: str = "tone.jsonl") -> None:
        """Write a dataset: what is to be answered, by question."""
        rows = [json.dumps({"text_input": q, "output": a}) for q, a in answers.items()]
        self.write(path, "\n".join(rows))

    def write(self, path: str, text: str) -> None:
        """Write a file of the project."""
        (self.folder / "manifests" / path).write_text(text, encoding="utf-8")


@contextmanager
def opened(cloud: Cloud, nursery: Nursery, folder: Path) -> Iterator[Shop]:
    """A project with one model, not applied yet."""
    with loopback(cloud) as url:
        provider = {
            "type": "vertex",
            "project": PROJECT,
            "location": REGION,
            "bucket": "data",
            "endpoint": url,
            "storageEndpoint": url,
        }
        spec = {"provider": "cloud", "providers": {"cloud": provider}}
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "NO_COLOR": "1",
            "NO_PROXY": "127.0.0.1",
            "GOOGLE_OAUTH_ACCESS_TOKEN": cloud.identity.issue(),
        }
        shop = Shop(cloud, nursery, folder, environ)
        (folder / "manifests").mkdir()
        project = {"kind": "Project", "metadata": {"name": "demo"}, "spec": spec}
        shop.write("tunedmodels.yaml", json.dumps(HEAD | project))
        shop.declare()
        shop.teach({f"q{n}": f"a{n}" for n in range(24)})
        yield shop
