"""A project in an empty folder, and the command line, in this process or in one of its own.

In this process a command costs a tenth, and jobs are trained by real workers all the same; what is
about signals and kills needs a process of its own.
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
TONE = [
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
# The login of whoever runs the tests, and the account of the machine, are none of their business.
NOBODY = {"CLOUDSDK_CONFIG": "no-such-folder", "NO_GCE_CHECK": "true"}
# What a question may leave behind: nothing but what it knows of the datasets, kept out of git.
CACHE = {"manifests/.tunedmodels/.gitignore", "manifests/.tunedmodels/surveys"}


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Desk:
    """The working directory, with the project in `manifests`."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def run(
        self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> Ended:
        """Run one command to its end; no mistake of a person may ever become an exception."""
        self.capture.readouterr()
        with self.patch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            try:
                code = run(list(arguments))
            except SystemExit as left:
                code = int(left.code or 0)
        said = self.capture.readouterr()
        return Ended(int(code), said.out, said.err)

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Start one command as a process of its own, and let it run."""
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
        """An environment without anything of this machine's owner."""
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "NO_COLOR": "1", **NOBODY}
        return kept | {key: value for key, value in os.environ.items() if key.startswith("COV")}

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

    def hopeless_gate(self, name: str = "tone") -> None:
        """Declare a gate that no version passes: it expects the other label of every answer."""
        other = {"friendly": "angry", "angry": "friendly"}
        rows = [
            json.dumps({"text_input": f"{words}, said {number}", "output": other[label]})
            for number in range(10)
            for words, label in TONE
        ]
        self.write(f"manifests/data/{name}.eval.jsonl", "\n".join(rows) + "\n")
        self.model(name, evaluation={"path": f"data/{name}.eval.jsonl", "atLeast": 0.8})

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

    def actions(self) -> list[str]:
        """What the plan would do."""
        return [change["action"] for change in self.plan()["changes"]]

    def files(self) -> set[str]:
        """Every file below the working directory."""
        return {str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file()}


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    """A project with one model, not applied yet."""
    monkeypatch.chdir(tmp_path)
    for name in ("CI", "TUNEDMODELS_DIR", *CREDENTIALS):
        monkeypatch.delenv(name, raising=False)
    for name, value in NOBODY.items():
        monkeypatch.setenv(name, value)
    desk = Desk(tmp_path, capsys, monkeypatch)
    desk.write("manifests/tunedmodels.yaml", PROJECT)
    desk.write("manifests/tone.yaml", MODEL)
    desk.dataset()
    return desk
