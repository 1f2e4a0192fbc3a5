"""Sweeps during an apply: every candidate is trained once, and the best one serves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.apply_harness import ApplyHarness, actions, declare, message, outcomes
from tests.support.builders import evaluation, live, with_sweep
from tunedmodels.desired import Desired
from tunedmodels.errors import Exit, StoreError
from tunedmodels.events import Chosen, Event, Sending, Started, Tried
from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Action
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import Decision

MEASURE = evaluation()
GATE = evaluation(at_least=0.85)
OLD = declare(data="old")
FORMER = live(OLD, promoted=0)
SWEEP = with_sweep(declare(data="new", evaluation=MEASURE), 3, 5, 8)
FEW, SOME, MANY = SWEEP.candidates


def sweep_harness(declared: Desired = SWEEP, **scores: float) -> ApplyHarness:
    """A harness where OLD serves, and where 5 epochs are the best unless `scores` say otherwise."""
    harness = ApplyHarness([declared])
    harness.provider.add(FORMER)
    by_candidate = {"few": 0.7, "some": 0.9, "many": 0.8, **scores}
    for candidate, value in zip(SWEEP.candidates, by_candidate.values(), strict=True):
        harness.gate_check.scores[candidate.fingerprint] = value
    return harness


def ids(harness: ApplyHarness) -> set[str]:
    return {model.model_id for model in harness.provider.models()}


async def test_the_best_candidate_is_promoted_and_the_others_are_deleted_after_it() -> None:
    harness = sweep_harness()
    outcome = await harness.apply(commit="9f00aa1")
    assert outcomes(outcome) == [("Succeeded", "tone")]
    assert outcome.code is Exit.DONE
    requests = harness.sent()
    assert requests[:3] == [f"create {candidate.model_id}" for candidate in SWEEP.candidates]
    assert set(requests[3:6]) == {f"score {candidate.model_id}" for candidate in SWEEP.candidates}
    assert requests[6:] == [
        f"promote {SOME.model_id}",
        f"delete {FEW.model_id}",
        f"delete {MANY.model_id}",
    ]
    serving = harness.serving()
    assert serving
    assert serving.stamp
    assert serving.model_id == SOME.model_id
    assert serving.stamp.chosen_by_sweeps == SWEEP.sweep_digest
    assert (serving.stamp.score, serving.stamp.promoted_commit) == ("exactMatch:0.9", "9f00aa1")
    assert ids(harness) == {SOME.model_id, OLD.model_id}
    assert harness.plan().changes == ()
    assert (await harness.apply()).code is Exit.DONE
    assert sum(harness.provider.trained.values()) == 3


async def test_the_first_declared_candidate_wins_with_equal_scores() -> None:
    harness = sweep_harness(few=0.9, some=0.9, many=0.9)
    await harness.apply()
    (chosen,) = [event for event in harness.events if isinstance(event, Chosen)]
    assert (chosen.model_id, chosen.words) == (FEW.model_id, "the best of 3 candidates")


async def test_the_parallelism_limits_the_creates_of_candidates() -> None:
    harness = sweep_harness()
    harness.provider.request_duration_s = 1.0
    await harness.apply(parallelism=1)
    assert harness.provider.max_concurrent == 1


async def test_every_candidate_has_its_own_events() -> None:
    harness = sweep_harness()
    await harness.apply()
    started = [event for event in harness.events if isinstance(event, Started)]
    assert [(e.model_id, e.candidate) for e in started] == [
        (candidate.model_id, True) for candidate in SWEEP.candidates
    ]
    scores = {e.model_id: e.score for e in harness.events if isinstance(e, Tried)}
    assert scores[MANY.model_id] == "exactMatch:0.8"


async def test_no_wait_creates_all_jobs_and_a_later_run_continues() -> None:
    harness = sweep_harness()
    outcome = await harness.apply(wait=False)
    assert outcome.code is Exit.RUNNING
    assert [event.name for event in outcome.events] == ["tone"] * 3
    assert actions(harness.plan()) == [Action.WAIT]
    assert (await harness.apply()).code is Exit.DONE
    assert sum(harness.provider.trained.values()) == 3


async def test_a_failed_candidate_is_retried_before_the_best_one_is_chosen() -> None:
    harness = sweep_harness()
    harness.provider.failures["tone"] = ["no capacity"]
    outcome = await harness.apply()
    assert outcome.code is Exit.ERROR
    assert "no capacity" in message(outcome.events[0])
    assert harness.serving() == FORMER
    (change,) = harness.plan().changes
    assert change.jobs == 1
    assert (await harness.apply()).code is Exit.DONE
    scores = [call for call in harness.sent() if call.startswith("score")]
    assert len(scores) == 3, "no candidate is scored twice"
    assert harness.gate_check.calls[MANY.fingerprint] == 1


async def test_the_best_other_candidate_wins_if_one_cannot_be_trained() -> None:
    declared = replace(SWEEP, lifecycle=Lifecycle(retry=0))
    harness = sweep_harness(declared, few=1.0)
    harness.provider.failures["tone"] = ["the examples are not valid"]
    outcome = await harness.apply()
    assert outcome.code is Exit.DONE
    (chosen,) = [event for event in harness.events if isinstance(event, Chosen)]
    assert chosen.words == "the best of 2 candidates; 1 more could not be trained"
    assert ids(harness) == {SOME.model_id, OLD.model_id}
    assert harness.plan().changes == ()


async def test_a_sweep_without_a_trained_candidate_is_reported_and_not_repeated() -> None:
    harness = sweep_harness(replace(SWEEP, lifecycle=Lifecycle(retry=0)))
    harness.provider.failures["tone"] = ["no"] * 3
    outcome = await harness.apply()
    assert outcome.code is Exit.ERROR
    assert message(outcome.events[0]) == "none of the 3 candidates of its sweep could be trained"
    (change,) = harness.plan().changes
    assert change.action is Action.FAILED
    assert change.cure.endswith("set lifecycle.retry to 1 to try again.")
    await harness.apply()
    assert sum(harness.provider.trained.values()) == 3
    assert harness.serving() == FORMER


async def test_a_winner_that_its_gate_refuses_is_recorded_and_not_trained_again() -> None:
    harness = sweep_harness(replace(SWEEP, evaluation=GATE))
    harness.gate_check.decisions[SOME.fingerprint] = Decision.REFUSED
    outcome = await harness.apply()
    assert outcomes(outcome) == [("Rejected", "tone")]
    assert outcome.code is Exit.GATE
    assert harness.serving() == FORMER
    assert ids(harness) == {SOME.model_id, OLD.model_id}
    assert actions(harness.plan()) == [Action.REJECTED]
    assert (await harness.apply()).code is Exit.GATE
    harness.desired = [replace(SWEEP, evaluation=evaluation(at_least=0.1))]
    harness.gate_check.decisions.clear()
    assert (await harness.apply()).code is Exit.DONE
    serving = harness.serving()
    assert serving
    assert serving.model_id == SOME.model_id
    assert sum(harness.provider.trained.values()) == 3


async def test_the_serving_version_can_win_as_a_candidate() -> None:
    harness = sweep_harness()
    harness.provider.add(live(SOME, promoted=5))
    await harness.apply()
    serving = harness.serving()
    assert serving
    assert serving.stamp
    assert (serving.model_id, serving.stamp.chosen_by_sweeps) == (SOME.model_id, SWEEP.sweep_digest)
    assert f"promote {SOME.model_id}" not in harness.sent()
    assert harness.plan().changes == ()
    assert harness.provider.trained[SOME.fingerprint] == 0


async def test_a_serving_candidate_that_does_not_win_is_kept_as_a_former_version() -> None:
    harness = sweep_harness()
    harness.provider.add(live(FEW, promoted=5))
    await harness.apply()
    assert ids(harness) == {SOME.model_id, FEW.model_id}
    assert harness.plan().changes == ()


async def test_going_back_to_a_former_sweep_trains_nothing_if_its_winner_is_kept() -> None:
    harness = sweep_harness()
    await harness.apply()
    harness.desired = [with_sweep(declare(data="newer", evaluation=MEASURE), 3, 5)]
    assert (await harness.apply()).code is Exit.DONE
    trained = sum(harness.provider.trained.values())
    harness.desired = [SWEEP]
    assert actions(harness.plan()) == [Action.PROMOTE]
    assert (await harness.apply()).code is Exit.DONE
    serving = harness.serving()
    assert serving
    assert serving.model_id == SOME.model_id
    assert sum(harness.provider.trained.values()) == trained


async def test_declaring_the_winner_without_the_sweep_changes_nothing() -> None:
    harness = sweep_harness()
    await harness.apply()
    harness.desired = [SOME]
    assert harness.plan().changes == ()


async def test_an_edited_list_trains_only_the_new_candidates() -> None:
    harness = sweep_harness()
    await harness.apply(wait=False)
    harness.desired = [with_sweep(declare(data="new", evaluation=MEASURE), 3, 5, 8, 13)]
    await harness.apply()
    assert all(count == 1 for count in harness.provider.trained.values())
    assert len(harness.provider.trained) == 4


async def test_a_sweep_that_another_run_finished_is_not_repeated() -> None:
    harness = sweep_harness()
    plan = harness.plan()
    await harness.apply(plan)
    outcome = await harness.apply(plan, desired={"tone": SWEEP})
    assert outcomes(outcome) == [("Succeeded", "tone")]
    assert sum(harness.provider.trained.values()) == 3


async def test_a_sweep_that_changed_since_the_plan_is_refused_before_the_training() -> None:
    harness = sweep_harness()
    plan = harness.plan()
    harness.desired = [with_sweep(declare(data="new", evaluation=MEASURE), 3, 5, 13)]
    outcome = await harness.apply(plan)
    assert outcome.code is Exit.REFUSED
    assert harness.provider.requests == []


async def test_a_candidate_that_was_deleted_since_the_plan_is_not_trained_again() -> None:
    harness = sweep_harness()
    harness.provider.add(*(live(each) for each in SWEEP.candidates))
    plan = harness.plan()
    assert actions(plan) == [Action.PROMOTE]
    harness.provider.remove(FEW.model_id)
    outcome = await harness.apply(plan)
    assert outcome.code is Exit.REFUSED
    assert "was deleted since the plan" in message(outcome.events[0])
    assert harness.serving() == FORMER
    assert harness.provider.trained[FEW.fingerprint] == 0


async def test_a_score_of_another_sweep_does_not_count() -> None:
    harness = sweep_harness()
    other = live(FEW)
    assert other.stamp
    stamp = replace(other.stamp, scored_by_sweep="0ff0ff0ff0ff", score="exactMatch:1.0")
    harness.provider.add(replace(other, stamp=stamp))
    await harness.apply()
    serving = harness.serving()
    assert serving
    assert serving.model_id == SOME.model_id
    assert harness.gate_check.calls[FEW.fingerprint] == 1


async def test_an_interrupt_leaves_the_jobs_running_and_chooses_nothing() -> None:
    harness = sweep_harness()

    def stop(event: Event) -> None:
        harness.emit(event)
        if isinstance(event, Sending) and event.model_id == SOME.model_id:
            harness.stop.request()

    outcome = await harness.apply(emit=stop)
    assert outcome.code is Exit.INTERRUPTED
    assert harness.serving() == FORMER
    harness.stop = type(harness.stop)()
    assert (await harness.apply()).code is Exit.DONE
    assert all(count == 1 for count in harness.provider.trained.values())


async def test_the_deadline_ends_the_scoring() -> None:
    harness = sweep_harness()
    harness.gate_check.duration_s = 1000.0
    outcome = await harness.apply(timeout_s=60.0)
    assert outcome.code is Exit.RUNNING
    assert actions(harness.plan()) == [Action.PROMOTE]
    assert (await harness.apply()).code is Exit.DONE


async def test_without_a_journal_no_request_is_sent_for_any_candidate() -> None:
    harness = sweep_harness()

    def fail(event: Event) -> None:
        if isinstance(event, Sending):
            raise StoreError("no space", cure="Free some.")

    with pytest.raises(StoreError):
        await harness.apply(emit=fail)
    assert harness.provider.requests == []


async def test_a_remaining_loser_is_deleted_by_the_next_apply() -> None:
    harness = sweep_harness()
    await harness.apply()
    loser = live(FEW)
    assert loser.stamp
    harness.provider.add(
        replace(loser, stamp=replace(loser.stamp, scored_by_sweep=SWEEP.sweep_digest))
    )
    (change,) = harness.plan().changes
    assert (change.action, change.reason) == (
        Action.DELETE,
        "it lost its sweep and was never promoted",
    )
    harness.desired = []
    removed = {change.before.model_id for change in harness.plan().changes if change.before}
    assert removed == {FEW.model_id, SOME.model_id, OLD.model_id}


async def test_a_manually_promoted_loser_is_not_deleted() -> None:
    harness = sweep_harness()

    def promote(event: Event) -> None:
        harness.emit(event)
        if isinstance(event, Chosen):
            harness.provider.add(live(MANY, promoted=30))

    await harness.apply(emit=promote)
    assert MANY.model_id in ids(harness)
    states = {m.model_id: m.state for m in harness.provider.models()}
    assert states[SOME.model_id] is ModelState.READY
