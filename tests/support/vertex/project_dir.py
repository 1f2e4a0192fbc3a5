"""A project directory with a loopback Vertex AI, and command processes in it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.forked_cli import ForkedCli
from tests.support.vertex.client import REGION
from tests.support.vertex.cloud import PROJECT, LoopbackCloud
from tests.support.vertex.faults import Fault
from tests.support.vertex.service import loopback

HEAD = {"apiVersion": "tunedmodels.dev/v1"}
MODEL = {"baseModel": "models/gemini-3.5-flash", "dataset": {"path": "tone.jsonl"}}


@dataclass
class VertexProject:
    """A project directory with the model `tone`, its cloud, and commands that run in it."""

    cloud: LoopbackCloud
    forked_cli: ForkedCli
    directory: Path
    environ: dict[str, str]

    def start(self, *arguments: str) -> int:
        """Start a command and return its process id."""
        return self.forked_cli.start(self.directory, self.environ, *arguments)

    def wait(self, pid: int) -> tuple[int, str]:
        """Wait for a command; return its exit code and output."""
        code = self.forked_cli.wait(pid)
        return code, (self.directory / f"output-{pid}").read_text(encoding="utf-8")

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command; return its exit code and output."""
        return self.wait(self.start(*arguments))

    def kill(self, name: str, occurrence: int, *, is_done: bool) -> None:
        """Kill an apply before or after its n-th request of a method is executed."""
        remaining = occurrence

        def on_method(method: str) -> None:
            nonlocal remaining
            if method != name:
                return
            remaining -= 1
            if remaining == 0:
                if not is_done:
                    self.cloud.faults.add(Fault.LOST_BEFORE)
                os.kill(self.pid, signal.SIGKILL)

        if is_done:
            self.cloud.faults.on_response = on_method
        else:
            self.cloud.faults.on_request = on_method
        self.pid = self.start("apply", "--yes")
        code, output = self.wait(self.pid)
        assert code == -signal.SIGKILL, output
        self.cloud.faults.on_request = self.cloud.faults.on_response = lambda _: None

    def declare(self, **spec: Any) -> None:
        """Write the manifest of the model with these fields of its spec."""
        model = {"kind": "TunedModel", "metadata": {"name": "tone"}, "spec": MODEL | spec}
        self.write("tone.yaml", json.dumps(HEAD | model))

    def write_dataset(self, answers: Mapping[str, str], path: str = "tone.jsonl") -> None:
        """Write a dataset of answers by question."""
        rows = [json.dumps({"text_input": q, "output": a}) for q, a in answers.items()]
        self.write(path, "\n".join(rows))

    def write(self, path: str, text: str) -> None:
        """Write a file of the project."""
        (self.directory / "manifests" / path).write_text(text, encoding="utf-8")


@contextmanager
def open_project(
    cloud: LoopbackCloud, forked_cli: ForkedCli, directory: Path
) -> Iterator[VertexProject]:
    """A project directory with one model that is not applied yet."""
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
            "HOME": str(directory),
            "NO_COLOR": "1",
            "NO_PROXY": "127.0.0.1",
            "GOOGLE_OAUTH_ACCESS_TOKEN": cloud.identity.issue(),
        }
        project = VertexProject(cloud, forked_cli, directory, environ)
        (directory / "manifests").mkdir()
        manifest = {"kind": "Project", "metadata": {"name": "demo"}, "spec": spec}
        project.write("tunedmodels.yaml", json.dumps(HEAD | manifest))
        project.declare()
        project.write_dataset({f"q{n}": f"a{n}" for n in range(24)})
        yield project
