"""The plan in every format and locale, without examples that its readers must not see."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.project_dir import ProjectDir
from tunedmodels.forges.plan_comment import Marker


@pytest.fixture
def edited(project_dir: ProjectDir) -> ProjectDir:
    """A project in git whose model was trained, and whose dataset was edited since."""
    rows = [
        {"text_input": f"café {number}, where are you", "output": "où" if number % 2 else "da"}
        for number in range(24)
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    project_dir.write("manifests/data/tone.jsonl", text)
    git(project_dir, "init", "-q")
    git(project_dir, "add", "-A")
    git(project_dir, "commit", "-qm", "one")
    assert project_dir.run("apply", "--yes").code == 0
    project_dir.write("manifests/data/tone.jsonl", text.replace("café 0,", "café 短,"))
    return project_dir


def git(project_dir: ProjectDir, *arguments: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *author, *arguments], cwd=project_dir.folder, check=True)


def test_every_format_is_complete_and_shows_the_requested_examples(edited: ProjectDir) -> None:
    few = edited.run("plan", "--format", "markdown")
    assert few.code == 0, few.err
    marker = Marker.parse(few.out)
    assert marker
    assert marker.digest == edited.plan()["digest"]
    assert marker.head.endswith("+")
    assert "café 短" in few.out
    assert "café 短" in edited.run("plan", "--format", "html").out
    none = edited.run("plan", "--format", "markdown", "--examples", "none").out
    assert "café" not in none
    assert "1 of them edited" in none
    assert "café" in edited.run("plan", "--examples", "all").out


def test_without_an_archive_the_former_examples_come_from_git(edited: ProjectDir) -> None:
    for file in (edited.folder / "manifests/.tunedmodels/datasets").iterdir():
        file.unlink()
    assert "was :1" in edited.run("plan").out


@pytest.mark.parametrize("form", ["text", "json", "markdown", "html"])
def test_characters_that_the_locale_lacks_are_escaped(edited: ProjectDir, form: str) -> None:
    environ = edited.environ() | {"PYTHONIOENCODING": "latin-1", "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-m", "tunedmodels", "plan", "--format", form],
        cwd=edited.folder,
        capture_output=True,
        env=environ,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    output = done.stdout.decode("latin-1" if form == "text" else "utf-8")
    assert "\\u77ed" in output if form == "text" else "短" in output or form == "json"


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_errors_have_the_format_of_the_requested_plan(project_dir: ProjectDir, form: str) -> None:
    project_dir.model(temperature=7)
    ended = project_dir.run("plan", "--format", form)
    assert ended.code == 1
    assert "1 error" in ended.out
    assert "temperature" in ended.out


def test_validate_prints_markdown(project_dir: ProjectDir) -> None:
    project_dir.model(temperature=7)
    ended = project_dir.run("validate", "--format", "markdown")
    assert ended.code == 1
    assert "> [!CAUTION]" in ended.out
