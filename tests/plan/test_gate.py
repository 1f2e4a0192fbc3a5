"""Gates and grace periods in a plan, their effect on a saved plan, and exit codes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import pytest

from tests.plan.test_staleness import report
from tests.support.builders import NOON, desired, evaluation, live, plan_for, with_decision
from tunedmodels.desired import Desired
from tunedmodels.errors import Exit
from tunedmodels.events import (
    Ending,
    Failed,
    Outcome,
    Refused,
    Rejected,
    Skipped,
    StillRunning,
    Succeeded,
)
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.gate import describe_conditions, gate_for
from tunedmodels.plan.plan import Action, Plan
from tunedmodels.schema.fields import parse_duration
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import Decision

STRICT = evaluation(at_least=0.85, not_worse_than_serving_by=0.02)
GATED = desired(evaluation=STRICT)
FORMER = live(desired(data="old"), promoted=1)
REFUSED = with_decision(live(), GATED, Decision.REFUSED, baseline=FORMER)
WEEK = Lifecycle(keep=0, grace="7d")


def actions(plan: Plan) -> list[Action]:
    return [change.action for change in plan.changes]


@pytest.mark.parametrize("state", ModelState)
def test_every_change_that_ends_with_a_promotion_has_the_gate(state: ModelState) -> None:
    (change,) = plan_for([GATED], [FORMER, live(state=state)]).changes
    assert change.gate
    assert change.gate.baseline
    assert change.gate.baseline.model_id == FORMER.model_id
    assert describe_conditions(change.gate) == [
        "exactMatch >= 0.85 on data/tone.eval.jsonl (100)",
        f"not more than 0.02 below {FORMER.model_id}",
    ]


def test_an_evaluation_without_a_threshold_is_not_a_gate() -> None:
    (change,) = plan_for([desired(evaluation=evaluation())], [FORMER, live()]).changes
    assert (change.action, change.gate) == (Action.PROMOTE, None)


def test_a_decision_is_valid_only_for_its_gate_and_its_baseline() -> None:
    assert actions(plan_for([GATED], [FORMER, REFUSED])) == [Action.REJECTED]
    other = live(desired(data="other"), promoted=2)
    assert actions(plan_for([GATED], [FORMER, other, REFUSED])) == [Action.PROMOTE]
    looser = desired(evaluation=evaluation(at_least=0.8, not_worse_than_serving_by=0.02))
    assert actions(plan_for([looser], [FORMER, REFUSED])) == [Action.PROMOTE]
    assert actions(plan_for([desired()], [FORMER, REFUSED])) == [Action.PROMOTE]


def test_a_version_that_passed_and_was_not_promoted_is_evaluated_again() -> None:
    passed = with_decision(live(), GATED, Decision.PASSED, baseline=FORMER)
    assert actions(plan_for([GATED], [FORMER, passed])) == [Action.PROMOTE]


def test_the_serving_version_needs_no_gate_even_if_the_gate_became_stricter() -> None:
    assert plan_for([desired(evaluation=evaluation(at_least=1))], [live(promoted=1)]).changes == ()


def test_a_rejected_version_needs_no_apply_and_blocks_no_other_name() -> None:
    plan = plan_for([GATED, desired("other")], [FORMER, REFUSED])
    assert actions(plan) == [Action.CREATE, Action.REJECTED]
    assert (len(plan.pending), plan.blocked, len(plan.rejected)) == (1, (), 1)


def test_removing_a_name_deletes_its_rejected_versions_as_well() -> None:
    deleted = {
        change.before and change.before.model_id
        for change in plan_for([], [FORMER, REFUSED]).changes
    }
    assert deleted == {FORMER.model_id, REFUSED.model_id}


@pytest.mark.parametrize("minutes", [0, 7 * 24 * 60 + 1, 7 * 24 * 60 + 2])
def test_grace_counts_from_the_promotion_of_the_successor(minutes: int) -> None:
    models = [live(promoted=2), FORMER]
    plan = plan_for([desired(lifecycle=WEEK)], models, now=NOON + timedelta(minutes=minutes))
    is_over = minutes == 7 * 24 * 60 + 2
    assert actions(plan) == [Action.DELETE] * is_over
    assert [each.until for each in plan.leaving] == ["2026-11-29T12:02:00.000000Z"] * (not is_over)
    assert plan.moment


def test_without_a_time_no_grace_period_is_over_and_without_grace_no_time_matters() -> None:
    models = [live(promoted=2), FORMER]
    assert plan_for([desired(lifecycle=WEEK)], models).changes == ()
    plan = plan_for([desired(lifecycle=Lifecycle(keep=0))], models, now=NOON)
    assert (actions(plan), plan.moment) == ([Action.DELETE], "")


def test_the_serving_version_retires_after_the_grace_period_that_follows_its_replacement() -> None:
    plan = plan_for([desired(lifecycle=WEEK)], [FORMER, live()], now=NOON + timedelta(days=400))
    assert plan.changes[0].retires == ()
    assert [(each.model_id, each.until) for each in plan.leaving] == [(FORMER.model_id, "")]


def test_grace_of_a_version_that_served_again_counts_from_its_last_replacement() -> None:
    back = live(desired(data="old"), promoted=50)
    models = [back, live(promoted=60), live(desired(data="x"), promoted=40)]
    plan = plan_for([desired(lifecycle=WEEK)], models, now=NOON + timedelta(days=7, minutes=55))
    assert [change.before and change.before.model_id for change in plan.changes] == [
        live(desired(data="x")).model_id
    ]


@pytest.mark.parametrize(
    ("text", "total"), [("7d", 604800), ("1d12h", 129600), ("1d1h1m1s", 90061), ("45s", 45)]
)
def test_durations_can_have_days(text: str, total: int) -> None:
    assert parse_duration(text) == total


@pytest.mark.parametrize("text", ["7", "d", "1h1d", "0d", "7 d", "-1d", "1.5d", "999999d"])
def test_an_invalid_duration_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid duration"):
        parse_duration(text)


# --- saved plans ----------------------------------------------------------------------------------


def stale(saved: Plan, model: Desired, *observed: ObservedModel) -> str:
    """Return why a saved plan is stale, or an empty string."""
    return "; ".join(report(saved, [model], observed).stale.get("tone", ()))


def test_another_gate_makes_a_plan_stale_with_the_difference_as_reason() -> None:
    saved = plan_for([GATED], [FORMER])
    assert stale(saved, GATED, FORMER) == ""
    looser = desired(evaluation=evaluation(at_least=0.5, not_worse_than_serving_by=0.02))
    assert "from exactMatch >= 0.85" in stale(saved, looser, FORMER)
    assert "to exactMatch >= 0.5" in stale(saved, looser, FORMER)
    others = desired(
        evaluation=evaluation(data="other", at_least=0.85, not_worse_than_serving_by=0.02)
    )
    assert "has other examples" in stale(saved, others, FORMER)
    assert "planned with a gate" in stale(saved, desired(), FORMER)
    assert "planned without a gate" in stale(plan_for([desired()], [FORMER]), GATED, FORMER)


def test_another_baseline_makes_a_plan_stale() -> None:
    saved = plan_for([GATED], [FORMER, live()])
    other = live(desired(data="other"), promoted=5)
    assert f"would compare it with {other.model_id}" in stale(saved, GATED, FORMER, live(), other)


def test_a_rejection_since_the_plan_is_an_approved_outcome() -> None:
    for models in ([FORMER], [FORMER, live()]):
        saved = plan_for([GATED], models)
        found = report(saved, [GATED], [FORMER, REFUSED])
        assert found.stale == {}
        assert [change.action for change in found.valid] == [Action.REJECTED]


def test_a_rejected_version_that_may_now_be_promoted_needs_a_new_plan() -> None:
    saved = plan_for([GATED], [FORMER, REFUSED])
    looser = desired(evaluation=evaluation(at_least=0.5))
    assert "is now planned to promote" in stale(saved, looser, FORMER, REFUSED)


def test_moving_the_held_out_file_does_not_make_a_plan_stale() -> None:
    elsewhere = desired(evaluation=replace(STRICT, declared_path="data/moved.jsonl"))
    assert stale(plan_for([GATED], [FORMER]), elsewhere, FORMER) == ""
    assert gate_for(elsewhere, FORMER) != gate_for(GATED, FORMER)


# --- exit codes -----------------------------------------------------------------------------------

ABOUT = ("tone", "tone-1", Action.CREATE)
WORST_FIRST: list[tuple[Ending, Exit]] = [
    (Failed(*ABOUT, "x"), Exit.ERROR),
    (Refused(*ABOUT, "x"), Exit.REFUSED),
    (Rejected(*ABOUT, "x"), Exit.GATE),
    (StillRunning("tone", "tone-1", "x"), Exit.RUNNING),
    (Skipped(*ABOUT, "x"), Exit.ERROR),
    (Succeeded(*ABOUT), Exit.DONE),
]


@pytest.mark.parametrize(("worse", "better"), list(combinations(WORST_FIRST, 2)))
def test_the_more_important_ending_decides_the_exit_code(
    worse: tuple[Ending, Exit], better: tuple[Ending, Exit]
) -> None:
    assert Outcome((better[0], worse[0])).code == worse[1]
    assert Outcome((worse[0], better[0]), interrupted=True).code is Exit.INTERRUPTED
