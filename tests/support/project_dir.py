"""A project in a temporary directory, and the command line in this process or in another one.

In this process a command takes a tenth of the time; jobs are still trained by real workers. Tests
of signals and kills need another process.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tunedmodels.cli.main import run

PROJECT = "apiVersion: tunedmodels.dev/v1\nkind: Project\nmetadata: {name: demo}\n"
MODEL = """\
apiVersion: tunedmodels.dev/v1
kind: TunedModel
metadata: {name: tone}
spec:
  baseModel: models/embedded-label-001
  dataset: {path: data/tone.jsonl}
"""
TONE_EXAMPLES = [
    ("thank you so much", "friendly"),
    ("stop wasting my time", "angry"),
    ("what a lovely day", "friendly"),
    ("this is a disgrace", "angry"),
]
CREDENTIALS = (
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
)
# Hides the login of the user and the account of the machine from the tests.
NO_CREDENTIALS = {"CLOUDSDK_CONFIG": "no-such-folder", "NO_GCE_CHECK": "true"}
# The files that a read-only command may write: caches, ignored by git.
CACHE = {f"manifests/.tunedmodels/{name}" for name in (".gitignore", "readings", "surveys")}


@dataclass(frozen=True)
class CommandResult:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class ProjectDir:
    """The working directory, with the project in `manifests`."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def run(
        self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> CommandResult:
        """Run one command in this process; an error of the user must not raise an exception."""
        self.capture.readouterr()
        with self.patch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            try:
                code = run(list(arguments))
            except SystemExit as exit_:
                code = int(exit_.code or 0)
        output = self.capture.readouterr()
        return CommandResult(int(code), output.out, output.err)

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Start one command as another process."""
        return subprocess.Popen(
            [sys.executable, "-m", "tunedmodels", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=stdin,
            text=True,
            env=self.environ(),
        )

    def environ(self) -> dict[str, str]:
        """Return an environment without credentials of the user."""
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "NO_COLOR": "1"}
        coverage = {key: value for key, value in os.environ.items() if key.startswith("COV")}
        return environ | NO_CREDENTIALS | coverage

    def write(self, path: str, content: str | bytes) -> None:
        """Write a file."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def read(self, path: str) -> str:
        """Read a file."""
        return (self.folder / path).read_text(encoding="utf-8")

    def remove(self, path: str) -> None:
        """Remove a file."""
        (self.folder / path).unlink()

    def model(self, name: str = "tone", **spec: Any) -> None:
        """Write the manifest of a model with the dataset `data/NAME.jsonl`."""
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
        """Write a dataset of `4 x times` different examples."""
        rows = [
            json.dumps({"text_input": f"{text} {number}", "output": label})
            for number in range(times)
            for text, label in TONE_EXAMPLES
        ]
        self.write(f"manifests/data/{name}.jsonl", "\n".join(rows) + "\n" + tail)

    def declare_failing_gate(self, name: str = "tone") -> None:
        """Declare a gate that no version passes: it expects the wrong label for every example."""
        other = {"friendly": "angry", "angry": "friendly"}
        rows = [
            json.dumps({"text_input": f"{text}, said {number}", "output": other[label]})
            for number in range(10)
            for text, label in TONE_EXAMPLES
        ]
        self.write(f"manifests/data/{name}.eval.jsonl", "\n".join(rows) + "\n")
        self.model(name, evaluation={"path": f"data/{name}.eval.jsonl", "atLeast": 0.8})

    def status(self, name: str = "tone") -> dict[str, Any]:
        """Return the entry of one name in `status --format json`."""
        ended = self.run("status", "--format", "json")
        assert ended.code == 0, ended.err
        models: list[dict[str, Any]] = json.loads(ended.out)["models"]
        return next(model for model in models if model["name"] == name)

    def plan(self, *arguments: str) -> dict[str, Any]:
        """Return the document of `plan --format json`."""
        ended = self.run("plan", "--format", "json", *arguments)
        assert ended.out, ended.err
        document: dict[str, Any] = json.loads(ended.out)
        return document

    def actions(self) -> list[str]:
        """Return the actions of the plan."""
        return [change["action"] for change in self.plan()["changes"]]

    def files(self) -> set[str]:
        """Return every file below the working directory."""
        return {str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file()}


@pytest.fixture
def project_dir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> ProjectDir:
    """A project with one declared model, not applied yet."""
    monkeypatch.chdir(tmp_path)
    for name in ("CI", "TUNEDMODELS_DIR", *CREDENTIALS):
        monkeypatch.delenv(name, raising=False)
    for name, value in NO_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    directory = ProjectDir(tmp_path, capsys, monkeypatch)
    directory.write("manifests/tunedmodels.yaml", PROJECT)
    directory.write("manifests/tone.yaml", MODEL)
    directory.dataset()
    return directory
