"""Gates while a plan is carried out: what passes serves, what does not is marked and left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.apply_harness import Stage, actions, said, want, words
from tests.support.builders import evaluation, live, ruled
from tunedmodels.errors import Exit, RefusedError, UnavailableError
from tunedmodels.events import Evaluating, Judged, Rejected
from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Action
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import Decision, gate_mark

STRICT = evaluation(at_least=0.85, not_worse_than_serving_by=0.02)
OLD = want(data="old")
NEW = want(data="new", evaluation=STRICT)
FORMER = live(OLD, promoted=0)


def gated(*wants: object, decision: Decision | None = None) -> Stage:
    """A stage where OLD serves, and where the gate decides as it is told."""
    stage = Stage([NEW, *wants])  # type: ignore[list-item]  # declared models
    stage.provider.hold(FORMER)
    if decision:
        stage.judge.decisions[NEW.fingerprint] = decision
    return stage


async def test_a_version_that_passes_serves_with_mark_score_and_decision_in_one_request() -> None:
    stage = gated()
    outcome = await stage.apply(commit="9f00aa1")
    assert said(outcome) == [("Succeeded", "tone")]
    assert outcome.code is Exit.DONE
    assert stage.sent() == [f"create {NEW.model_id}", f"promote {NEW.model_id}"]
    (edit,) = stage.provider.edits
    assert edit.stamp.promoted
    assert edit.stamp.score == "exactMatch:0.912"
    mark = gate_mark(edit.stamp.gate)
    assert mark
    assert (mark.decision, mark.gate) == (Decision.PASSED, STRICT.gate)
    assert mark.against == OLD.fingerprint[:8]
    assert edit.stamp.head == "9f00aa1"
    assert stage.judge.rivals == [OLD.model_id]
    assert stage.plan().changes == ()


@pytest.mark.parametrize("decision", [Decision.REFUSED, Decision.INCONCLUSIVE])
async def test_a_version_that_does_not_pass_is_marked_and_never_trained_again(
    decision: Decision,
) -> None:
    stage = gated(decision=decision)
    outcome = await stage.apply()
    assert said(outcome) == [("Rejected", "tone")]
    assert outcome.code is Exit.GATE
    assert stage.sent() == [f"create {NEW.model_id}", f"judge {NEW.model_id}"]
    assert stage.serving() == FORMER
    (rejected,) = stage.plan().changes
    assert rejected.action is Action.REJECTED
    assert f"tunedmodels promote tone {NEW.model_id}" in rejected.cure
    again = await stage.apply()
    assert again.code is Exit.GATE
    assert words(again.events[0]) == rejected.reason
    assert stage.judge.asked[NEW.fingerprint] == 1
    assert stage.provider.trained[NEW.fingerprint] == 1
    assert len(stage.provider.edits) == 1


async def test_an_inconclusive_gate_that_is_open_lets_the_version_serve() -> None:
    rules = replace(STRICT, rules=STRICT.rules.model_copy(update={"on_inconclusive": "promote"}))
    stage = gated(decision=Decision.INCONCLUSIVE)
    stage.wants = [want(data="new", evaluation=rules)]
    assert (await stage.apply()).code is Exit.DONE
    answers = stage.serving()
    assert answers
    assert answers.stamp
    assert answers.stamp.gate.startswith("inconclusive:")
    assert stage.plan().changes == ()


async def test_an_edited_gate_has_the_version_judged_again_without_training() -> None:
    stage = gated(decision=Decision.REFUSED)
    await stage.apply()
    stage.wants = [want(data="new", evaluation=evaluation(at_least=0.6))]
    stage.judge.decisions.clear()
    assert actions(stage.plan()) == [Action.PROMOTE]
    assert (await stage.apply()).code is Exit.DONE
    assert stage.provider.trained[NEW.fingerprint] == 1
    assert stage.judge.rivals == [OLD.model_id, ""]


async def test_another_version_that_serves_is_another_comparison() -> None:
    stage = gated(decision=Decision.REFUSED)
    await stage.apply()
    other = want(data="other")
    stage.provider.hold(live(other, promoted=5))
    assert stage.plan().changes[0].action is Action.PROMOTE
    await stage.apply()
    assert stage.judge.rivals == [OLD.model_id, other.model_id]


async def test_the_first_version_is_compared_with_nothing() -> None:
    stage = Stage([NEW])
    assert (await stage.apply()).code is Exit.DONE
    assert stage.judge.rivals == [""]


async def test_a_rollback_asks_no_gate() -> None:
    stage = gated()
    await stage.apply()
    stage.wants = [want(data="old", evaluation=evaluation(at_least=1))]
    stage.judge.decisions[OLD.fingerprint] = Decision.REFUSED
    assert (await stage.apply()).code is Exit.DONE
    answers = stage.serving()
    assert answers
    assert answers.model_id == OLD.model_id
    assert stage.judge.asked[OLD.fingerprint] == 0


async def test_a_version_that_served_and_broke_is_trained_again_and_judged_like_a_new_one() -> None:
    """At Vertex AI a version breaks when somebody deletes its endpoint."""
    stage = gated()
    stage.provider.hold(live(NEW, state=ModelState.FAILED, promoted=1))
    assert said(await stage.apply()) == [("Succeeded", "tone")]
    assert stage.judge.asked[NEW.fingerprint] == 1
    answers = stage.serving()
    assert answers
    assert answers.model_id == NEW.model_id


async def test_a_version_promoted_by_hand_serves_whatever_its_gate_said() -> None:
    stage = gated(decision=Decision.REFUSED)
    await stage.apply()
    (refused,) = [m for m in stage.provider.models() if m.fingerprint == NEW.fingerprint]
    assert refused.stamp
    by_hand = replace(refused, stamp=refused.stamp.promoted_at(stage.clock.now(), by="hand"))
    stage.provider.hold(by_hand)
    assert stage.plan().changes == ()


async def test_what_its_gate_rejected_goes_when_another_version_is_declared() -> None:
    stage = gated(decision=Decision.REFUSED)
    await stage.apply()
    better = want(data="better", evaluation=STRICT, lifecycle=Lifecycle(keep=3))
    stage.wants = [better]
    outcome = await stage.apply()
    assert outcome.code is Exit.DONE
    there = {model.model_id for model in stage.provider.models()}
    assert there == {better.model_id, OLD.model_id}
    assert stage.plan().changes == ()


async def test_one_rejected_version_makes_room_for_the_next_one() -> None:
    stage = gated(decision=Decision.REFUSED)
    await stage.apply()
    worse = want(data="worse", evaluation=STRICT)
    stage.judge.decisions[worse.fingerprint] = Decision.REFUSED
    stage.wants = [worse]
    assert (await stage.apply()).code is Exit.GATE
    there = {model.model_id for model in stage.provider.models()}
    assert there == {worse.model_id, OLD.model_id}
    assert stage.serving() == FORMER


async def test_what_continues_from_a_rejected_version_is_not_trained() -> None:
    child = want("child", source=f"tunedModels/{NEW.model_id}", parent="tone")
    stage = gated(child, decision=Decision.REFUSED)
    outcome = await stage.apply()
    assert said(outcome) == [("Rejected", "tone"), ("Skipped", "child")]
    assert outcome.code is Exit.GATE
    assert actions(stage.plan()) == [Action.REJECTED, Action.REJECTED]
    assert (await stage.apply()).code is Exit.GATE
    assert stage.provider.trained[child.fingerprint] == 0


async def test_judging_blocks_no_start_and_tells_how_far_it_is() -> None:
    stage = gated(*(want(f"model-{number}") for number in range(3)))
    stage.judge.takes_s = 1000.0
    assert (await stage.apply(parallelism=1)).code is Exit.DONE
    told = [e.done for e in stage.events if isinstance(e, Evaluating)]
    assert told == list(range(0, 101, 10))
    kinds = [type(e).__name__ for e in stage.events]
    assert kinds.index("Judged") > max(i for i, e in enumerate(stage.events) if "create" in str(e))


async def test_an_interrupt_ends_the_evaluation_and_the_next_apply_goes_on() -> None:
    stage = gated()

    def stop(done: int) -> None:
        if done == 4:
            stage.stop.request()

    stage.judge.during = stop
    outcome = await stage.apply()
    assert outcome.code is Exit.INTERRUPTED
    assert said(outcome) == [("Skipped", "tone")]
    assert "what was answered is kept" in words(outcome.events[0])
    assert stage.serving() == FORMER
    assert actions(stage.plan()) == [Action.PROMOTE]


async def test_the_end_of_the_time_ends_the_evaluation_too() -> None:
    stage = gated()
    stage.judge.takes_s = 1000.0
    outcome = await stage.apply(timeout_s=60.0)
    assert said(outcome) == [("StillRunning", "tone")]
    assert outcome.code is Exit.RUNNING
    assert actions(stage.plan()) == [Action.PROMOTE]
    assert (await stage.apply()).code is Exit.DONE


async def test_an_evaluation_that_gets_no_answers_fails_and_marks_nothing() -> None:
    stage = gated()

    def break_off(_done: int) -> None:
        raise UnavailableError("no route to host")

    stage.judge.during = break_off
    outcome = await stage.apply()
    assert outcome.code is Exit.ERROR
    assert stage.serving() == FORMER
    assert stage.provider.edits == []


async def test_a_gate_that_changed_since_the_plan_is_refused_before_anything_is_trained() -> None:
    stage = gated()
    plan = stage.plan()
    stage.wants = [want(data="new", evaluation=evaluation(at_least=0.1))]
    outcome = await stage.apply(plan)
    assert said(outcome) == [("Refused", "tone")]
    assert "its gate changed since the plan: from exactMatch >= 0.85" in words(outcome.events[0])
    assert stage.provider.requests == []


async def test_examples_that_changed_while_they_were_to_be_asked_are_refused() -> None:
    stage = gated()

    def changed(_done: int) -> None:
        raise RefusedError("data/tone.eval.jsonl is not what it was", cure="Run it again.")

    stage.judge.during = changed
    outcome = await stage.apply()
    assert outcome.code is Exit.REFUSED
    assert stage.serving() == FORMER


async def test_whoever_comes_to_serve_while_a_version_is_judged_stops_its_promotion() -> None:
    stage = gated()
    third = live(want(data="third"), promoted=7)

    def promote_another(_done: int) -> None:
        stage.provider.hold(third)

    stage.judge.during = promote_another
    outcome = await stage.apply()
    (refused,) = [event for event in outcome.events if event.name == "tone"]
    assert "would compare it with" in words(refused)
    assert stage.serving() == third


async def test_two_runs_at_once_reach_one_decision() -> None:
    stage = gated(decision=Decision.REFUSED)
    plan = stage.plan()
    await stage.apply()
    outcome = await stage.apply(plan)
    assert outcome.code is Exit.GATE
    assert stage.judge.asked[NEW.fingerprint] == 1
    assert len(stage.provider.edits) == 1


async def test_a_version_that_another_run_promoted_meanwhile_is_not_judged_again() -> None:
    stage = gated()
    plan = stage.plan()
    await stage.apply()
    assert (await stage.apply(plan)).code is Exit.DONE
    assert stage.judge.asked[NEW.fingerprint] == 1


async def test_the_journal_and_the_events_hold_numbers_only() -> None:
    stage = gated(decision=Decision.REFUSED)
    await stage.apply()
    (judged,) = [event for event in stage.events if isinstance(event, Judged)]
    assert (judged.decision, judged.score) == (Decision.REFUSED, "exactMatch:0.61")
    (rejected,) = [event for event in stage.events if isinstance(event, Rejected)]
    assert rejected.words == judged.words


async def test_a_version_that_lost_its_readiness_is_not_judged() -> None:
    stage = gated()
    stage.provider.hold(live(NEW))
    plan = stage.plan()
    stage.provider.hold(live(NEW, state=ModelState.FAILED))
    assert (await stage.apply(plan)).code is Exit.REFUSED
    assert stage.judge.asked[NEW.fingerprint] == 0


async def test_a_rejected_version_does_not_push_out_what_a_rollback_needs() -> None:
    stage = gated(decision=Decision.REFUSED)
    rollback = live(want(data="older"), promoted=-5)
    stage.provider.hold(rollback)
    stage.wants = [want(data="new", evaluation=STRICT, lifecycle=Lifecycle(keep=1))]
    await stage.apply()
    there = {model.model_id for model in stage.provider.models()}
    assert there == {NEW.model_id, OLD.model_id, rollback.model_id}
    stage.wants = [want(data="new", evaluation=STRICT, lifecycle=Lifecycle(keep=0))]
    assert (await stage.apply()).code is Exit.GATE
    there = {model.model_id for model in stage.provider.models()}
    assert there == {NEW.model_id, OLD.model_id}


async def test_a_rejected_version_of_another_plan_is_known_by_its_stamp_alone() -> None:
    stage = gated()
    stage.provider.hold(ruled(live(NEW), NEW, Decision.REFUSED, rival=FORMER))
    assert (await stage.apply()).code is Exit.GATE
    assert stage.provider.requests == []
