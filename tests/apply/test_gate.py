"""Gates during an apply: a version that passes serves, another one is recorded as rejected."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.apply_harness import ApplyHarness, actions, declare, message, outcomes
from tests.support.builders import evaluation, live, with_decision
from tunedmodels.errors import Exit, RefusedError, UnavailableError
from tunedmodels.events import Evaluating, Judged, Rejected
from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Action
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import Decision, parse_gate_record

STRICT = evaluation(at_least=0.85, not_worse_than_serving_by=0.02)
OLD = declare(data="old")
NEW = declare(data="new", evaluation=STRICT)
FORMER = live(OLD, promoted=0)


def gated(*others: object, decision: Decision | None = None) -> ApplyHarness:
    """Return a harness where OLD serves, with a decision of the gate of NEW."""
    harness = ApplyHarness([NEW, *others])  # type: ignore[list-item]  # declared models
    harness.provider.add(FORMER)
    if decision:
        harness.gate_check.decisions[NEW.fingerprint] = decision
    return harness


async def test_a_version_that_passes_is_promoted_with_score_and_decision_in_one_request() -> None:
    harness = gated()
    outcome = await harness.apply(commit="9f00aa1")
    assert outcomes(outcome) == [("Succeeded", "tone")]
    assert outcome.code is Exit.DONE
    assert harness.sent() == [f"create {NEW.model_id}", f"promote {NEW.model_id}"]
    (edit,) = harness.provider.edits
    assert edit.stamp.promoted
    assert edit.stamp.score == "exactMatch:0.912"
    record = parse_gate_record(edit.stamp.gate_record)
    assert record
    assert (record.decision, record.gate_digest) == (Decision.PASSED, STRICT.gate_digest)
    assert record.baseline_prefix == OLD.fingerprint[:8]
    assert edit.stamp.promoted_commit == "9f00aa1"
    assert harness.gate_check.baselines == [OLD.model_id]
    assert harness.plan().changes == ()


@pytest.mark.parametrize("decision", [Decision.REFUSED, Decision.INCONCLUSIVE])
async def test_a_version_that_does_not_pass_is_recorded_and_never_trained_again(
    decision: Decision,
) -> None:
    harness = gated(decision=decision)
    outcome = await harness.apply()
    assert outcomes(outcome) == [("Rejected", "tone")]
    assert outcome.code is Exit.GATE
    assert harness.sent() == [f"create {NEW.model_id}", f"judge {NEW.model_id}"]
    assert harness.serving() == FORMER
    (rejected,) = harness.plan().changes
    assert rejected.action is Action.REJECTED
    assert f"tunedmodels promote tone {NEW.model_id}" in rejected.cure
    again = await harness.apply()
    assert again.code is Exit.GATE
    assert message(again.events[0]) == rejected.reason
    assert harness.gate_check.calls[NEW.fingerprint] == 1
    assert harness.provider.trained[NEW.fingerprint] == 1
    assert len(harness.provider.edits) == 1


async def test_an_inconclusive_result_promotes_if_the_gate_allows_it() -> None:
    rules = replace(STRICT, spec=STRICT.spec.model_copy(update={"on_inconclusive": "promote"}))
    harness = gated(decision=Decision.INCONCLUSIVE)
    harness.desired = [declare(data="new", evaluation=rules)]
    assert (await harness.apply()).code is Exit.DONE
    serving = harness.serving()
    assert serving
    assert serving.stamp
    assert serving.stamp.gate_record.startswith("inconclusive:")
    assert harness.plan().changes == ()


async def test_an_edited_gate_evaluates_the_version_again_without_training() -> None:
    harness = gated(decision=Decision.REFUSED)
    await harness.apply()
    harness.desired = [declare(data="new", evaluation=evaluation(at_least=0.6))]
    harness.gate_check.decisions.clear()
    assert actions(harness.plan()) == [Action.PROMOTE]
    assert (await harness.apply()).code is Exit.DONE
    assert harness.provider.trained[NEW.fingerprint] == 1
    assert harness.gate_check.baselines == [OLD.model_id, ""]


async def test_another_serving_version_is_another_baseline() -> None:
    harness = gated(decision=Decision.REFUSED)
    await harness.apply()
    other = declare(data="other")
    harness.provider.add(live(other, promoted=5))
    assert harness.plan().changes[0].action is Action.PROMOTE
    await harness.apply()
    assert harness.gate_check.baselines == [OLD.model_id, other.model_id]


async def test_the_first_version_has_no_baseline() -> None:
    harness = ApplyHarness([NEW])
    assert (await harness.apply()).code is Exit.DONE
    assert harness.gate_check.baselines == [""]


async def test_a_rollback_needs_no_gate() -> None:
    harness = gated()
    await harness.apply()
    harness.desired = [declare(data="old", evaluation=evaluation(at_least=1))]
    harness.gate_check.decisions[OLD.fingerprint] = Decision.REFUSED
    assert (await harness.apply()).code is Exit.DONE
    serving = harness.serving()
    assert serving
    assert serving.model_id == OLD.model_id
    assert harness.gate_check.calls[OLD.fingerprint] == 0


async def test_a_former_serving_version_that_failed_is_trained_and_evaluated_again() -> None:
    """On Vertex AI a version fails when its endpoint is deleted."""
    harness = gated()
    harness.provider.add(live(NEW, state=ModelState.FAILED, promoted=1))
    assert outcomes(await harness.apply()) == [("Succeeded", "tone")]
    assert harness.gate_check.calls[NEW.fingerprint] == 1
    serving = harness.serving()
    assert serving
    assert serving.model_id == NEW.model_id


async def test_a_manually_promoted_version_serves_although_its_gate_refused_it() -> None:
    harness = gated(decision=Decision.REFUSED)
    await harness.apply()
    (refused,) = [m for m in harness.provider.models() if m.fingerprint == NEW.fingerprint]
    assert refused.stamp
    promoted = replace(
        refused, stamp=refused.stamp.promoted_at(harness.clock.now(), promoted_by="hand")
    )
    harness.provider.add(promoted)
    assert harness.plan().changes == ()


async def test_a_rejected_version_is_deleted_when_another_one_is_declared() -> None:
    harness = gated(decision=Decision.REFUSED)
    await harness.apply()
    better = declare(data="better", evaluation=STRICT, lifecycle=Lifecycle(keep=3))
    harness.desired = [better]
    outcome = await harness.apply()
    assert outcome.code is Exit.DONE
    existing = {model.model_id for model in harness.provider.models()}
    assert existing == {better.model_id, OLD.model_id}
    assert harness.plan().changes == ()


async def test_a_rejected_version_is_deleted_when_the_next_one_is_rejected() -> None:
    harness = gated(decision=Decision.REFUSED)
    await harness.apply()
    worse = declare(data="worse", evaluation=STRICT)
    harness.gate_check.decisions[worse.fingerprint] = Decision.REFUSED
    harness.desired = [worse]
    assert (await harness.apply()).code is Exit.GATE
    existing = {model.model_id for model in harness.provider.models()}
    assert existing == {worse.model_id, OLD.model_id}
    assert harness.serving() == FORMER


async def test_a_child_of_a_rejected_version_is_not_trained() -> None:
    child = declare("child", source=f"tunedModels/{NEW.model_id}", parent="tone")
    harness = gated(child, decision=Decision.REFUSED)
    outcome = await harness.apply()
    assert outcomes(outcome) == [("Rejected", "tone"), ("Skipped", "child")]
    assert outcome.code is Exit.GATE
    assert actions(harness.plan()) == [Action.REJECTED, Action.REJECTED]
    assert (await harness.apply()).code is Exit.GATE
    assert harness.provider.trained[child.fingerprint] == 0


async def test_an_evaluation_blocks_no_request_and_reports_its_progress() -> None:
    harness = gated(*(declare(f"model-{number}") for number in range(3)))
    harness.gate_check.duration_s = 1000.0
    assert (await harness.apply(parallelism=1)).code is Exit.DONE
    progress = [e.done for e in harness.events if isinstance(e, Evaluating)]
    assert progress == list(range(0, 101, 10))
    kinds = [type(e).__name__ for e in harness.events]
    assert kinds.index("Judged") > max(
        i for i, e in enumerate(harness.events) if "create" in str(e)
    )


async def test_an_interrupt_ends_the_evaluation_and_the_next_apply_continues() -> None:
    harness = gated()

    def stop(done: int) -> None:
        if done == 4:
            harness.stop.request()

    harness.gate_check.on_answer = stop
    outcome = await harness.apply()
    assert outcome.code is Exit.INTERRUPTED
    assert outcomes(outcome) == [("Skipped", "tone")]
    assert "the answers so far are kept" in message(outcome.events[0])
    assert harness.serving() == FORMER
    assert actions(harness.plan()) == [Action.PROMOTE]


async def test_the_deadline_ends_the_evaluation() -> None:
    harness = gated()
    harness.gate_check.duration_s = 1000.0
    outcome = await harness.apply(timeout_s=60.0)
    assert outcomes(outcome) == [("StillRunning", "tone")]
    assert outcome.code is Exit.RUNNING
    assert actions(harness.plan()) == [Action.PROMOTE]
    assert (await harness.apply()).code is Exit.DONE


async def test_a_failed_evaluation_fails_the_change_and_records_no_decision() -> None:
    harness = gated()

    def fail(_done: int) -> None:
        raise UnavailableError("no route to host")

    harness.gate_check.on_answer = fail
    outcome = await harness.apply()
    assert outcome.code is Exit.ERROR
    assert harness.serving() == FORMER
    assert harness.provider.edits == []


async def test_a_gate_that_changed_since_the_plan_is_refused_before_the_training() -> None:
    harness = gated()
    plan = harness.plan()
    harness.desired = [declare(data="new", evaluation=evaluation(at_least=0.1))]
    outcome = await harness.apply(plan)
    assert outcomes(outcome) == [("Refused", "tone")]
    assert "its gate changed since the plan: from exactMatch >= 0.85" in message(outcome.events[0])
    assert harness.provider.requests == []


async def test_examples_that_changed_before_the_evaluation_are_refused() -> None:
    harness = gated()

    def refuse(_done: int) -> None:
        raise RefusedError("data/tone.eval.jsonl has changed", cure="Run it again.")

    harness.gate_check.on_answer = refuse
    outcome = await harness.apply()
    assert outcome.code is Exit.REFUSED
    assert harness.serving() == FORMER


async def test_a_version_that_is_promoted_during_the_evaluation_stops_the_promotion() -> None:
    harness = gated()
    third = live(declare(data="third"), promoted=7)

    def promote_another(_done: int) -> None:
        harness.provider.add(third)

    harness.gate_check.on_answer = promote_another
    outcome = await harness.apply()
    (refused,) = [event for event in outcome.events if event.name == "tone"]
    assert "would compare it with" in message(refused)
    assert harness.serving() == third


async def test_two_concurrent_runs_reach_one_decision() -> None:
    harness = gated(decision=Decision.REFUSED)
    plan = harness.plan()
    await harness.apply()
    outcome = await harness.apply(plan)
    assert outcome.code is Exit.GATE
    assert harness.gate_check.calls[NEW.fingerprint] == 1
    assert len(harness.provider.edits) == 1


async def test_a_version_that_another_run_promoted_is_not_evaluated_again() -> None:
    harness = gated()
    plan = harness.plan()
    await harness.apply()
    assert (await harness.apply(plan)).code is Exit.DONE
    assert harness.gate_check.calls[NEW.fingerprint] == 1


async def test_the_events_contain_numbers_only() -> None:
    harness = gated(decision=Decision.REFUSED)
    await harness.apply()
    (judged,) = [event for event in harness.events if isinstance(event, Judged)]
    assert (judged.decision, judged.score) == (Decision.REFUSED, "exactMatch:0.61")
    (rejected,) = [event for event in harness.events if isinstance(event, Rejected)]
    assert rejected.words == judged.words


async def test_a_version_that_is_no_longer_ready_is_not_evaluated() -> None:
    harness = gated()
    harness.provider.add(live(NEW))
    plan = harness.plan()
    harness.provider.add(live(NEW, state=ModelState.FAILED))
    assert (await harness.apply(plan)).code is Exit.REFUSED
    assert harness.gate_check.calls[NEW.fingerprint] == 0


async def test_a_rejected_version_does_not_count_for_keep() -> None:
    harness = gated(decision=Decision.REFUSED)
    rollback = live(declare(data="older"), promoted=-5)
    harness.provider.add(rollback)
    harness.desired = [declare(data="new", evaluation=STRICT, lifecycle=Lifecycle(keep=1))]
    await harness.apply()
    existing = {model.model_id for model in harness.provider.models()}
    assert existing == {NEW.model_id, OLD.model_id, rollback.model_id}
    harness.desired = [declare(data="new", evaluation=STRICT, lifecycle=Lifecycle(keep=0))]
    assert (await harness.apply()).code is Exit.GATE
    existing = {model.model_id for model in harness.provider.models()}
    assert existing == {NEW.model_id, OLD.model_id}


async def test_the_stamp_of_a_version_that_another_run_rejected_is_enough() -> None:
    harness = gated()
    harness.provider.add(with_decision(live(NEW), NEW, Decision.REFUSED, baseline=FORMER))
    assert (await harness.apply()).code is Exit.GATE
    assert harness.provider.requests == []
