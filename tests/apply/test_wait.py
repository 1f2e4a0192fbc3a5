"""Waiting, and not waiting: pace, deadlines, outages, `--no-wait` and Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from tests.support.apply_harness import Stage, actions, said, want, words
from tests.support.builders import live
from tunedmodels.apply.clock import SystemClock
from tunedmodels.apply.signals import Stop, stop_on_signals
from tunedmodels.apply.wait import HOSTED, LOCAL
from tunedmodels.errors import Exit, PermissionDeniedError, RateLimitedError, UnavailableError
from tunedmodels.events import (
    Event,
    Interrupted,
    Progressed,
    Retried,
    Sent,
    Skipped,
    StillRunning,
)
from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Action
from tunedmodels.schema.tuned_model import Lifecycle

ONE, TWO = want("one"), want("two")


def test_the_pace_is_a_tenth_of_the_time_waited_within_its_bounds() -> None:
    assert [LOCAL.pause(s) for s in (0, 1, 5, 100)] == [0.1, 0.1, 0.5, 1.0]
    assert [HOSTED.pause(s) for s in (0, 60, 7200)] == [5.0, 6.0, 30.0]


async def test_a_hosted_service_is_asked_rarely() -> None:
    stage = Stage([ONE])
    stage.provider.takes_s = 3600
    await stage.apply(paces={})
    assert stage.provider.questions["get"] < 150


async def test_one_job_is_asked_about_alone_and_several_with_one_question() -> None:
    stage = Stage([ONE, TWO])
    stage.provider.takes_s = 100
    await stage.apply()
    together = stage.provider.questions
    assert together["observe"] > 20
    assert together["get"] < 20
    alone = Stage([ONE])
    alone.provider.takes_s = 100
    await alone.apply()
    assert alone.provider.questions["observe"] < 5


@pytest.mark.parametrize("options", [{"timeout_s": 60.0}, {}], ids=["--timeout", "lifecycle"])
async def test_a_deadline_is_no_failure_and_the_next_run_goes_on(
    options: dict[str, Any],
) -> None:
    lifecycle = Lifecycle() if options else Lifecycle(timeout="1m")
    stage = Stage([want(lifecycle=lifecycle)])
    stage.provider.takes_s = 90
    outcome = await stage.apply(**options)
    assert said(outcome) == [("StillRunning", "tone")]
    assert words(outcome.events[0]).startswith("the time to wait is over")
    assert outcome.code is Exit.RUNNING
    assert stage.clock.time == pytest.approx(60)
    assert actions(stage.plan()) == [Action.WAIT]
    assert (await stage.apply()).code is Exit.DONE
    assert stage.provider.trained.total() == 1


async def test_no_wait_ends_after_the_starts_and_the_next_run_goes_on() -> None:
    stage = Stage([ONE, TWO])
    outcome = await stage.apply(wait=False)
    assert sorted(said(outcome)) == [("StillRunning", "one"), ("StillRunning", "two")]
    assert outcome.code is Exit.RUNNING
    assert stage.clock.time == 0
    assert actions(stage.plan()) == [Action.WAIT, Action.WAIT]
    assert (await stage.apply()).code is Exit.DONE


async def test_no_wait_still_promotes_what_is_ready() -> None:
    stage = Stage([ONE])
    plan = stage.plan()
    stage.provider.hold(live(ONE))
    assert said(await stage.apply(plan, wait=False)) == [("Succeeded", "one")]


async def test_no_wait_deletes_no_ready_version_while_the_new_one_trains() -> None:
    stage = Stage([want(data="new")])
    stage.provider.takes_s = 1000
    stage.provider.hold(live(want(data="old"), promoted=1))
    stage.provider.hold(live(want(data="new"), state=ModelState.TRAINING))
    await stage.apply(wait=False)
    assert stage.sent() == []


async def test_an_outage_while_waiting_costs_time_and_is_said_once() -> None:
    stage = Stage([ONE])

    def away(_call: str) -> None:
        if 2 < stage.clock.time < 6:
            raise UnavailableError("no route") if stage.clock.time < 4 else RateLimitedError("slow")

    stage.provider.asked = away
    assert said(await stage.apply()) == [("Succeeded", "one")]
    (retried,) = [event for event in stage.events if isinstance(event, Retried)]
    assert retried.words == "no route"


async def test_an_outage_ends_at_the_deadline() -> None:
    stage = Stage([ONE])

    def away(_call: str) -> None:
        if stage.clock.time > 1:
            raise UnavailableError("no route")

    stage.provider.asked = away
    assert said(await stage.apply(timeout_s=30)) == [("StillRunning", "one")]


@pytest.mark.parametrize("error", [PermissionDeniedError("key revoked"), KeyError("step")])
async def test_every_waiting_change_hears_of_an_error_that_does_not_pass(error: Exception) -> None:
    stage = Stage([ONE, TWO])

    def broken(_call: str) -> None:
        if stage.clock.time > 3:
            raise error

    stage.provider.asked = broken
    outcome = await stage.apply()
    assert sorted(said(outcome)) == [("Failed", "one"), ("Failed", "two")]
    assert all(str(error) in words(event) for event in outcome.events)


async def test_a_failed_job_among_several_still_says_why() -> None:
    stage = Stage([ONE, TWO])
    stage.provider.failures["one"] = ["example 7 is poison"]
    outcome = await stage.apply()
    assert {event.name: words(event) for event in outcome.events if words(event)} == {
        "one": "example 7 is poison"
    }


@pytest.mark.parametrize("fate", ["cancelled", "deleted"])
async def test_a_job_that_somebody_ends_from_outside_is_a_failure_in_words(fate: str) -> None:
    stage = Stage([ONE])

    def strike(_call: str) -> None:
        stage.provider.asked = later
        (model,) = stage.provider.models()
        if fate == "deleted":
            stage.provider.drop(model.model_id)
        else:
            stage.provider.hold(replace(model, state=ModelState.CANCELLED))

    def later(_call: str) -> None:
        if 3 < stage.clock.time < 4:
            strike(_call)

    stage.provider.asked = later
    outcome = await stage.apply()
    assert said(outcome) == [("Failed", "one")]
    assert fate in words(outcome.events[0])


async def test_an_interrupt_lists_what_runs_and_skips_what_did_not_begin() -> None:
    child = want("child", source=f"tunedModels/{ONE.model_id}", parent="one")
    stage = Stage([ONE, child])

    def interrupt(event: Event) -> None:
        stage.emit(event)
        if isinstance(event, Progressed) and event.step > 3:
            stage.stop.request()

    outcome = await stage.apply(emit=interrupt)
    assert said(outcome) == [("StillRunning", "one"), ("Skipped", "child")]
    assert outcome.interrupted
    assert outcome.code is Exit.INTERRUPTED
    assert stage.events.count(Interrupted()) == 1
    assert stage.sent() == [f"create {ONE.model_id}"]
    assert stage.clock.time < 5


async def test_a_create_on_its_way_gets_its_answer_after_an_interrupt() -> None:
    stage = Stage([ONE, TWO])
    stage.provider.answer_takes_s = 5.0
    stage.provider.before = lambda _call, _id: stage.stop.request()
    outcome = await stage.apply(parallelism=1)
    assert Sent("one", ONE.model_id, "create") in stage.events
    assert sorted(said(outcome)) == [("Skipped", "two"), ("StillRunning", "one")]
    assert stage.sent() == [f"create {ONE.model_id}"]


async def test_an_interrupt_before_a_promotion_leaves_it_to_the_next_run() -> None:
    stage = Stage([ONE])
    stage.provider.asked = lambda call: stage.stop.request() if call == "observe" else None
    outcome = await stage.apply()
    (ending,) = outcome.events
    assert isinstance(ending, Skipped)
    assert ending.words == "interrupted before `promote` was sent"
    stage.stop = Stop()
    assert actions(stage.plan()) == [Action.PROMOTE]


@pytest.mark.parametrize(
    ("trains_here", "goes_on"),
    [
        (True, "goes on from its checkpoint with the next apply, watch or serve"),
        (False, "goes on at the service"),
    ],
)
@pytest.mark.parametrize("options", [{"wait": False}, {"timeout_s": 5.0}, {}])
async def test_a_job_that_is_left_says_where_it_goes_on(
    trains_here: bool,  # noqa: FBT001  # a parameter of the test
    goes_on: str,
    options: dict[str, Any],
) -> None:
    stage = Stage([ONE])
    stage.provider.takes_s, stage.provider.trains_here = 1000, trains_here
    if not options:
        stage.provider.after = lambda _call, _id: stage.stop.request()
    (ending,) = (await stage.apply(**options)).events
    assert words(ending).endswith(goes_on)


async def test_an_interrupt_between_promotion_and_retirement_keeps_the_former_version() -> None:
    stage = Stage([want(data="new", lifecycle=Lifecycle(keep=0))])
    stage.provider.hold(live(want(data="old"), promoted=1))
    stage.provider.after = lambda call, _id: stage.stop.request() if call == "promote" else None
    outcome = await stage.apply()
    assert said(outcome) == [("Skipped", "tone"), ("Succeeded", "tone")]
    assert len(stage.provider.models()) == 2


async def test_an_interrupt_does_not_wait_for_a_cancel_to_take_effect() -> None:
    stage = Stage([ONE])
    stage.provider.takes_s = stage.provider.cancel_takes_s = 1000
    stage.provider.hold(live(ONE, promoted=1), live(want("gone"), state=ModelState.TRAINING))
    stage.provider.after = lambda _call, _id: stage.stop.request()
    (ending,) = (await stage.apply()).events
    assert isinstance(ending, StillRunning)
    assert stage.clock.time == 0


async def test_the_first_signal_asks_to_stop_and_the_second_one_leaves() -> None:
    stop = Stop()
    former = signal.getsignal(signal.SIGTERM)

    async def work() -> None:
        with stop_on_signals(stop):
            os.kill(os.getpid(), signal.SIGTERM)
            await stop.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

    task = asyncio.create_task(_interrupted(work()))
    assert await task
    assert stop.requested
    assert signal.getsignal(signal.SIGTERM) is former


async def test_a_cancellation_from_elsewhere_is_not_taken_for_a_signal() -> None:
    async def work() -> None:
        with stop_on_signals(Stop()):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_clock_of_this_machine_goes_forward() -> None:
    clock = SystemClock()
    before, moment = clock.elapsed(), clock.now()
    await clock.sleep(0)
    assert clock.elapsed() >= before
    assert clock.now() >= moment


async def _interrupted(work: object) -> bool:
    # Inside one task: a KeyboardInterrupt that leaves a task stops the whole loop.
    try:
        await work  # type: ignore[misc]  # the coroutine of the test
    except KeyboardInterrupt:
        return True
    return False
