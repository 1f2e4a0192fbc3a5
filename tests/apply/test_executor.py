"""Each action of a plan, executed on a provider in memory and with virtual time."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from tests.support.apply_harness import ApplyHarness, actions, declare, message, outcomes
from tests.support.builders import NOON, live, unowned_model
from tunedmodels.errors import (
    AlreadyExistsError,
    Exit,
    OutcomeUnknownError,
    PermissionDeniedError,
    RefusedError,
    StoreError,
    UnavailableError,
)
from tunedmodels.events import Event, Failed, Progressed, Refused, Sending, Skipped, Started
from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Action, Plan, Refusal
from tunedmodels.schema.tuned_model import Lifecycle

OLD, NEW = declare(data="old"), declare(data="new")


async def test_create_trains_and_promotes_and_the_next_plan_is_empty() -> None:
    harness = ApplyHarness([NEW])
    outcome = await harness.apply(commit="3c9d2e1")
    assert outcomes(outcome) == [("Succeeded", "tone")]
    assert outcome.code is Exit.DONE
    assert harness.sent() == [f"create {NEW.model_id}", f"promote {NEW.model_id}"]
    serving = harness.serving()
    assert serving is not None
    assert serving.stamp == NEW.stamp(commit="3c9d2e1").promoted_at(
        harness.clock.now(), promoted_commit="3c9d2e1"
    )
    assert harness.plan().changes == ()


async def test_every_request_is_announced_before_it_is_sent() -> None:
    harness = ApplyHarness([NEW])
    announced: list[Event] = []
    harness.provider.on_request = lambda _call, _id: announced.append(harness.events[-1])
    await harness.apply()
    assert [event for event in harness.events if isinstance(event, Sending)] == announced


async def test_the_curve_is_reported_during_the_training() -> None:
    harness = ApplyHarness([NEW])
    await harness.apply()
    progress = [event for event in harness.events if isinstance(event, Progressed)]
    assert progress[0].state is ModelState.QUEUED
    assert progress[-1].state is ModelState.READY
    assert progress[-1].step == progress[-1].total_steps == len(progress[-1].curve) == 30
    assert all(earlier.step <= later.step for earlier, later in pairwise(progress))


async def test_replace_keeps_the_old_version_serving_until_the_new_one_does() -> None:
    harness = ApplyHarness([declare(data="new", lifecycle=Lifecycle(keep=0))])
    harness.provider.add(live(OLD, promoted=0))
    serving_ids: list[str] = []

    def record(event: Event) -> None:
        serving = harness.serving()
        serving_ids.append(serving.model_id if serving else "none")
        harness.emit(event)

    assert actions(harness.plan()) == [Action.REPLACE]
    outcome = await harness.apply(emit=record)
    assert outcomes(outcome) == [("Succeeded", "tone")]
    assert harness.sent()[-1] == f"delete {OLD.model_id}"
    assert list(dict.fromkeys(serving_ids)) == [OLD.model_id, NEW.model_id]
    assert harness.plan().changes == ()


async def test_wait_creates_no_job_and_promotes_that_of_an_earlier_run() -> None:
    harness = ApplyHarness([NEW])
    harness.provider.add(live(NEW, state=ModelState.QUEUED))
    assert actions(harness.plan()) == [Action.WAIT]
    assert outcomes(await harness.apply()) == [("Succeeded", "tone")]
    assert harness.sent() == [f"promote {NEW.model_id}"]


async def test_retry_deletes_the_failed_version_and_counts_the_attempt() -> None:
    harness = ApplyHarness([NEW])
    harness.provider.add(live(NEW, state=ModelState.FAILED), failure="out of memory")
    assert actions(harness.plan()) == [Action.RETRY]
    assert outcomes(await harness.apply()) == [("Succeeded", "tone")]
    assert [request.split()[0] for request in harness.sent()] == ["delete", "create", "promote"]
    serving = harness.serving()
    assert serving is not None
    assert serving.stamp is not None
    assert serving.stamp.attempt == 2


async def test_a_rollback_promotes_without_training_and_keeps_the_live_fields() -> None:
    harness = ApplyHarness([OLD])
    former = live(OLD, promoted=0, description="edited manually")
    harness.desired = [declare(data="old", description="edited manually")]
    harness.provider.add(former, live(NEW, promoted=5))
    assert actions(harness.plan()) == [Action.PROMOTE]
    harness.clock.time = 3600
    assert outcomes(await harness.apply()) == [("Succeeded", "tone")]
    (edit,) = harness.provider.edits
    assert edit.fields.description == "edited manually"
    assert edit.fields.display_name is None
    assert edit.fields.temperature is None
    assert former.stamp is not None
    assert edit.stamp == former.stamp.promoted_at(NOON + timedelta(hours=1))


async def test_a_promotion_writes_the_mutable_fields_of_the_plan() -> None:
    harness = ApplyHarness([declare(data="old", description="new description", temperature=0.2)])
    harness.provider.add(live(OLD, promoted=0), live(NEW, promoted=5))
    await harness.apply()
    (edit,) = harness.provider.edits
    assert (edit.fields.description, edit.fields.temperature) == ("new description", 0.2)
    assert harness.plan().changes == ()


async def test_a_promotion_succeeds_although_the_former_one_has_a_later_time() -> None:
    harness = ApplyHarness([NEW])
    harness.provider.add(live(OLD, promoted=60 * 24), live(NEW))
    await harness.apply()
    serving = harness.serving()
    assert serving is not None
    assert serving.model_id == NEW.model_id


async def test_update_writes_the_declared_fields_and_keeps_the_rest_of_the_stamp() -> None:
    harness = ApplyHarness(
        [declare(description="new description", lifecycle=Lifecycle(protect=True))]
    )
    existing = live(declare(), promoted=3)
    harness.provider.add(existing)
    assert actions(harness.plan()) == [Action.UPDATE]
    assert outcomes(await harness.apply()) == [("Succeeded", "tone")]
    (edit,) = harness.provider.edits
    assert existing.stamp is not None
    assert edit.stamp.protect
    assert edit.stamp.promoted == existing.stamp.promoted
    assert harness.plan().changes == ()


@pytest.mark.parametrize("takes_s", [0.0, 4.0], ids=["at once", "after a while"])
async def test_cancel_deletes_the_model_after_its_job_has_stopped(takes_s: float) -> None:
    harness = ApplyHarness([])
    harness.desired = [declare("other")]
    harness.provider.job_duration_s = 100
    harness.provider.cancel_duration_s = takes_s
    harness.provider.add(live(OLD, state=ModelState.TRAINING))
    states: list[ModelState] = []

    def record(call: str, model_id: str) -> None:
        if call == "delete":
            states.extend(m.state for m in harness.provider.models() if m.model_id == model_id)

    harness.provider.on_request = record
    outcome = await harness.apply()
    assert outcome.code is Exit.DONE
    assert states == [ModelState.CANCELLED]
    assert [m.model_id for m in harness.provider.models()] == [declare("other").model_id]


async def test_a_slow_cancel_is_left_to_the_next_run() -> None:
    harness = ApplyHarness([NEW])
    harness.provider.job_duration_s = 1000
    harness.provider.cancel_duration_s = 100
    harness.provider.add(live(OLD, state=ModelState.TRAINING), live(NEW, promoted=1))
    outcome = await harness.apply()
    assert outcomes(outcome) == [("StillRunning", "tone")]
    assert harness.sent() == [f"cancel {OLD.model_id}"]
    harness.clock.time += 100
    assert (await harness.apply()).code is Exit.DONE
    assert harness.plan().changes == ()


async def test_an_obsolete_job_is_cancelled_before_the_new_one_starts() -> None:
    harness = ApplyHarness([NEW])
    harness.provider.add(live(OLD, state=ModelState.TRAINING))
    await harness.apply()
    assert [request.split()[0] for request in harness.sent()] == [
        "cancel",
        "delete",
        "create",
        "promote",
    ]


async def test_the_serving_version_is_deleted_last() -> None:
    harness = ApplyHarness([declare("other")])
    models = [live(declare(data=str(n)), promoted=n) for n in (3, 1, 2)]
    harness.provider.add(*models, live(declare("other"), promoted=1))
    assert (await harness.apply()).code is Exit.DONE
    assert harness.sent()[-1] == f"delete {models[0].model_id}"
    assert len(harness.sent()) == 3


async def test_a_failure_that_needs_the_user_is_a_final_event() -> None:
    harness = ApplyHarness([declare(lifecycle=Lifecycle(retry=0)), declare("other")])
    harness.provider.add(live(declare(), state=ModelState.FAILED), failure="bad example 7")
    outcome = await harness.apply()
    assert outcome.code is Exit.ERROR
    failed = [event for event in outcome.events if isinstance(event, Failed)]
    assert "bad example 7" in failed[0].words
    assert ("Succeeded", "other") in outcomes(outcome)
    assert Started("tone", declare().model_id, Action.FAILED) not in harness.events


async def test_a_conflict_is_a_refusal_with_the_reason_of_the_plan() -> None:
    harness = ApplyHarness([declare()])
    harness.provider.add(unowned_model(declare().model_id))
    outcome = await harness.apply()
    assert outcomes(outcome) == [("Refused", "tone")]
    assert "exists without a stamp" in message(outcome.events[0])
    assert harness.provider.requests == []


async def test_a_ready_version_is_kept_if_another_change_of_its_name_fails() -> None:
    harness = ApplyHarness([declare(data="new", temperature=0.1, lifecycle=Lifecycle(keep=0))])
    harness.provider.add(live(OLD, promoted=1), live(NEW, promoted=2))
    assert actions(harness.plan()) == [Action.UPDATE, Action.DELETE]

    def refuse(call: str, model_id: str) -> None:
        raise PermissionDeniedError("no")

    harness.provider.on_request = refuse
    outcome = await harness.apply()
    assert outcomes(outcome) == [("Failed", "tone"), ("Skipped", "tone")]
    assert [call for call, _ in harness.provider.requests] == ["update"]


async def test_a_refused_plan_is_not_executed() -> None:
    refusal = Refusal(code="no-manifests", message="no manifest was found", cure="--allow-empty")
    plan = Plan(project="demo", refusals=(refusal,))
    with pytest.raises(RefusedError, match="no manifest was found"):
        await ApplyHarness([]).apply(plan)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(PermissionDeniedError("no scope", cure="log in"), "no scope", id="known"),
        pytest.param(ZeroDivisionError("oops"), "unexpected ZeroDivisionError: oops", id="a bug"),
    ],
)
async def test_a_failure_does_not_stop_the_other_changes(error: Exception, expected: str) -> None:
    harness = ApplyHarness([declare("bad"), declare("good")])

    def refuse(call: str, model_id: str) -> None:
        if (call, model_id) == ("create", declare("bad").model_id):
            raise error

    harness.provider.on_request = refuse
    outcome = await harness.apply()
    assert sorted(outcomes(outcome)) == [("Failed", "bad"), ("Succeeded", "good")]
    assert outcome.code is Exit.ERROR
    assert message(outcome.events[0]) == expected


async def test_after_a_lost_response_the_job_is_found() -> None:
    harness = ApplyHarness([NEW])

    def lose(call: str, model_id: str) -> None:
        if call == "create":
            raise OutcomeUnknownError("connection reset")

    harness.provider.on_response = lose
    assert outcomes(await harness.apply()) == [("Succeeded", "tone")]
    assert harness.provider.trained[NEW.fingerprint] == 1


async def test_a_lost_create_without_a_job_is_reported_and_the_next_run_creates_it() -> None:
    harness = ApplyHarness([NEW])

    def lose(call: str, model_id: str) -> None:
        raise OutcomeUnknownError("connection reset")

    harness.provider.on_request = lose
    (ending,) = (await harness.apply()).events
    assert isinstance(ending, Failed)
    assert "was lost: connection reset" in ending.words
    assert "apply" in ending.cure
    harness.provider.on_request = lambda _call, _id: None
    assert outcomes(await harness.apply()) == [("Succeeded", "tone")]


async def test_an_id_that_is_taken_just_before_the_create_is_refused() -> None:
    harness = ApplyHarness([NEW])

    def take(call: str, model_id: str) -> None:
        raise AlreadyExistsError("taken")

    harness.provider.on_request = take
    (ending,) = (await harness.apply()).events
    assert isinstance(ending, Refused)


async def test_a_failed_job_has_the_reason_of_the_service_and_the_old_version_serves() -> None:
    harness = ApplyHarness([declare(data="new", lifecycle=Lifecycle(keep=0))])
    harness.provider.add(live(OLD, promoted=0))
    harness.provider.failures["tone"] = ["loss is not a number"]
    (ending,) = (await harness.apply()).events
    assert isinstance(ending, Failed)
    assert ending.words == "loss is not a number"
    serving = harness.serving()
    assert serving is not None
    assert serving.model_id == OLD.model_id


async def test_a_full_disk_stops_all_changes_before_the_first_request() -> None:
    harness = ApplyHarness([declare("one"), declare("two")])

    def fail(event: Event) -> None:
        raise StoreError("no space left")

    with pytest.raises(StoreError, match="no space left"):
        await harness.apply(emit=fail)
    assert harness.provider.requests == []


async def test_a_failed_retirement_does_not_undo_the_promotion() -> None:
    harness = ApplyHarness([declare(data="new", lifecycle=Lifecycle(keep=0))])
    harness.provider.add(live(OLD, promoted=0))

    def refuse(call: str, model_id: str) -> None:
        if call == "delete":
            raise UnavailableError("try later")

    harness.provider.on_request = refuse
    outcome = await harness.apply()
    assert outcomes(outcome) == [("Failed", "tone"), ("Succeeded", "tone")]
    assert outcome.events[0] == Failed("tone", OLD.model_id, Action.DELETE, "try later", "")
    assert actions(harness.plan()) == [Action.DELETE]


async def test_requests_are_limited_and_a_waiting_job_does_not_count() -> None:
    harness = ApplyHarness([declare(f"model-{number}") for number in range(6)])
    harness.provider.request_duration_s = 1.0
    harness.provider.job_duration_s = 100.0
    running_jobs: list[int] = []

    def count(call: str, model_id: str) -> None:
        running_jobs.append(sum(m.state.is_running for m in harness.provider.models()))

    harness.provider.on_response = count
    outcome = await harness.apply(parallelism=2)
    assert outcome.code is Exit.DONE
    assert harness.provider.max_concurrent == 2
    assert max(running_jobs) == 6


async def test_a_child_starts_after_its_parent_serves() -> None:
    parent = declare("parent")
    child = declare("child", source=f"tunedModels/{parent.model_id}", parent="parent")
    harness = ApplyHarness([child, parent])
    assert (await harness.apply()).code is Exit.DONE
    assert [request.split()[0] for request in harness.sent()] == ["create", "promote"] * 2
    assert harness.sent()[2] == f"create {child.model_id}"


async def test_a_child_is_skipped_when_its_parent_does_not_succeed() -> None:
    parent = declare("parent")
    child = declare("child", source=f"tunedModels/{parent.model_id}", parent="parent")
    grandchild = declare("grandchild", source=f"tunedModels/{child.model_id}", parent="child")
    harness = ApplyHarness([grandchild, child, parent])
    harness.provider.failures["parent"] = ["no"]
    outcome = await harness.apply()
    assert outcomes(outcome) == [
        ("Failed", "parent"),
        ("Skipped", "child"),
        ("Skipped", "grandchild"),
    ]
    assert [message(event) for event in outcome.events if isinstance(event, Skipped)] == [
        "it continues from parent, which did not succeed",
        "it continues from child, which did not succeed",
    ]


async def test_a_circle_of_parents_is_refused() -> None:
    one, two = declare("one"), declare("two")
    plan = ApplyHarness([one, two]).plan()
    parents = {"one": "two", "two": "one"}
    changes = [
        c.model_copy(update={"after": c.after.model_copy(update={"parent": parents[c.name]})})
        for c in plan.changes
        if c.after
    ]
    with pytest.raises(RefusedError, match="circle"):
        await ApplyHarness([one, two]).apply(plan.model_copy(update={"changes": tuple(changes)}))
