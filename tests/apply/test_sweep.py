"""Sweeps while a plan is carried out: all candidates once, the best one serves, the others go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.apply_harness import Stage, actions, said, want, words
from tests.support.builders import evaluation, live, swept
from tunedmodels.desired import Desired
from tunedmodels.errors import Exit, StoreError
from tunedmodels.events import Chosen, Event, Sending, Started, Tried
from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Action
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import Decision

MEASURE = evaluation()
GATE = evaluation(at_least=0.85)
OLD = want(data="old")
FORMER = live(OLD, promoted=0)
SWEEP = swept(want(data="new", evaluation=MEASURE), 3, 5, 8)
FEW, SOME, MANY = SWEEP.candidates


def stage(declared: Desired = SWEEP, **scores: float) -> Stage:
    """A stage where OLD serves, and where 5 epochs are the best unless `scores` say otherwise."""
    made = Stage([declared])
    made.provider.hold(FORMER)
    reached = {"few": 0.7, "some": 0.9, "many": 0.8, **scores}
    for each, value in zip(SWEEP.candidates, reached.values(), strict=True):
        made.judge.scores[each.fingerprint] = value
    return made


def ids(made: Stage) -> set[str]:
    return {model.model_id for model in made.provider.models()}


async def test_the_best_candidate_serves_and_the_others_go_after_that() -> None:
    made = stage()
    outcome = await made.apply(commit="9f00aa1")
    assert said(outcome) == [("Succeeded", "tone")]
    assert outcome.code is Exit.DONE
    sent = made.sent()
    assert sent[:3] == [f"create {each.model_id}" for each in SWEEP.candidates]
    assert set(sent[3:6]) == {f"score {each.model_id}" for each in SWEEP.candidates}
    assert sent[6:] == [
        f"promote {SOME.model_id}",
        f"delete {FEW.model_id}",
        f"delete {MANY.model_id}",
    ]
    answers = made.serving()
    assert answers
    assert answers.stamp
    assert answers.model_id == SOME.model_id
    assert answers.stamp.sweep == SWEEP.sweep_digest
    assert (answers.stamp.score, answers.stamp.head) == ("exactMatch:0.9", "9f00aa1")
    assert ids(made) == {SOME.model_id, OLD.model_id}
    assert made.plan().changes == ()
    assert (await made.apply()).code is Exit.DONE
    assert sum(made.provider.trained.values()) == 3


async def test_of_equal_scores_the_first_declared_wins() -> None:
    made = stage(few=0.9, some=0.9, many=0.9)
    await made.apply()
    (chosen,) = [event for event in made.events if isinstance(event, Chosen)]
    assert (chosen.model_id, chosen.words) == (FEW.model_id, "the best of 3 candidates")


async def test_the_parallelism_bounds_the_starts_of_candidates() -> None:
    made = stage()
    made.provider.answer_takes_s = 1.0
    await made.apply(parallelism=1)
    assert made.provider.busiest == 1


async def test_each_candidate_is_announced_and_told_apart() -> None:
    made = stage()
    await made.apply()
    begun = [event for event in made.events if isinstance(event, Started)]
    assert [(e.model_id, e.candidate) for e in begun] == [
        (each.model_id, True) for each in SWEEP.candidates
    ]
    tried = {e.model_id: e.score for e in made.events if isinstance(e, Tried)}
    assert tried[MANY.model_id] == "exactMatch:0.8"


async def test_without_waiting_all_start_and_a_later_run_goes_on() -> None:
    made = stage()
    outcome = await made.apply(wait=False)
    assert outcome.code is Exit.RUNNING
    assert [event.name for event in outcome.events] == ["tone"] * 3
    assert actions(made.plan()) == [Action.WAIT]
    assert (await made.apply()).code is Exit.DONE
    assert sum(made.provider.trained.values()) == 3


async def test_a_candidate_that_failed_is_tried_again_before_anything_is_chosen() -> None:
    made = stage()
    made.provider.failures["tone"] = ["no capacity"]
    outcome = await made.apply()
    assert outcome.code is Exit.ERROR
    assert "no capacity" in words(outcome.events[0])
    assert made.serving() == FORMER
    (change,) = made.plan().changes
    assert change.jobs == 1
    assert (await made.apply()).code is Exit.DONE
    scores = [call for call in made.sent() if call.startswith("score")]
    assert len(scores) == 3, "what was scored is not scored again"
    assert made.judge.asked[MANY.fingerprint] == 1


async def test_the_best_of_the_others_wins_when_a_candidate_is_given_up() -> None:
    declared = replace(SWEEP, lifecycle=Lifecycle(retry=0))
    made = stage(declared, few=1.0)
    made.provider.failures["tone"] = ["the examples are in no language"]
    outcome = await made.apply()
    assert outcome.code is Exit.DONE
    (chosen,) = [event for event in made.events if isinstance(event, Chosen)]
    assert chosen.words == "the best of 2 candidates; 1 more could not be trained"
    assert ids(made) == {SOME.model_id, OLD.model_id}
    assert made.plan().changes == ()


async def test_a_sweep_of_failures_is_reported_and_not_repeated() -> None:
    made = stage(replace(SWEEP, lifecycle=Lifecycle(retry=0)))
    made.provider.failures["tone"] = ["no"] * 3
    outcome = await made.apply()
    assert outcome.code is Exit.ERROR
    assert words(outcome.events[0]) == "none of the 3 candidates of its sweep could be trained"
    (change,) = made.plan().changes
    assert change.action is Action.FAILED
    assert change.cure.endswith("set lifecycle.retry to 1 to try again.")
    await made.apply()
    assert sum(made.provider.trained.values()) == 3
    assert made.serving() == FORMER


async def test_a_winner_that_its_gate_refuses_is_marked_and_nothing_is_trained_again() -> None:
    made = stage(replace(SWEEP, evaluation=GATE))
    made.judge.decisions[SOME.fingerprint] = Decision.REFUSED
    outcome = await made.apply()
    assert said(outcome) == [("Rejected", "tone")]
    assert outcome.code is Exit.GATE
    assert made.serving() == FORMER
    assert ids(made) == {SOME.model_id, OLD.model_id}
    assert actions(made.plan()) == [Action.REJECTED]
    assert (await made.apply()).code is Exit.GATE
    made.wants = [replace(SWEEP, evaluation=evaluation(at_least=0.1))]
    made.judge.decisions.clear()
    assert (await made.apply()).code is Exit.DONE
    answers = made.serving()
    assert answers
    assert answers.model_id == SOME.model_id
    assert sum(made.provider.trained.values()) == 3


async def test_the_serving_version_may_be_a_candidate_and_may_win() -> None:
    made = stage()
    made.provider.hold(live(SOME, promoted=5))
    await made.apply()
    answers = made.serving()
    assert answers
    assert answers.stamp
    assert (answers.model_id, answers.stamp.sweep) == (SOME.model_id, SWEEP.sweep_digest)
    assert f"promote {SOME.model_id}" not in made.sent()
    assert made.plan().changes == ()
    assert made.provider.trained[SOME.fingerprint] == 0


async def test_a_serving_candidate_that_does_not_win_is_kept_as_any_former_version() -> None:
    made = stage()
    made.provider.hold(live(FEW, promoted=5))
    await made.apply()
    assert ids(made) == {SOME.model_id, FEW.model_id}
    assert made.plan().changes == ()


async def test_going_back_to_a_former_sweep_trains_nothing_while_keep_holds_its_winner() -> None:
    made = stage()
    await made.apply()
    made.wants = [swept(want(data="newer", evaluation=MEASURE), 3, 5)]
    assert (await made.apply()).code is Exit.DONE
    trained = sum(made.provider.trained.values())
    made.wants = [SWEEP]
    assert actions(made.plan()) == [Action.PROMOTE]
    assert (await made.apply()).code is Exit.DONE
    answers = made.serving()
    assert answers
    assert answers.model_id == SOME.model_id
    assert sum(made.provider.trained.values()) == trained


async def test_a_winner_may_be_pinned_without_training() -> None:
    made = stage()
    await made.apply()
    made.wants = [SOME]
    assert made.plan().changes == ()


async def test_an_edited_list_trains_what_is_not_there_and_no_more() -> None:
    made = stage()
    await made.apply(wait=False)
    made.wants = [swept(want(data="new", evaluation=MEASURE), 3, 5, 8, 13)]
    await made.apply()
    assert all(count == 1 for count in made.provider.trained.values())
    assert len(made.provider.trained) == 4


async def test_a_sweep_that_another_run_finished_is_not_begun_anew() -> None:
    made = stage()
    plan = made.plan()
    await made.apply(plan)
    outcome = await made.apply(plan, desired={"tone": SWEEP})
    assert said(outcome) == [("Succeeded", "tone")]
    assert sum(made.provider.trained.values()) == 3


async def test_a_sweep_that_changed_since_the_plan_is_refused_before_anything_is_trained() -> None:
    made = stage()
    plan = made.plan()
    made.wants = [swept(want(data="new", evaluation=MEASURE), 3, 5, 13)]
    outcome = await made.apply(plan)
    assert outcome.code is Exit.REFUSED
    assert made.provider.requests == []


async def test_a_candidate_that_vanished_since_the_plan_is_not_trained_again() -> None:
    made = stage()
    made.provider.hold(*(live(each) for each in SWEEP.candidates))
    plan = made.plan()
    assert actions(plan) == [Action.PROMOTE]
    made.provider.drop(FEW.model_id)
    outcome = await made.apply(plan)
    assert outcome.code is Exit.REFUSED
    assert "is gone since the plan" in words(outcome.events[0])
    assert made.serving() == FORMER
    assert made.provider.trained[FEW.fingerprint] == 0


async def test_a_score_of_another_sweep_does_not_count() -> None:
    made = stage()
    other = live(FEW)
    assert other.stamp
    stamp = replace(other.stamp, tried="0ff0ff0ff0ff", score="exactMatch:1.0")
    made.provider.hold(replace(other, stamp=stamp))
    await made.apply()
    answers = made.serving()
    assert answers
    assert answers.model_id == SOME.model_id
    assert made.judge.asked[FEW.fingerprint] == 1


async def test_an_interrupt_leaves_the_jobs_running_and_chooses_nothing() -> None:
    made = stage()

    def stop(event: Event) -> None:
        made.emit(event)
        if isinstance(event, Sending) and event.model_id == SOME.model_id:
            made.stop.request()

    outcome = await made.apply(emit=stop)
    assert outcome.code is Exit.INTERRUPTED
    assert made.serving() == FORMER
    made.stop = type(made.stop)()
    assert (await made.apply()).code is Exit.DONE
    assert all(count == 1 for count in made.provider.trained.values())


async def test_the_end_of_the_time_ends_the_scoring_too() -> None:
    made = stage()
    made.judge.takes_s = 1000.0
    outcome = await made.apply(timeout_s=60.0)
    assert outcome.code is Exit.RUNNING
    assert actions(made.plan()) == [Action.PROMOTE]
    assert (await made.apply()).code is Exit.DONE


async def test_without_a_journal_nothing_more_is_sent_for_any_candidate() -> None:
    made = stage()

    def full(event: Event) -> None:
        if isinstance(event, Sending):
            raise StoreError("no space", cure="Free some.")

    with pytest.raises(StoreError):
        await made.apply(emit=full)
    assert made.provider.requests == []


async def test_what_lost_and_was_left_behind_goes_with_the_next_apply() -> None:
    made = stage()
    await made.apply()
    lost = live(FEW)
    assert lost.stamp
    made.provider.hold(replace(lost, stamp=replace(lost.stamp, tried=SWEEP.sweep_digest)))
    (change,) = made.plan().changes
    assert (change.action, change.reason) == (
        Action.DELETE,
        "it lost its sweep, and never served",
    )
    made.wants = []
    removed = {change.before.model_id for change in made.plan().changes if change.before}
    assert removed == {FEW.model_id, SOME.model_id, OLD.model_id}


async def test_a_loser_that_somebody_promoted_by_hand_is_not_deleted() -> None:
    made = stage()

    def promote(event: Event) -> None:
        made.emit(event)
        if isinstance(event, Chosen):
            made.provider.hold(live(MANY, promoted=30))

    await made.apply(emit=promote)
    assert MANY.model_id in ids(made)
    there = {m.model_id: m.state for m in made.provider.models()}
    assert there[SOME.model_id] is ModelState.READY
