"""A sweep on the embedded engine, really trained: killed, and continued by the next apply."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

import pytest

from tests.end_to_end.test_interrupts import journal_events, wait_until
from tests.support.project_dir import TONE_EXAMPLES, ProjectDir

SWEEP: dict[str, Any] = {"hyperparameters": {"epochCount": [1, 30, 60]}}


def declare(project_dir: ProjectDir, sweep: dict[str, Any] = SWEEP, **rules: Any) -> None:
    """Declare the model with a sweep and held-out examples."""
    evaluation = {"path": "data/tone.eval.jsonl", "metric": "labelAccuracy", **rules}
    project_dir.model(sweep=sweep, evaluation=evaluation)


@pytest.fixture
def swept(project_dir: ProjectDir) -> ProjectDir:
    """A project with a sweep and no live model."""
    rows = [
        json.dumps({"text_input": f"{words}, part {number}", "output": label})
        for number in range(10)
        for words, label in TONE_EXAMPLES
    ]
    project_dir.write("manifests/data/tone.eval.jsonl", "\n".join(rows) + "\n")
    declare(project_dir)
    return project_dir


def jobs(project_dir: ProjectDir) -> int:
    """Return the number of jobs ever created; the service numbers them and reuses no number."""
    with closing(
        sqlite3.connect(project_dir.folder / "manifests/.tunedmodels/embedded.db")
    ) as store:
        found = store.execute("SELECT seq FROM sqlite_sequence WHERE name = 'models'").fetchone()
    return int(found[0])


@pytest.mark.parametrize("moment", ["Sent create", "Sent score", "Sent promote", "Sent delete"])
def test_a_killed_sweep_is_continued_and_its_best_candidate_serves(
    swept: ProjectDir, moment: str
) -> None:
    process = swept.start("apply", "--yes")
    wait_until(lambda: moment in journal_events(swept) or process.poll() is not None)
    process.kill()
    process.communicate()
    ended = swept.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    status = swept.status()
    assert [version["id"] for version in status["versions"]] == [status["serving"]]
    assert status["versions"][0]["sweep"] == "chosen"
    assert status["versions"][0]["score"] > 0.9
    assert status["serving"] in swept.run("outputs").out
    assert jobs(swept) == 3
    assert swept.actions() == []
    again = swept.run("apply", "--yes")
    assert (again.code, "No changes." in again.out) == (0, True)
    assert "chosen as the best of its candidates" in swept.run("show", "tone").out


def test_an_edited_sweep_trains_the_missing_candidates_and_a_pinned_winner_trains_nothing(
    swept: ProjectDir,
) -> None:
    assert swept.run("apply", "--yes").code == 0
    first = swept.status()["serving"]
    declare(swept, {"hyperparameters": {"epochCount": [1, 30, 60, 90]}})
    (change,) = swept.plan()["changes"]
    states = Counter(candidate["action"] for candidate in change["sweep"]["candidates"])
    # The losing candidates were deleted, so the plan announces that they are trained again.
    assert states == {"create": 3, "promote": 1}
    assert "3 tuning jobs" in swept.run("plan").out
    declare(swept)
    assert swept.actions() == []
    pinned = []
    for count in SWEEP["hyperparameters"]["epochCount"]:  # the winner can be pinned and stays
        swept.model(hyperparameters={"epochCount": count})
        pinned.append(swept.actions())
    assert sorted(pinned) == [[], ["replace"], ["replace"]]
    assert swept.status()["serving"] == first


def test_a_winner_that_its_gate_refuses_does_not_replace_the_serving_version(
    swept: ProjectDir,
) -> None:
    swept.model(hyperparameters={"epochCount": 40})
    assert swept.run("apply", "--yes").code == 0
    before = swept.run("outputs").out
    declare(swept, atLeast=1.0)
    ended = swept.run("apply", "--yes")
    assert ended.code == 5, ended.out + ended.err
    assert swept.run("outputs").out == before
    assert swept.actions() == ["rejected"]
    assert swept.run("apply", "--yes").code == 5
    assert jobs(swept) == 4
