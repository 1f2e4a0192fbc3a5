"""Each action of a plan, carried out on a provider in memory and with a clock that jumps."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from tests.support.apply_harness import Stage, actions, said, want, words
from tests.support.builders import NOON, foreign, live
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

OLD, NEW = want(data="old"), want(data="new")


async def test_create_trains_promotes_and_leaves_nothing_to_do() -> None:
    stage = Stage([NEW])
    outcome = await stage.apply(commit="3c9d2e1")
    assert said(outcome) == [("Succeeded", "tone")]
    assert outcome.code is Exit.DONE
    assert stage.sent() == [f"create {NEW.model_id}", f"promote {NEW.model_id}"]
    answers = stage.serving()
    assert answers is not None
    assert answers.stamp == NEW.stamp(commit="3c9d2e1").promoted_at(
        stage.clock.now(), head="3c9d2e1"
    )
    assert stage.plan().changes == ()


async def test_every_request_is_announced_before_it_leaves() -> None:
    stage = Stage([NEW])
    announced: list[Event] = []
    stage.provider.before = lambda _call, _id: announced.append(stage.events[-1])
    await stage.apply()
    assert [event for event in stage.events if isinstance(event, Sending)] == announced


async def test_the_curve_streams_in_while_a_job_trains() -> None:
    stage = Stage([NEW])
    await stage.apply()
    seen = [event for event in stage.events if isinstance(event, Progressed)]
    assert seen[0].state is ModelState.QUEUED
    assert seen[-1].state is ModelState.READY
    assert seen[-1].step == seen[-1].total_steps == len(seen[-1].curve) == 30
    assert all(former.step <= later.step for former, later in pairwise(seen))


async def test_replace_keeps_the_old_version_serving_until_the_new_one_does() -> None:
    stage = Stage([want(data="new", lifecycle=Lifecycle(keep=0))])
    stage.provider.hold(live(OLD, promoted=0))
    serving: list[str] = []

    def note(event: Event) -> None:
        answers = stage.serving()
        serving.append(answers.model_id if answers else "nobody")
        stage.emit(event)

    assert actions(stage.plan()) == [Action.REPLACE]
    outcome = await stage.apply(emit=note)
    assert said(outcome) == [("Succeeded", "tone")]
    assert stage.sent()[-1] == f"delete {OLD.model_id}"
    assert list(dict.fromkeys(serving)) == [OLD.model_id, NEW.model_id]
    assert stage.plan().changes == ()


async def test_wait_starts_nothing_and_promotes_what_a_former_run_began() -> None:
    stage = Stage([NEW])
    stage.provider.hold(live(NEW, state=ModelState.QUEUED))
    assert actions(stage.plan()) == [Action.WAIT]
    assert said(await stage.apply()) == [("Succeeded", "tone")]
    assert stage.sent() == [f"promote {NEW.model_id}"]


async def test_retry_deletes_the_failed_version_and_counts_the_attempt() -> None:
    stage = Stage([NEW])
    stage.provider.hold(live(NEW, state=ModelState.FAILED), failure="out of memory")
    assert actions(stage.plan()) == [Action.RETRY]
    assert said(await stage.apply()) == [("Succeeded", "tone")]
    assert [sent.split()[0] for sent in stage.sent()] == ["delete", "create", "promote"]
    answers = stage.serving()
    assert answers is not None
    assert answers.stamp is not None
    assert answers.stamp.attempt == 2


async def test_a_rollback_promotes_without_training_and_keeps_the_live_words() -> None:
    stage = Stage([OLD])
    former = live(OLD, promoted=0, description="edited by hand since")
    stage.wants = [want(data="old", description="edited by hand since")]
    stage.provider.hold(former, live(NEW, promoted=5))
    assert actions(stage.plan()) == [Action.PROMOTE]
    stage.clock.time = 3600
    assert said(await stage.apply()) == [("Succeeded", "tone")]
    (edit,) = stage.provider.edits
    assert edit.description == "edited by hand since"
    assert edit.display_name is None
    assert edit.temperature is None
    assert former.stamp is not None
    assert edit.stamp == former.stamp.promoted_at(NOON + timedelta(hours=1))


async def test_a_promotion_writes_the_mutable_fields_that_the_plan_names() -> None:
    stage = Stage([want(data="old", description="new words", temperature=0.2)])
    stage.provider.hold(live(OLD, promoted=0), live(NEW, promoted=5))
    await stage.apply()
    (edit,) = stage.provider.edits
    assert (edit.description, edit.temperature) == ("new words", 0.2)
    assert stage.plan().changes == ()


async def test_a_promotion_wins_although_the_other_mark_comes_from_a_clock_ahead_of_ours() -> None:
    stage = Stage([NEW])
    stage.provider.hold(live(OLD, promoted=60 * 24), live(NEW))
    await stage.apply()
    answers = stage.serving()
    assert answers is not None
    assert answers.model_id == NEW.model_id


async def test_update_writes_the_declared_fields_and_keeps_the_rest_of_the_stamp() -> None:
    stage = Stage([want(description="new words", lifecycle=Lifecycle(protect=True))])
    there = live(want(), promoted=3)
    stage.provider.hold(there)
    assert actions(stage.plan()) == [Action.UPDATE]
    assert said(await stage.apply()) == [("Succeeded", "tone")]
    (edit,) = stage.provider.edits
    assert there.stamp is not None
    assert edit.stamp.protect
    assert edit.stamp.promoted == there.stamp.promoted
    assert stage.plan().changes == ()


@pytest.mark.parametrize("takes_s", [0.0, 4.0], ids=["at once", "after a while"])
async def test_cancel_deletes_the_model_once_it_does_not_run_any_more(takes_s: float) -> None:
    stage = Stage([])
    stage.wants = [want("other")]
    stage.provider.takes_s = 100
    stage.provider.cancel_takes_s = takes_s
    stage.provider.hold(live(OLD, state=ModelState.TRAINING))
    states: list[ModelState] = []

    def note(call: str, model_id: str) -> None:
        if call == "delete":
            states.extend(m.state for m in stage.provider.models() if m.model_id == model_id)

    stage.provider.before = note
    outcome = await stage.apply()
    assert outcome.code is Exit.DONE
    assert states == [ModelState.CANCELLED]
    assert [m.model_id for m in stage.provider.models()] == [want("other").model_id]


async def test_a_cancel_that_takes_long_is_left_to_the_next_run() -> None:
    stage = Stage([NEW])
    stage.provider.takes_s = 1000
    stage.provider.cancel_takes_s = 100
    stage.provider.hold(live(OLD, state=ModelState.TRAINING), live(NEW, promoted=1))
    outcome = await stage.apply()
    assert said(outcome) == [("StillRunning", "tone")]
    assert stage.sent() == [f"cancel {OLD.model_id}"]
    stage.clock.time += 100
    assert (await stage.apply()).code is Exit.DONE
    assert stage.plan().changes == ()


async def test_an_obsolete_job_is_cancelled_before_the_new_one_starts() -> None:
    stage = Stage([NEW])
    stage.provider.hold(live(OLD, state=ModelState.TRAINING))
    await stage.apply()
    assert [sent.split()[0] for sent in stage.sent()] == ["cancel", "delete", "create", "promote"]


async def test_of_several_versions_the_serving_one_is_deleted_last() -> None:
    stage = Stage([want("other")])
    models = [live(want(data=str(n)), promoted=n) for n in (3, 1, 2)]
    stage.provider.hold(*models, live(want("other"), promoted=1))
    assert (await stage.apply()).code is Exit.DONE
    assert stage.sent()[-1] == f"delete {models[0].model_id}"
    assert len(stage.sent()) == 3


async def test_what_needs_a_person_is_the_last_word_on_it_too() -> None:
    stage = Stage([want(lifecycle=Lifecycle(retry=0)), want("other")])
    stage.provider.hold(live(want(), state=ModelState.FAILED), failure="bad example 7")
    outcome = await stage.apply()
    assert outcome.code is Exit.ERROR
    failed = [event for event in outcome.events if isinstance(event, Failed)]
    assert "bad example 7" in failed[0].words
    assert ("Succeeded", "other") in said(outcome)
    assert Started("tone", want().model_id, Action.FAILED) not in stage.events


async def test_a_conflict_is_a_refusal_in_the_words_of_the_plan() -> None:
    stage = Stage([want()])
    stage.provider.hold(foreign(want().model_id))
    outcome = await stage.apply()
    assert said(outcome) == [("Refused", "tone")]
    assert "no stamp of ours" in words(outcome.events[0])
    assert stage.provider.requests == []


async def test_a_ready_version_stays_while_another_change_of_its_name_fails() -> None:
    stage = Stage([want(data="new", temperature=0.1, lifecycle=Lifecycle(keep=0))])
    stage.provider.hold(live(OLD, promoted=1), live(NEW, promoted=2))
    assert actions(stage.plan()) == [Action.UPDATE, Action.DELETE]

    def refuse(call: str, model_id: str) -> None:
        raise PermissionDeniedError("no")

    stage.provider.before = refuse
    outcome = await stage.apply()
    assert said(outcome) == [("Failed", "tone"), ("Skipped", "tone")]
    assert [call for call, _ in stage.provider.requests] == ["update"]


async def test_a_refused_plan_is_not_carried_out() -> None:
    refusal = Refusal(code="no-manifests", message="there are no manifests", cure="--allow-empty")
    plan = Plan(project="demo", refusals=(refusal,))
    with pytest.raises(RefusedError, match="no manifests"):
        await Stage([]).apply(plan)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(PermissionDeniedError("no scope", cure="log in"), "no scope", id="known"),
        pytest.param(ZeroDivisionError("oops"), "unexpected ZeroDivisionError: oops", id="a fault"),
    ],
)
async def test_one_failure_never_stops_the_others(error: Exception, expected: str) -> None:
    stage = Stage([want("bad"), want("good")])

    def refuse(call: str, model_id: str) -> None:
        if (call, model_id) == ("create", want("bad").model_id):
            raise error

    stage.provider.before = refuse
    outcome = await stage.apply()
    assert sorted(said(outcome)) == [("Failed", "bad"), ("Succeeded", "good")]
    assert outcome.code is Exit.ERROR
    assert words(outcome.events[0]) == expected


async def test_a_lost_answer_is_looked_for_and_found() -> None:
    stage = Stage([NEW])

    def lose(call: str, model_id: str) -> None:
        if call == "create":
            raise OutcomeUnknownError("connection reset")

    stage.provider.after = lose
    assert said(await stage.apply()) == [("Succeeded", "tone")]
    assert stage.provider.trained[NEW.fingerprint] == 1


async def test_a_lost_answer_to_a_create_that_did_nothing_is_said_and_the_next_run_mends_it() -> (
    None
):
    stage = Stage([NEW])

    def lose(call: str, model_id: str) -> None:
        raise OutcomeUnknownError("connection reset")

    stage.provider.before = lose
    (ending,) = (await stage.apply()).events
    assert isinstance(ending, Failed)
    assert "was lost: connection reset" in ending.words
    assert "apply" in ending.cure
    stage.provider.before = lambda _call, _id: None
    assert said(await stage.apply()) == [("Succeeded", "tone")]


async def test_an_id_that_is_taken_at_the_last_moment_is_refused() -> None:
    stage = Stage([NEW])

    def take(call: str, model_id: str) -> None:
        raise AlreadyExistsError("taken")

    stage.provider.before = take
    (ending,) = (await stage.apply()).events
    assert isinstance(ending, Refused)


async def test_a_failed_job_says_the_words_of_the_service_and_the_old_version_stays() -> None:
    stage = Stage([want(data="new", lifecycle=Lifecycle(keep=0))])
    stage.provider.hold(live(OLD, promoted=0))
    stage.provider.failures["tone"] = ["loss is not a number"]
    (ending,) = (await stage.apply()).events
    assert isinstance(ending, Failed)
    assert ending.words == "loss is not a number"
    answers = stage.serving()
    assert answers is not None
    assert answers.model_id == OLD.model_id


async def test_a_disk_that_takes_no_journal_stops_everything_before_anything_is_sent() -> None:
    stage = Stage([want("one"), want("two")])

    def full(event: Event) -> None:
        raise StoreError("no space left")

    with pytest.raises(StoreError, match="no space left"):
        await stage.apply(emit=full)
    assert stage.provider.requests == []


async def test_a_retirement_that_fails_does_not_undo_the_promotion() -> None:
    stage = Stage([want(data="new", lifecycle=Lifecycle(keep=0))])
    stage.provider.hold(live(OLD, promoted=0))

    def refuse(call: str, model_id: str) -> None:
        if call == "delete":
            raise UnavailableError("try later")

    stage.provider.before = refuse
    outcome = await stage.apply()
    assert said(outcome) == [("Failed", "tone"), ("Succeeded", "tone")]
    assert outcome.events[0] == Failed("tone", OLD.model_id, Action.DELETE, "try later", "")
    assert actions(stage.plan()) == [Action.DELETE]


async def test_starts_are_bounded_and_a_waiting_job_blocks_none_of_them() -> None:
    stage = Stage([want(f"model-{number}") for number in range(6)])
    stage.provider.answer_takes_s = 1.0
    stage.provider.takes_s = 100.0
    ran_at_once: list[int] = []

    def count(call: str, model_id: str) -> None:
        ran_at_once.append(sum(m.state.is_running for m in stage.provider.models()))

    stage.provider.after = count
    outcome = await stage.apply(parallelism=2)
    assert outcome.code is Exit.DONE
    assert stage.provider.busiest == 2
    assert max(ran_at_once) == 6


async def test_a_child_begins_after_its_parent_serves() -> None:
    parent = want("parent")
    child = want("child", source=f"tunedModels/{parent.model_id}", parent="parent")
    stage = Stage([child, parent])
    assert (await stage.apply()).code is Exit.DONE
    assert [sent.split()[0] for sent in stage.sent()] == ["create", "promote"] * 2
    assert stage.sent()[2] == f"create {child.model_id}"


async def test_a_child_is_skipped_when_its_parent_does_not_end_well() -> None:
    parent = want("parent")
    child = want("child", source=f"tunedModels/{parent.model_id}", parent="parent")
    grandchild = want("grandchild", source=f"tunedModels/{child.model_id}", parent="child")
    stage = Stage([grandchild, child, parent])
    stage.provider.failures["parent"] = ["no"]
    outcome = await stage.apply()
    assert said(outcome) == [("Failed", "parent"), ("Skipped", "child"), ("Skipped", "grandchild")]
    assert [words(event) for event in outcome.events if isinstance(event, Skipped)] == [
        "it continues from parent, which did not end well",
        "it continues from child, which did not end well",
    ]


async def test_a_circle_of_parents_is_refused_instead_of_waited_for() -> None:
    one, two = want("one"), want("two")
    plan = Stage([one, two]).plan()
    knot = {"one": "two", "two": "one"}
    changes = [
        c.model_copy(update={"after": c.after.model_copy(update={"parent": knot[c.name]})})
        for c in plan.changes
        if c.after
    ]
    with pytest.raises(RefusedError, match="circle"):
        await Stage([one, two]).apply(plan.model_copy(update={"changes": tuple(changes)}))
