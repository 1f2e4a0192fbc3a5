"""A plan for everybody who reads it: in every form, in every locale, with what they may see."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.project_dir import Desk
from tunedmodels.render.plan.markdown import read_marker


@pytest.fixture
def edited(desk: Desk) -> Desk:
    """A desk in git whose model was trained, and whose dataset was edited since."""
    rows = [
        {"text_input": f"café {number}, where are you", "output": "où" if number % 2 else "da"}
        for number in range(24)
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    desk.write("manifests/data/tone.jsonl", text)
    git(desk, "init", "-q")
    git(desk, "add", "-A")
    git(desk, "commit", "-qm", "one")
    assert desk.run("apply", "--yes").code == 0
    desk.write("manifests/data/tone.jsonl", text.replace("café 0,", "café 短,"))
    return desk


def git(desk: Desk, *arguments: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *author, *arguments], cwd=desk.folder, check=True)


def test_every_form_is_whole_and_shows_as_much_as_was_asked_for(edited: Desk) -> None:
    few = edited.run("plan", "--format", "markdown")
    assert few.code == 0, few.err
    marker = read_marker(few.out)
    assert marker
    assert marker["digest"] == edited.plan()["digest"]
    assert marker["head"].endswith("+")
    assert "café 短" in few.out
    assert "café 短" in edited.run("plan", "--format", "html").out
    none = edited.run("plan", "--format", "markdown", "--examples", "none").out
    assert "café" not in none
    assert "1 of them edited" in none
    assert "café" in edited.run("plan", "--examples", "all").out


def test_without_an_archive_git_still_knows(edited: Desk) -> None:
    for file in (edited.folder / "manifests/.tunedmodels/datasets").iterdir():
        file.unlink()
    assert "was :1" in edited.run("plan").out


@pytest.mark.parametrize("form", ["text", "json", "markdown", "html"])
def test_a_locale_that_lacks_letters_stops_nothing(edited: Desk, form: str) -> None:
    environ = edited.environ() | {"PYTHONIOENCODING": "latin-1", "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-m", "tunedmodels", "plan", "--format", form],
        cwd=edited.folder,
        capture_output=True,
        env=environ,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode("latin-1" if form == "text" else "utf-8")
    assert "\\u77ed" in shown if form == "text" else "短" in shown or form == "json"


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_errors_have_the_form_of_the_plan_that_there_is_not(desk: Desk, form: str) -> None:
    desk.model(temperature=7)
    ended = desk.run("plan", "--format", form)
    assert ended.code == 1
    assert "1 error" in ended.out
    assert "temperature" in ended.out


def test_validate_speaks_markdown(desk: Desk) -> None:
    desk.model(temperature=7)
    ended = desk.run("validate", "--format", "markdown")
    assert ended.code == 1
    assert "> [!CAUTION]" in ended.out
