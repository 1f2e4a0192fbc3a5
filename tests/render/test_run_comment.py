"""The comment after the merge: from the event lines of a run to the text in the pull request."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tunedmodels.errors import TunedModelsError
from tunedmodels.events import (
    Chosen,
    Ending,
    Evaluating,
    Event,
    Failed,
    Interrupted,
    Judged,
    PlannedChange,
    Progressed,
    Refused,
    Rejected,
    Sending,
    Skipped,
    Started,
    StillRunning,
    Succeeded,
    Tried,
)
from tunedmodels.forges.plan_comment import APPLIED_LEVEL, APPLYING_LEVEL, Marker
from tunedmodels.listeners.jsonl import JsonLines, read_run_log
from tunedmodels.listeners.listener import RunInfo
from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Action
from tunedmodels.render.run_comment import progress_comment, result_comment
from tunedmodels.stamp import Decision

GOLDEN = GOLDEN_FOLDER / "applied"
GFM = MarkdownIt("commonmark", {"html": True}).enable("table")
EVIL = "<b>@team</b> said\n```\n/close | `x`"
DUE = tuple(
    PlannedChange(name, f"{name}-1", Action.CREATE) for name in ("done", "half", "odd", "todo")
)


def lines(
    events: Sequence[Event], code: int | None = 0, due: tuple[PlannedChange, ...] = DUE
) -> str:
    """Return the lines that `apply --events` writes; without a code, the run did not end."""
    out = io.StringIO()
    about = RunInfo("apply", "demo", "prod", "sha256:" + "0" * 64, planned=due)
    now = datetime(2026, 11, 22, 14, 5, 59, 999999, tzinfo=UTC)
    writer = JsonLines(out, about, now=lambda: now, on_warning=pytest.fail)
    for event in events:
        writer(event)
    if code is not None:
        writer.end(code)
    return out.getvalue()


def progressed(name: str, step: int, total: int | None) -> Progressed:
    return Progressed(name, f"{name}-1", ModelState.TRAINING, step, total, 0)


EVENTS: list[Event] = [
    progressed("done", 3, 4),
    Succeeded("done", "done-1", Action.CREATE),
    progressed("half", 1, 1000),
    progressed("half", 1500, 3000),
    progressed("odd", 7, None),
]
FAILURES: tuple[Ending, ...] = (
    Succeeded("done", "done-1", Action.CREATE),
    Failed("half", "half-1", Action.CREATE, EVIL, cure="tunedmodels plan"),
    Refused("odd", "odd-1", Action.CREATE, "it is no longer as planned", cure="Plan again."),
    Skipped("todo", "todo-1", Action.CREATE, "a change before it failed"),
)
ALL = tuple(Succeeded(due.name, due.model_id, due.action) for due in DUE)
PASSED = "exactMatch 0.880 (0.830 to 0.920, 60 examples); it serves with 0.830."
JUDGED = (
    Judged("done", "done-1", Decision.PASSED, "exactMatch:0.88", PASSED),
    Judged("half", "half-1", Decision.REFUSED, "exactMatch:0.61", "exactMatch 0.610."),
)
RUNS = StillRunning("todo", "todo-1", "epoch 2 of 5; to watch it: tunedmodels watch todo")
REJECTED = tuple(
    Rejected(name, f"{name}-1", Action.CREATE, words, f"Edit it; or: tunedmodels promote {name}")
    for name, words in (("half", "exactMatch 0.610. That is below 0.85, clearly."), ("odd", EVIL))
)
SKIPPED = Skipped("odd", "odd-1", Action.CREATE, "interrupted before it started")
STARTED = (Started("done", "done-1", Action.CREATE), Sending("done", "done-1", "create"))
SWEEP = (PlannedChange("swept", "swept-0", Action.CREATE, ("swept-1", "swept-2", "swept-3")),)
TRIED = (
    Started("swept", "swept-1", Action.CREATE, candidate=True),
    Tried("swept", "swept-1", "exactMatch:0.9", "an example"),
    Tried("swept", "swept-2", "", "an example"),
    Progressed("swept", "swept-3", ModelState.TRAINING, 1, 4, 0),
)
CHOSEN = (
    Chosen("swept", "swept-1", "0.900", "the best of 2 candidates; 1 more could not be trained"),
    Succeeded("swept", "swept-1", Action.CREATE),
)

RUNNING = {
    "applying-sweep": lines(TRIED, None, SWEEP),
    "applying": lines(EVENTS, None),
    "applying-gates": lines(
        [progressed("done", 4, 4), Evaluating("done", "done-1", 40, 100), *FAILURES[1:2]], None
    ),
}
ENDED = {
    "sweep": lines([*TRIED, *CHOSEN], 0, SWEEP),
    "applied": lines([*JUDGED[:1], *ALL]),
    "partly-applied": lines(FAILURES, 1),
    "still-running": lines([*ALL[:3], RUNS], 3),
    "not-promoted": lines([*JUDGED, *REJECTED, ALL[0], ALL[3]], 5),
    "interrupted": lines([*ALL[:2], Interrupted(), RUNS, SKIPPED], 130),
    "killed": lines([*STARTED, *ALL[1:2]], None),
    "refused": lines([], 4),
}


@pytest.mark.parametrize("name", [*RUNNING, *ENDED])
def test_the_comment_equals_its_golden_file(name: str, golden: Callable[[Path, str], None]) -> None:
    is_running = name in RUNNING
    log = read_run_log((RUNNING | ENDED)[name])
    write = progress_comment if is_running else result_comment
    text = write(log, head="3c9d2e1", url="https://ci.test/runs/1")
    golden(GOLDEN / f"{name}.md", text)
    marker = Marker.parse(text)
    assert marker
    assert marker.level == (APPLYING_LEVEL if is_running else APPLIED_LEVEL)
    assert marker.digest == "sha256:" + "0" * 64
    assert "<b>@" not in GFM.render(text)
    assert not re.search(r"^/close", text, re.MULTILINE)


def test_every_golden_file_has_a_state() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {*RUNNING, *ENDED}


def test_the_comment_has_no_message_of_a_service() -> None:
    log = read_run_log(lines([Failed("half", "half-1", Action.CREATE, "an example")], 1))
    assert log.planned == DUE
    assert "an example" not in result_comment(log) + progress_comment(log)


def test_a_comment_of_very_many_changes_counts_those_that_do_not_fit() -> None:
    due = tuple(PlannedChange(f"m-{n}", f"m-{n}-1", Action.CREATE) for n in range(3000))
    refused = [Refused(d.name, d.model_id, d.action, "moved " * 60, "Plan.") for d in due]
    for text in (
        result_comment(read_run_log(lines(refused, 4, due))),
        progress_comment(read_run_log(lines(refused, None, due))),
    ):
        assert len(text.encode()) <= 60_000
        assert re.search(r"^(> )?- and [\d]+ more$", text, re.MULTILINE)
    assert "3000 refused" in result_comment(read_run_log(lines(refused, 4, due)))


def test_the_last_run_in_a_file_is_read() -> None:
    log = read_run_log(lines(FAILURES, 1) + lines(ALL, 0))
    assert log.exit_code == 0
    assert log.events == ALL


def test_unknown_events_and_an_incomplete_line_are_ignored() -> None:
    whole = lines([ALL[0]], None)
    newer = whole.splitlines()[0].replace('"began"', '"from-the-future"')
    log = read_run_log(f'{whole}{newer}\n{{"formatVersion": 1, "eve')
    assert log.events == ALL[:1]
    assert log.exit_code is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not those of an apply"),
        ("[]\n", "Line 1 is not an event"),
        (lines([]) + "hello\n", "Line 3 is not an event"),
        (lines([]).replace('"formatVersion": 1', '"formatVersion": 2'), "format version 1"),
        (lines([]).replace('"apply"', '"watch"'), "not those of an apply"),
        (lines([]).replace('"due"', '"undue"'), "changed after they were written"),
        (lines([]).replace('"code": 0', '"code": "0"'), "changed after they were written"),
    ],
)
def test_invalid_event_lines_are_refused(text: str, message: str) -> None:
    with pytest.raises(TunedModelsError, match=message) as refused:
        read_run_log(text)
    assert refused.value.cure
