"""Both views of a run, as whole outputs: what a person reads while it goes on, and at its end."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.apply_harness import Stage, want
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
from tunedmodels.render.progress import PlainProgress, Tally, duration, line
from tunedmodels.render.progress_live import LiveProgress, progress, sparkline
from tunedmodels.stamp import Decision

POISON = "[red]no[/red] \x1b[2Jmore\r\nthan 3 of the examples: " + "very " * 30 + "long"


class Watch:
    """A stopwatch that a test sets."""

    time = 0.0

    def __call__(self) -> float:
        return self.time


def going(name: str, step: int, total: int | None = 30) -> Progressed:
    curve = tuple(LossPoint(n, n // 6, 2.0 / (1 + n / 10)) for n in range(1, step + 1))
    state = ModelState.READY if step == total else ModelState.TRAINING
    state = state if step else ModelState.QUEUED
    return Progressed(name, f"{name}-1a2b3c4d", state, step, total, step // 6, curve)


def story() -> Iterator[tuple[float, Event]]:
    """A run in which everything happens: (seconds, event)."""
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
    yield 0.2, Failed("bad", "bad-1a2b3c4d", Action.CREATE, POISON, "Mend the dataset.")
    yield 0.3, Started("slow", "slow-1a2b3c4d", Action.CREATE)
    yield 0.4, Sent("slow", "slow-1a2b3c4d", "create")
    yield 0.4, going("tone", 0)
    yield 0.5, Skipped("child", "child-1a2b3c4d", Action.CREATE, "it continues from bad")
    for step in range(1, 30, 2):
        yield 0.5 + step / 3, going("tone", step)
        yield 0.5 + step / 3, going("slow", step, total=None)
    yield 10.5, going("tone", 30)
    yield 10.6, Sent("tone", "tone-1a2b3c4d", "promote")
    yield 10.6, Sent("tone", "tone-00000000", "delete")
    yield 10.7, Succeeded("tone", "tone-1a2b3c4d", Action.REPLACE)
    yield 11.0, Retried("observe", 1, 5.0, "no route to host")
    yield 65.0, Interrupted()
    yield 65.0, StillRunning("slow", "slow-1a2b3c4d", "the job goes on")


def judging() -> Iterator[tuple[float, Event]]:
    """A run with gates: one passes, one refuses, one cannot decide, one was refused before."""
    names = {"good": Action.REPLACE, "bad": Action.PROMOTE, "few": Action.CREATE}
    for name, action in names.items():
        yield 0.0, Started(name, f"{name}-1a2b3c4d", action)
    yield 1.0, going("good", 30)
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
    yield 12.6, StillRunning("slow", "slow-1a2b3c4d", "the time to wait is over")


def test_the_plain_view_of_gates_is_the_golden_file(golden: Callable[[Path, str], None]) -> None:
    out, watch = io.StringIO(), Watch()
    with PlainProgress(out, elapsed=watch) as view:
        for time, event in judging():
            watch.time = time
            view(event)
    golden(GOLDEN / "progress.gates.txt", out.getvalue())
    assert max(map(len, out.getvalue().splitlines())) <= 100


def test_an_evaluation_of_a_moment_is_told_once() -> None:
    out, watch = io.StringIO(), Watch()
    view = PlainProgress(out, elapsed=watch)
    for done in range(101):
        watch.time = done / 200
        view(Evaluating("tone", "tone-1a2b3c4d", done, 100))
    assert out.getvalue() == "    tone: evaluating, 0/100 answers\n"


def test_the_live_view_of_gates_is_the_golden_file(golden: Callable[[Path, str], None]) -> None:
    out, watch = io.StringIO(), Watch()
    console = Console(file=out, width=100, height=20)
    view = LiveProgress(console, elapsed=watch)
    for time, event in judging():
        watch.time = time
        view(event)
        if isinstance(event, Evaluating) and event.name == "bad" and event.done == 52:
            console.rule(f"after {time:.1f} s")
            console.print(view.table())
    console.rule("the end")
    console.print(view.table())
    view.__exit__(None, None, None)
    golden(GOLDEN / "progress.gates.live.txt", out.getvalue())


def sweeping() -> Iterator[tuple[float, Event]]:
    """A sweep of three: one is chosen, one loses, one is given up."""
    best, worse, broken = (f"tone-{number}a2b3c4d" for number in (1, 2, 3))
    for model_id in (best, worse, broken):
        yield 0.0, Started("tone", model_id, Action.CREATE, candidate=True)
        yield 0.1, Sending("tone", model_id, "create")
        yield 0.2, Sent("tone", model_id, "create")
    for model_id in (best, worse):
        yield 1.0, replace(going("tone", 30), model_id=model_id)
        yield 1.5, Evaluating("tone", model_id, 50, 100)
    yield 2.0, Tried("tone", broken, "", "the job failed, and nobody said why")
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


def test_the_plain_view_of_a_sweep_is_the_golden_file(golden: Callable[[Path, str], None]) -> None:
    out, watch = io.StringIO(), Watch()
    with PlainProgress(out, elapsed=watch) as view:
        for time, event in sweeping():
            watch.time = time
            view(event)
    golden(GOLDEN / "progress.sweep.txt", out.getvalue())
    assert max(map(len, out.getvalue().splitlines())) <= 100


def test_the_live_view_of_a_sweep_is_the_golden_file(golden: Callable[[Path, str], None]) -> None:
    out, watch = io.StringIO(), Watch()
    console = Console(file=out, width=100, height=20)
    view = LiveProgress(console, elapsed=watch)
    for time, event in sweeping():
        watch.time = time
        view(event)
        if isinstance(event, Chosen):
            console.rule(f"after {time:.1f} s")
            console.print(view.table())
    console.rule("the end")
    console.print(view.table())
    view.__exit__(None, None, None)
    golden(GOLDEN / "progress.sweep.live.txt", out.getvalue())


def test_what_was_only_evaluated_has_no_job_to_watch() -> None:
    tally = Tally()
    tally.count(Evaluating("tone", "tone-1a2b3c4d", 40, 100))
    tally.count(StillRunning("tone", "tone-1a2b3c4d", "the time to wait is over"))
    assert "tunedmodels watch" not in "\n".join(tally.lines())


def test_the_plain_view_is_the_golden_file(golden: Callable[[Path, str], None]) -> None:
    out, watch = io.StringIO(), Watch()
    with PlainProgress(out, elapsed=watch) as view:
        for time, event in story():
            watch.time = time
            view(event)
    golden(GOLDEN / "progress.txt", out.getvalue())
    assert max(map(len, out.getvalue().splitlines())) <= 100


def test_the_live_view_is_the_golden_file(golden: Callable[[Path, str], None]) -> None:
    out, watch = io.StringIO(), Watch()
    console = Console(file=out, width=100, height=20)
    view = LiveProgress(console, elapsed=watch)
    for time, event in story():
        watch.time = time
        view(event)
        if isinstance(event, Progressed) and event.name == "slow" and event.step in (1, 15):
            console.rule(f"after {time:.1f} s")
            console.print(view.table())
    console.rule("the end")
    console.print(view.table())
    view.__exit__(None, None, None)
    golden(GOLDEN / "progress.live.txt", out.getvalue())


def test_the_cursor_waits_on_a_line_of_its_own_where_ctrl_c_does_no_harm() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, height=8)
    view = LiveProgress(console, elapsed=Watch())
    view(Started("tone", "tone-1a2b3c4d", Action.CREATE))
    console.print(view.table())
    assert out.getvalue().splitlines()[-1] == ""


def test_a_low_terminal_leaves_out_what_is_done_and_keeps_what_went_wrong() -> None:
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


async def test_a_real_run_is_followed_to_its_end() -> None:
    stage = Stage([want("good"), want("bad")])

    def refuse(call: str, model_id: str) -> None:
        if model_id.startswith("bad"):
            raise PermissionDeniedError("the key may not do this", cure="Make another key.")

    stage.provider.before = refuse
    out = io.StringIO()
    with PlainProgress(out, elapsed=stage.clock.elapsed) as view:
        await stage.apply(emit=view)
    assert out.getvalue().endswith(
        "\n!   bad: create failed\n      the key may not do this\n      Make another key.\n"
        "\nResult: 1 done, 1 failed.\n"
    )
    assert out.getvalue().count("training") < 15


def test_a_job_is_listed_as_running_although_the_run_was_cut_off() -> None:
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
        view(going("tone", 1 + second // 10, total=10_000))
    assert len(out.getvalue().splitlines()) == 10


def test_nothing_to_say_says_nothing() -> None:
    out = io.StringIO()
    with PlainProgress(out):
        pass
    assert out.getvalue() == ""
    assert Tally().lines() == []


@pytest.mark.parametrize("kind", ["plain", "live"])
def test_the_view_follows_where_it_is_shown(kind: str) -> None:
    out = io.StringIO()
    with progress(live=kind == "live", out=out) as view:
        for _, event in story():
            view(event)
    assert "1 done, 1 failed, 1 refused, 1 still running, 1 skipped." in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()


def test_bars_fall_with_the_loss_and_survive_what_is_no_number() -> None:
    assert sparkline([8, 7, 6, 5, 4, 3, 2, 1]) == "█▇▆▅▄▃▂▁"
    assert sparkline([1.0, float("nan"), 1.0]) == "▁▁"
    assert sparkline([]) == sparkline([float("inf")]) == ""
    assert len(sparkline([float(n) for n in range(1000)])) == 12


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2 s"), (12.9, "12 s"), (185, "3 min 05 s"), (3720, "1 h 02 min")],
)
def test_a_duration_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("action", Action)
def test_every_action_has_a_word_for_its_success(action: Action) -> None:
    assert line(Succeeded("tone", "tone-1", action))[2].endswith("tone-1")
