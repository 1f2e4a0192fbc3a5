"""A project in a folder, and the command line in this process: quick, and without training."""

from __future__ import annotations

import json
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
ROWS = [
    {"text_input": f"{words} {number}", "output": label}
    for number in range(12)
    for words, label in (("thank you", "friendly"), ("stop it", "angry"))
]


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Desk:
    """The folder, which is also the working directory; the project lies in `manifests`."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def write(self, path: str, content: str | bytes) -> None:
        """Write a file of the project."""
        file = self.folder / "manifests" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def run(self, *arguments: str) -> Ended:
        """Run one command; no mistake of a person may ever become an exception."""
        self.capture.readouterr()
        try:
            code = run(list(arguments))
        except SystemExit as left:
            code = int(left.code or 0)
        said = self.capture.readouterr()
        return Ended(int(code), said.out, said.err)

    def plan(self, *arguments: str) -> dict[str, Any]:
        """What `plan --format json` says."""
        document: dict[str, Any] = json.loads(self.run("plan", "--format", "json", *arguments).out)
        return document

    def files(self) -> set[str]:
        """Every file below the working directory."""
        return {str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file()}


def lay(folder: Path, capture: pytest.CaptureFixture[str]) -> Desk:
    """Write a project with one model and return its desk."""
    desk = Desk(folder, capture)
    desk.write("tunedmodels.yaml", PROJECT)
    desk.write("tone.yaml", MODEL)
    desk.write("data/tone.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS))
    return desk
