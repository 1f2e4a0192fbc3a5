"""Waiting for jobs: poll intervals, deadlines, outages, `--no-wait` and Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from tests.support.apply_harness import ApplyHarness, actions, declare, message, outcomes
from tests.support.builders import live
from tunedmodels.apply.clock import SystemClock
from tunedmodels.apply.signals import StopSignal, stop_on_signals
from tunedmodels.apply.wait import HOSTED_INTERVAL, LOCAL_INTERVAL
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

ONE, TWO = declare("one"), declare("two")


def test_the_delay_is_a_tenth_of_the_time_waited_within_its_bounds() -> None:
    assert [LOCAL_INTERVAL.delay_s(s) for s in (0, 1, 5, 100)] == [0.1, 0.1, 0.5, 1.0]
    assert [HOSTED_INTERVAL.delay_s(s) for s in (0, 60, 7200)] == [5.0, 6.0, 30.0]


async def test_a_hosted_service_is_polled_rarely() -> None:
    harness = ApplyHarness([ONE])
    harness.provider.job_duration_s = 3600
    await harness.apply(poll_intervals={})
    assert harness.provider.queries["get"] < 150


async def test_one_job_is_polled_by_get_and_several_by_one_list() -> None:
    harness = ApplyHarness([ONE, TWO])
    harness.provider.job_duration_s = 100
    await harness.apply()
    queries = harness.provider.queries
    assert queries["observe"] > 20
    assert queries["get"] < 20
    single = ApplyHarness([ONE])
    single.provider.job_duration_s = 100
    await single.apply()
    assert single.provider.queries["observe"] < 5


@pytest.mark.parametrize("options", [{"timeout_s": 60.0}, {}], ids=["--timeout", "lifecycle"])
async def test_a_deadline_is_not_a_failure_and_the_next_run_continues(
    options: dict[str, Any],
) -> None:
    lifecycle = Lifecycle() if options else Lifecycle(timeout="1m")
    harness = ApplyHarness([declare(lifecycle=lifecycle)])
    harness.provider.job_duration_s = 90
    outcome = await harness.apply(**options)
    assert outcomes(outcome) == [("StillRunning", "tone")]
    assert message(outcome.events[0]).startswith("the time limit was reached")
    assert outcome.code is Exit.RUNNING
    assert harness.clock.time == pytest.approx(60)
    assert actions(harness.plan()) == [Action.WAIT]
    assert (await harness.apply()).code is Exit.DONE
    assert harness.provider.trained.total() == 1


async def test_no_wait_ends_after_the_creates_and_the_next_run_continues() -> None:
    harness = ApplyHarness([ONE, TWO])
    outcome = await harness.apply(wait=False)
    assert sorted(outcomes(outcome)) == [("StillRunning", "one"), ("StillRunning", "two")]
    assert outcome.code is Exit.RUNNING
    assert harness.clock.time == 0
    assert actions(harness.plan()) == [Action.WAIT, Action.WAIT]
    assert (await harness.apply()).code is Exit.DONE


async def test_no_wait_promotes_a_ready_version() -> None:
    harness = ApplyHarness([ONE])
    plan = harness.plan()
    harness.provider.add(live(ONE))
    assert outcomes(await harness.apply(plan, wait=False)) == [("Succeeded", "one")]


async def test_no_wait_deletes_no_ready_version_during_the_training_of_the_new_one() -> None:
    harness = ApplyHarness([declare(data="new")])
    harness.provider.job_duration_s = 1000
    harness.provider.add(live(declare(data="old"), promoted=1))
    harness.provider.add(live(declare(data="new"), state=ModelState.TRAINING))
    await harness.apply(wait=False)
    assert harness.sent() == []


async def test_an_outage_during_the_wait_costs_time_and_is_reported_once() -> None:
    harness = ApplyHarness([ONE])

    def fail(_call: str) -> None:
        if 2 < harness.clock.time < 6:
            raise (
                UnavailableError("no route") if harness.clock.time < 4 else RateLimitedError("slow")
            )

    harness.provider.on_query = fail
    assert outcomes(await harness.apply()) == [("Succeeded", "one")]
    (retried,) = [event for event in harness.events if isinstance(event, Retried)]
    assert retried.words == "no route"


async def test_an_outage_ends_at_the_deadline() -> None:
    harness = ApplyHarness([ONE])

    def fail(_call: str) -> None:
        if harness.clock.time > 1:
            raise UnavailableError("no route")

    harness.provider.on_query = fail
    assert outcomes(await harness.apply(timeout_s=30)) == [("StillRunning", "one")]


@pytest.mark.parametrize("error", [PermissionDeniedError("key revoked"), KeyError("step")])
async def test_a_permanent_error_fails_every_waiting_change(error: Exception) -> None:
    harness = ApplyHarness([ONE, TWO])

    def fail(_call: str) -> None:
        if harness.clock.time > 3:
            raise error

    harness.provider.on_query = fail
    outcome = await harness.apply()
    assert sorted(outcomes(outcome)) == [("Failed", "one"), ("Failed", "two")]
    assert all(str(error) in message(event) for event in outcome.events)


async def test_a_failed_job_among_several_reports_the_reason() -> None:
    harness = ApplyHarness([ONE, TWO])
    harness.provider.failures["one"] = ["example 7 is invalid"]
    outcome = await harness.apply()
    assert {event.name: message(event) for event in outcome.events if message(event)} == {
        "one": "example 7 is invalid"
    }


@pytest.mark.parametrize("fate", ["cancelled", "deleted"])
async def test_a_job_that_is_ended_outside_is_a_failure_with_a_message(fate: str) -> None:
    harness = ApplyHarness([ONE])

    def end_job(_call: str) -> None:
        harness.provider.on_query = wait_3_s
        (model,) = harness.provider.models()
        if fate == "deleted":
            harness.provider.remove(model.model_id)
        else:
            harness.provider.add(replace(model, state=ModelState.CANCELLED))

    def wait_3_s(_call: str) -> None:
        if 3 < harness.clock.time < 4:
            end_job(_call)

    harness.provider.on_query = wait_3_s
    outcome = await harness.apply()
    assert outcomes(outcome) == [("Failed", "one")]
    assert fate in message(outcome.events[0])


async def test_an_interrupt_lists_running_jobs_and_skips_changes_that_did_not_start() -> None:
    child = declare("child", source=f"tunedModels/{ONE.model_id}", parent="one")
    harness = ApplyHarness([ONE, child])

    def interrupt(event: Event) -> None:
        harness.emit(event)
        if isinstance(event, Progressed) and event.step > 3:
            harness.stop.request()

    outcome = await harness.apply(emit=interrupt)
    assert outcomes(outcome) == [("StillRunning", "one"), ("Skipped", "child")]
    assert outcome.interrupted
    assert outcome.code is Exit.INTERRUPTED
    assert harness.events.count(Interrupted()) == 1
    assert harness.sent() == [f"create {ONE.model_id}"]
    assert harness.clock.time < 5


async def test_a_create_that_was_sent_gets_its_response_after_an_interrupt() -> None:
    harness = ApplyHarness([ONE, TWO])
    harness.provider.request_duration_s = 5.0
    harness.provider.on_request = lambda _call, _id: harness.stop.request()
    outcome = await harness.apply(parallelism=1)
    assert Sent("one", ONE.model_id, "create") in harness.events
    assert sorted(outcomes(outcome)) == [("Skipped", "two"), ("StillRunning", "one")]
    assert harness.sent() == [f"create {ONE.model_id}"]


async def test_an_interrupt_before_a_promotion_leaves_it_to_the_next_run() -> None:
    harness = ApplyHarness([ONE])
    harness.provider.on_query = lambda call: harness.stop.request() if call == "observe" else None
    outcome = await harness.apply()
    (ending,) = outcome.events
    assert isinstance(ending, Skipped)
    assert ending.words == "interrupted before `promote` was sent"
    harness.stop = StopSignal()
    assert actions(harness.plan()) == [Action.PROMOTE]


@pytest.mark.parametrize(
    ("is_in_process", "expected"),
    [
        (True, "goes on from its checkpoint with the next apply, watch or serve"),
        (False, "continues at the service"),
    ],
)
@pytest.mark.parametrize("options", [{"wait": False}, {"timeout_s": 5.0}, {}])
async def test_the_final_event_of_a_running_job_says_where_it_continues(
    is_in_process: bool,  # noqa: FBT001  # a parameter of the test
    expected: str,
    options: dict[str, Any],
) -> None:
    harness = ApplyHarness([ONE])
    harness.provider.job_duration_s, harness.provider.is_in_process = 1000, is_in_process
    if not options:
        harness.provider.on_response = lambda _call, _id: harness.stop.request()
    (ending,) = (await harness.apply(**options)).events
    assert message(ending).endswith(expected)


async def test_an_interrupt_between_promotion_and_retirement_keeps_the_former_version() -> None:
    harness = ApplyHarness([declare(data="new", lifecycle=Lifecycle(keep=0))])
    harness.provider.add(live(declare(data="old"), promoted=1))
    harness.provider.on_response = lambda call, _id: (
        harness.stop.request() if call == "promote" else None
    )
    outcome = await harness.apply()
    assert outcomes(outcome) == [("Skipped", "tone"), ("Succeeded", "tone")]
    assert len(harness.provider.models()) == 2


async def test_an_interrupt_does_not_wait_for_the_effect_of_a_cancel() -> None:
    harness = ApplyHarness([ONE])
    harness.provider.job_duration_s = harness.provider.cancel_duration_s = 1000
    harness.provider.add(
        live(ONE, promoted=1), live(declare("undeclared"), state=ModelState.TRAINING)
    )
    harness.provider.on_response = lambda _call, _id: harness.stop.request()
    (ending,) = (await harness.apply()).events
    assert isinstance(ending, StillRunning)
    assert harness.clock.time == 0


async def test_the_first_signal_requests_a_stop_and_the_second_one_exits() -> None:
    stop = StopSignal()
    previous = signal.getsignal(signal.SIGTERM)

    async def work() -> None:
        with stop_on_signals(stop):
            os.kill(os.getpid(), signal.SIGTERM)
            await stop.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

    task = asyncio.create_task(_interrupted(work()))
    assert await task
    assert stop.is_set
    assert signal.getsignal(signal.SIGTERM) is previous


async def test_another_cancellation_is_not_treated_as_a_signal() -> None:
    async def work() -> None:
        with stop_on_signals(StopSignal()):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_clock_of_this_machine_never_decreases() -> None:
    clock = SystemClock()
    before, now = clock.elapsed(), clock.now()
    await clock.sleep(0)
    assert clock.elapsed() >= before
    assert clock.now() >= now


async def _interrupted(work: object) -> bool:
    # In the same task: a KeyboardInterrupt that leaves a task stops the event loop.
    try:
        await work  # type: ignore[misc]  # the coroutine of the test
    except KeyboardInterrupt:
        return True
    return False
