"""A sweep on the embedded engine, really trained: killed in the middle, and gone on with."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

import pytest

from tests.end_to_end.test_interrupts import happened, until
from tests.support.project_dir import TONE, Desk

SWEEP: dict[str, Any] = {"hyperparameters": {"epochCount": [1, 30, 60]}}


def declare(desk: Desk, sweep: dict[str, Any] = SWEEP, **rules: Any) -> None:
    """Declare the model with a sweep and held-out examples."""
    evaluation = {"path": "data/tone.eval.jsonl", "metric": "labelAccuracy", **rules}
    desk.model(sweep=sweep, evaluation=evaluation)


@pytest.fixture
def swept(desk: Desk) -> Desk:
    """A project with a sweep, and nothing live."""
    rows = [
        json.dumps({"text_input": f"{words}, part {number}", "output": label})
        for number in range(10)
        for words, label in TONE
    ]
    desk.write("manifests/data/tone.eval.jsonl", "\n".join(rows) + "\n")
    declare(desk)
    return desk


def jobs(desk: Desk) -> int:
    """How many jobs were ever created: the service numbers them, and gives no number twice."""
    with closing(sqlite3.connect(desk.folder / "manifests/.tunedmodels/embedded.db")) as store:
        found = store.execute("SELECT seq FROM sqlite_sequence WHERE name = 'models'").fetchone()
    return int(found[0])


@pytest.mark.parametrize("moment", ["Sent create", "Sent score", "Sent promote", "Sent delete"])
def test_a_sweep_that_is_killed_is_gone_on_with_and_its_best_one_serves(
    swept: Desk, moment: str
) -> None:
    process = swept.start("apply", "--yes")
    until(lambda: moment in happened(swept) or process.poll() is not None)
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


def test_an_edited_sweep_trains_what_is_not_there_any_more_and_a_pinned_one_nothing(
    swept: Desk,
) -> None:
    assert swept.run("apply", "--yes").code == 0
    first = swept.status()["serving"]
    declare(swept, {"hyperparameters": {"epochCount": [1, 30, 60, 90]}})
    (change,) = swept.plan()["changes"]
    states = Counter(each["action"] for each in change["sweep"]["candidates"])
    # What lost was deleted, so that it would be trained once more: the plan says so beforehand.
    assert states == {"create": 3, "promote": 1}
    assert "3 tuning jobs" in swept.run("plan").out
    declare(swept)
    assert swept.actions() == []
    pinned = []
    for count in SWEEP["hyperparameters"]["epochCount"]:  # what won can be pinned, and goes on
        swept.model(hyperparameters={"epochCount": count})
        pinned.append(swept.actions())
    assert sorted(pinned) == [[], ["replace"], ["replace"]]
    assert swept.status()["serving"] == first


def test_a_winner_that_its_gate_refuses_leaves_what_serves_alone(swept: Desk) -> None:
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
