"""Both views of a run, as whole outputs, during the run and at its end."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.apply_harness import ApplyHarness, declare
from tests.support.paths import GOLDEN
from tunedmodels.errors import PermissionDeniedError
from tunedmodels.events import (
    Chosen,
    Evaluating,
    Event,
    Failed,
    Interrupted,
    Judged,
    Progressed,
    Refused,
    Rejected,
    Retried,
    Sending,
    Sent,
    Skipped,
    Started,
    StillRunning,
    Succeeded,
    Tried,
)
from tunedmodels.observed import LossPoint, ModelState
from tunedmodels.plan.plan import Action
from tunedmodels.render.event_lines import Tally, event_line
from tunedmodels.render.layout import format_duration
from tunedmodels.render.progress import PlainProgress, open_progress
from tunedmodels.render.progress_live import LiveProgress
from tunedmodels.stamp import Decision

POISON = "[red]no[/red] \x1b[2Jmore\r\nthan 3 of the examples: " + "very " * 30 + "long"


class Watch:
    """A clock that a test sets."""

    time = 0.0

    def __call__(self) -> float:
        return self.time


def progressed(name: str, step: int, total: int | None = 30) -> Progressed:
    curve = tuple(LossPoint(n, n // 6, 2.0 / (1 + n / 10)) for n in range(1, step + 1))
    state = ModelState.READY if step == total else ModelState.TRAINING
    state = state if step else ModelState.QUEUED
    return Progressed(name, f"{name}-1a2b3c4d", state, step, total, step // 6, curve)


def run_events() -> Iterator[tuple[float, Event]]:
    """Yield the events of a run with every kind of ending, with their times in seconds."""
    yield 0.0, Started("tone", "tone-1a2b3c4d", Action.REPLACE)
    yield 0.0, Sending("tone", "tone-1a2b3c4d", "create")
    yield 0.1, Started("bad", "bad-1a2b3c4d", Action.CREATE)
    yield 0.1, Sent("tone", "tone-1a2b3c4d", "create")
    yield 0.2, Started("old", "old-1a2b3c4d", Action.DELETE)
    yield (
        0.2,
        Refused(
            "old",
            "old-1a2b3c4d",
            Action.DELETE,
            "old-1a2b3c4d serves now",
            "Run:\n  tunedmodels plan",
        ),
    )
    yield 0.2, Failed("bad", "bad-1a2b3c4d", Action.CREATE, POISON, "Fix the dataset.")
    yield 0.3, Started("slow", "slow-1a2b3c4d", Action.CREATE)
    yield 0.4, Sent("slow", "slow-1a2b3c4d", "create")
    yield 0.4, progressed("tone", 0)
    yield 0.5, Skipped("child", "child-1a2b3c4d", Action.CREATE, "it continues from bad")
    for step in range(1, 30, 2):
        yield 0.5 + step / 3, progressed("tone", step)
        yield 0.5 + step / 3, progressed("slow", step, total=None)
    yield 10.5, progressed("tone", 30)
    yield 10.6, Sent("tone", "tone-1a2b3c4d", "promote")
    yield 10.6, Sent("tone", "tone-00000000", "delete")
    yield 10.7, Succeeded("tone", "tone-1a2b3c4d", Action.REPLACE)
    yield 11.0, Retried("observe", 1, 5.0, "no route to host")
    yield 65.0, Interrupted()
    yield 65.0, StillRunning("slow", "slow-1a2b3c4d", "the job continues")


def gate_events() -> Iterator[tuple[float, Event]]:
    """Yield the events of gates that pass, refuse, cannot decide, and refused in an earlier run."""
    names = {"good": Action.REPLACE, "bad": Action.PROMOTE, "few": Action.CREATE}
    for name, action in names.items():
        yield 0.0, Started(name, f"{name}-1a2b3c4d", action)
    yield 1.0, progressed("good", 30)
    for done in range(0, 101, 4):
        for name in names:
            yield 1.0 + done / 10, Evaluating(name, f"{name}-1a2b3c4d", done, 100)
    passed = (
        "exactMatch 0.912 (0.86 to 0.96) on 100 examples. That is at least 0.85. +0.012 against "
    )
    passed += "the version that serves (-0.01 to +0.04): not worse by 0.02."
    refused = "exactMatch 0.610 (0.53 to 0.69) on 100 examples. That is below 0.85, clearly."
    few = "exactMatch 0.860 (0.70 to 1.00) on 20 examples. So few examples cannot tell it apart."
    yield 12.0, Judged("good", "good-1a2b3c4d", Decision.PASSED, "exactMatch:0.912", passed)
    yield 12.0, Judged("bad", "bad-1a2b3c4d", Decision.REFUSED, "exactMatch:0.610", refused)
    yield 12.0, Judged("few", "few-1a2b3c4d", Decision.INCONCLUSIVE, "exactMatch:0.860", few)
    yield 12.1, Sending("good", "good-1a2b3c4d", "promote")
    yield 12.1, Sending("bad", "bad-1a2b3c4d", "judge")
    yield 12.2, Sent("good", "good-1a2b3c4d", "promote")
    yield 12.2, Sent("bad", "bad-1a2b3c4d", "judge")
    yield 12.3, Succeeded("good", "good-1a2b3c4d", Action.REPLACE)
    cure = "Edit its training examples; or let it serve: tunedmodels promote bad bad-1a2b3c4d"
    yield 12.3, Rejected("bad", "bad-1a2b3c4d", Action.PROMOTE, refused, cure)
    yield 12.4, Rejected("few", "few-1a2b3c4d", Action.CREATE, few, "Add examples.")
    yield 12.5, Rejected("old", "old-1a2b3c4d", Action.REJECTED, "its gate refused it", "Edit it.")
    yield 12.6, StillRunning("slow", "slow-1a2b3c4d", "the time limit was reached")


def test_the_plain_view_of_gates_equals_its_golden_file(
    golden: Callable[[Path, str], None],
) -> None:
    out, watch = io.StringIO(), Watch()
    with PlainProgress(out, elapsed=watch) as view:
        for time, event in gate_events():
            watch.time = time
            view(event)
    golden(GOLDEN / "progress.gates.txt", out.getvalue())
    assert max(map(len, out.getvalue().splitlines())) <= 100


def test_a_short_evaluation_has_one_line() -> None:
    out, watch = io.StringIO(), Watch()
    view = PlainProgress(out, elapsed=watch)
    for done in range(101):
        watch.time = done / 200
        view(Evaluating("tone", "tone-1a2b3c4d", done, 100))
    assert out.getvalue() == "    tone: evaluating, 0/100 answers\n"


def test_the_live_view_of_gates_equals_its_golden_file(golden: Callable[[Path, str], None]) -> None:
    out, watch = io.StringIO(), Watch()
    console = Console(file=out, width=100, height=20)
    view = LiveProgress(console, elapsed=watch)
    for time, event in gate_events():
        watch.time = time
        view(event)
        if isinstance(event, Evaluating) and event.name == "bad" and event.done == 52:
            console.rule(f"after {time:.1f} s")
            console.print(view.table())
    console.rule("the end")
    console.print(view.table())
    view.__exit__(None, None, None)
    golden(GOLDEN / "progress.gates.live.txt", out.getvalue())


def sweep_events() -> Iterator[tuple[float, Event]]:
    """Yield the events of three candidates: one is chosen, one is not, one is given up."""
    best, worse, broken = (f"tone-{number}a2b3c4d" for number in (1, 2, 3))
    for model_id in (best, worse, broken):
        yield 0.0, Started("tone", model_id, Action.CREATE, candidate=True)
        yield 0.1, Sending("tone", model_id, "create")
        yield 0.2, Sent("tone", model_id, "create")
    for model_id in (best, worse):
        yield 1.0, replace(progressed("tone", 30), model_id=model_id)
        yield 1.5, Evaluating("tone", model_id, 50, 100)
    yield 2.0, Tried("tone", broken, "", "the job failed without a reason")
    words = "exactMatch 0.912 (0.86 to 0.96) on 100 examples."
    yield 2.9, Sent("tone", best, "score")
    yield 3.0, Tried("tone", best, "exactMatch:0.912", words)
    yield 4.0, Tried("tone", worse, "exactMatch:0.880", words.replace("0.912", "0.880"))
    yield (
        4.1,
        Chosen("tone", best, "0.912", "the best of 2; 1 more failed"),
    )
    yield 4.2, Sending("tone", best, "promote")
    yield 4.3, Sent("tone", best, "promote")
    yield 4.4, Sent("tone", worse, "delete")
    yield 4.5, Succeeded("tone", best, Action.REPLACE)


def test_the_plain_view_of_a_sweep_equals_its_golden_file(
    golden: Callable[[Path, str], None],
) -> None:
    out, watch = io.StringIO(), Watch()
    with PlainProgress(out, elapsed=watch) as view:
        for time, event in sweep_events():
            watch.time = time
            view(event)
    golden(GOLDEN / "progress.sweep.txt", out.getvalue())
    assert max(map(len, out.getvalue().splitlines())) <= 100


def test_the_live_view_of_a_sweep_equals_its_golden_file(
    golden: Callable[[Path, str], None],
) -> None:
    out, watch = io.StringIO(), Watch()
    console = Console(file=out, width=100, height=20)
    view = LiveProgress(console, elapsed=watch)
    for time, event in sweep_events():
        watch.time = time
        view(event)
        if isinstance(event, Chosen):
            console.rule(f"after {time:.1f} s")
            console.print(view.table())
    console.rule("the end")
    console.print(view.table())
    view.__exit__(None, None, None)
    golden(GOLDEN / "progress.sweep.live.txt", out.getvalue())


def test_an_evaluated_version_has_no_job_to_watch() -> None:
    tally = Tally()
    tally.count(Evaluating("tone", "tone-1a2b3c4d", 40, 100))
    tally.count(StillRunning("tone", "tone-1a2b3c4d", "the time limit was reached"))
    assert "tunedmodels watch" not in "\n".join(tally.lines())


def test_the_plain_view_equals_its_golden_file(golden: Callable[[Path, str], None]) -> None:
    out, watch = io.StringIO(), Watch()
    with PlainProgress(out, elapsed=watch) as view:
        for time, event in run_events():
            watch.time = time
            view(event)
    golden(GOLDEN / "progress.txt", out.getvalue())
    assert max(map(len, out.getvalue().splitlines())) <= 100


def test_the_live_view_equals_its_golden_file(golden: Callable[[Path, str], None]) -> None:
    out, watch = io.StringIO(), Watch()
    console = Console(file=out, width=100, height=20)
    view = LiveProgress(console, elapsed=watch)
    for time, event in run_events():
        watch.time = time
        view(event)
        if isinstance(event, Progressed) and event.name == "slow" and event.step in (1, 15):
            console.rule(f"after {time:.1f} s")
            console.print(view.table())
    console.rule("the end")
    console.print(view.table())
    view.__exit__(None, None, None)
    golden(GOLDEN / "progress.live.txt", out.getvalue())


def test_the_last_line_is_empty_so_that_ctrl_c_adds_no_line() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, height=8)
    view = LiveProgress(console, elapsed=Watch())
    view(Started("tone", "tone-1a2b3c4d", Action.CREATE))
    console.print(view.table())
    assert out.getvalue().splitlines()[-1] == ""


def test_a_low_terminal_hides_finished_rows_and_keeps_failures() -> None:
    out, watch = io.StringIO(), Watch()
    console = Console(file=out, width=100, height=8)
    view = LiveProgress(console, elapsed=watch)
    for number in range(10):
        view(Started(f"model-{number}", "id", Action.CREATE))
    view(Succeeded("model-0", "id", Action.CREATE))
    view(Failed("model-9", "id", Action.CREATE, "no"))
    console.print(view.table())
    text = out.getvalue()
    assert "model-9" in text
    assert "model-0" not in text
    assert "... 6 more" in text


async def test_a_real_run_ends_with_a_summary() -> None:
    stage = ApplyHarness([declare("good"), declare("bad")])

    def refuse(call: str, model_id: str) -> None:
        if model_id.startswith("bad"):
            raise PermissionDeniedError("the key may not do this", cure="Make another key.")

    stage.provider.on_request = refuse
    out = io.StringIO()
    with PlainProgress(out, elapsed=stage.clock.elapsed) as view:
        await stage.apply(emit=view)
    assert out.getvalue().endswith(
        "\n!   bad: create failed\n      the key may not do this\n      Make another key.\n"
        "\nResult: 1 done, 1 failed.\n"
    )
    assert out.getvalue().count("training") < 15


def test_an_interrupted_run_lists_its_job_as_running() -> None:
    out = io.StringIO()
    view = PlainProgress(out, elapsed=Watch())
    view(Started("tone", "tone-1a2b3c4d", Action.CREATE))
    view(Sent("tone", "tone-1a2b3c4d", "create"))
    with pytest.raises(KeyboardInterrupt), view:
        raise KeyboardInterrupt
    assert out.getvalue().endswith(
        "  To watch: tunedmodels watch tone\n\nResult: 1 still running.\n"
    )


def test_a_long_job_is_not_silent_for_more_than_a_minute() -> None:
    out, watch = io.StringIO(), Watch()
    view = PlainProgress(out, elapsed=watch)
    for second in range(0, 600, 10):
        watch.time = float(second)
        view(progressed("tone", 1 + second // 10, total=10_000))
    assert len(out.getvalue().splitlines()) == 10


def test_a_run_without_events_writes_nothing() -> None:
    out = io.StringIO()
    with PlainProgress(out):
        pass
    assert out.getvalue() == ""
    assert Tally().lines() == []


@pytest.mark.parametrize("kind", ["plain", "live"])
def test_both_views_end_with_the_summary(kind: str) -> None:
    out = io.StringIO()
    with open_progress(live=kind == "live", out=out) as view:
        for _, event in run_events():
            view(event)
    assert "1 done, 1 failed, 1 refused, 1 still running, 1 skipped." in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2 s"), (12.9, "12 s"), (185, "3 min 05 s"), (3720, "1 h 02 min")],
)
def test_a_duration_has_its_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize("action", Action)
def test_every_action_has_a_line_for_its_success(action: Action) -> None:
    assert event_line(Succeeded("tone", "tone-1", action))[2].endswith("tone-1")
