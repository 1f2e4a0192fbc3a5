"""The comment after the merge: from the lines of a run to what people read in the pull request."""

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
    Due,
    Ending,
    Evaluating,
    Event,
    Failed,
    Interrupted,
    Judged,
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
from tunedmodels.forges.plan_comment import APPLIED, APPLYING, read_marker
from tunedmodels.listeners.jsonl import EventLines, read_account
from tunedmodels.listeners.listener import About
from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Action
from tunedmodels.render.run_comment import applied_markdown, applying_markdown
from tunedmodels.stamp import Decision

GOLDEN = GOLDEN_FOLDER / "applied"
GFM = MarkdownIt("commonmark", {"html": True}).enable("table")
EVIL = "<b>@team</b> said\n```\n/close | `x`"
DUE = tuple(Due(name, f"{name}-1", Action.CREATE) for name in ("done", "half", "odd", "todo"))


def lines(events: Sequence[Event], code: int | None = 0, due: tuple[Due, ...] = DUE) -> str:
    """What `apply --events` writes of a run; without a code it was cut off."""
    out = io.StringIO()
    about = About("apply", "demo", "prod", "sha256:" + "0" * 64, due=due)
    now = datetime(2026, 11, 22, 14, 5, 59, 999999, tzinfo=UTC)
    writer = EventLines(out, about, now=lambda: now, complain=pytest.fail)
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
WRONG: tuple[Ending, ...] = (
    Succeeded("done", "done-1", Action.CREATE),
    Failed("half", "half-1", Action.CREATE, EVIL, cure="tunedmodels plan"),
    Refused("odd", "odd-1", Action.CREATE, "it is no longer as planned", cure="Plan again."),
    Skipped("todo", "todo-1", Action.CREATE, "what it waits for failed"),
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
SKIPPED = Skipped("odd", "odd-1", Action.CREATE, "interrupted before it began")
BEGUN = (Started("done", "done-1", Action.CREATE), Sending("done", "done-1", "create"))
SWEEP = (Due("swept", "swept-0", Action.CREATE, ("swept-1", "swept-2", "swept-3")),)
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
        [progressed("done", 4, 4), Evaluating("done", "done-1", 40, 100), *WRONG[1:2]], None
    ),
}
ENDED = {
    "sweep": lines([*TRIED, *CHOSEN], 0, SWEEP),
    "applied": lines([*JUDGED[:1], *ALL]),
    "partly-applied": lines(WRONG, 1),
    "still-running": lines([*ALL[:3], RUNS], 3),
    "not-promoted": lines([*JUDGED, *REJECTED, ALL[0], ALL[3]], 5),
    "interrupted": lines([*ALL[:2], Interrupted(), RUNS, SKIPPED], 130),
    "killed": lines([*BEGUN, *ALL[1:2]], None),
    "refused": lines([], 4),
}


@pytest.mark.parametrize("name", [*RUNNING, *ENDED])
def test_what_became_of_a_plan_is_the_golden_file(
    name: str, golden: Callable[[Path, str], None]
) -> None:
    is_running = name in RUNNING
    account = read_account((RUNNING | ENDED)[name])
    write = applying_markdown if is_running else applied_markdown
    text = write(account, head="3c9d2e1", url="https://ci.test/runs/1")
    golden(GOLDEN / f"{name}.md", text)
    found = read_marker(text)
    assert found
    assert found.level == (APPLYING if is_running else APPLIED)
    assert found.digest == "sha256:" + "0" * 64
    assert "<b>@" not in GFM.render(text)
    assert not re.search(r"^/close", text, re.MULTILINE)


def test_every_golden_file_has_its_state() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {*RUNNING, *ENDED}


def test_no_word_of_a_service_reaches_the_comment() -> None:
    account = read_account(lines([Failed("half", "half-1", Action.CREATE, "an example")], 1))
    assert account.due == DUE
    assert "an example" not in applied_markdown(account) + applying_markdown(account)


def test_a_comment_of_very_many_changes_counts_those_that_do_not_fit() -> None:
    due = tuple(Due(f"m-{n}", f"m-{n}-1", Action.CREATE) for n in range(3000))
    wrong = [Refused(d.name, d.model_id, d.action, "moved " * 60, "Plan.") for d in due]
    for text in (
        applied_markdown(read_account(lines(wrong, 4, due))),
        applying_markdown(read_account(lines(wrong, None, due))),
    ):
        assert len(text.encode()) <= 60_000
        assert re.search(r"^(> )?- and [\d]+ more$", text, re.MULTILINE)
    assert "3000 refused" in applied_markdown(read_account(lines(wrong, 4, due)))


def test_of_several_runs_in_a_file_the_last_one_counts() -> None:
    account = read_account(lines(WRONG, 1) + lines(ALL, 0))
    assert account.code == 0
    assert account.events == ALL


def test_what_is_not_known_is_passed_over_and_a_line_that_was_cut_off_is_none() -> None:
    whole = lines([ALL[0]], None)
    newer = whole.splitlines()[0].replace('"began"', '"from-the-future"')
    account = read_account(f'{whole}{newer}\n{{"formatVersion": 1, "eve')
    assert account.events == ALL[:1]
    assert account.code is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "tell of no apply"),
        ("[]\n", "Line 1 is no event"),
        (lines([]) + "hello\n", "Line 3 is no event"),
        (lines([]).replace('"formatVersion": 1', '"formatVersion": 2'), "another format"),
        (lines([]).replace('"apply"', '"watch"'), "tell of no apply"),
        (lines([]).replace('"due"', '"undue"'), "not as they were written"),
        (lines([]).replace('"code": 0', '"code": "0"'), "not as they were written"),
    ],
)
def test_what_is_no_account_of_a_run_is_refused_with_a_sentence(text: str, words: str) -> None:
    with pytest.raises(TunedModelsError, match=words) as refused:
        read_account(text)
    assert refused.value.cure
