"""The rows of the planner that gates and grace add, and what they do to a saved plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import pytest

from tests.plan.test_staleness import reviewed
from tests.support.builders import NOON, desired, evaluation, live, planned, ruled
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
from tunedmodels.plan.gate import gate_of, terms_of
from tunedmodels.plan.plan import Action, Plan
from tunedmodels.schema.fields import seconds
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import Decision

STRICT = evaluation(at_least=0.85, not_worse_than_serving_by=0.02)
GATED = desired(evaluation=STRICT)
FORMER = live(desired(data="old"), promoted=1)
REFUSED = ruled(live(), GATED, Decision.REFUSED, rival=FORMER)
WEEK = Lifecycle(keep=0, grace="7d")


def actions(plan: Plan) -> list[Action]:
    return [change.action for change in plan.changes]


@pytest.mark.parametrize("state", ModelState)
def test_whatever_leads_to_a_promotion_carries_the_gate(state: ModelState) -> None:
    (change,) = planned([GATED], [FORMER, live(state=state)]).changes
    assert change.gate
    assert change.gate.rival
    assert change.gate.rival.model_id == FORMER.model_id
    assert terms_of(change.gate) == [
        "exactMatch >= 0.85 on data/tone.eval.jsonl (100)",
        f"not more than 0.02 below {FORMER.model_id}",
    ]


def test_an_evaluation_without_a_threshold_is_no_gate() -> None:
    (change,) = planned([desired(evaluation=evaluation())], [FORMER, live()]).changes
    assert (change.action, change.gate) == (Action.PROMOTE, None)


def test_a_decision_counts_under_its_gate_and_beside_its_rival_alone() -> None:
    assert actions(planned([GATED], [FORMER, REFUSED])) == [Action.REJECTED]
    other = live(desired(data="other"), promoted=2)
    assert actions(planned([GATED], [FORMER, other, REFUSED])) == [Action.PROMOTE]
    looser = desired(evaluation=evaluation(at_least=0.8, not_worse_than_serving_by=0.02))
    assert actions(planned([looser], [FORMER, REFUSED])) == [Action.PROMOTE]
    assert actions(planned([desired()], [FORMER, REFUSED])) == [Action.PROMOTE]


def test_a_version_that_passed_and_was_not_promoted_yet_is_judged_again() -> None:
    passed = ruled(live(), GATED, Decision.PASSED, rival=FORMER)
    assert actions(planned([GATED], [FORMER, passed])) == [Action.PROMOTE]


def test_what_serves_is_asked_no_gate_however_strict_it_became() -> None:
    assert planned([desired(evaluation=evaluation(at_least=1))], [live(promoted=1)]).changes == ()


def test_a_rejected_version_is_nothing_to_do_and_blocks_nobody() -> None:
    plan = planned([GATED, desired("other")], [FORMER, REFUSED])
    assert actions(plan) == [Action.CREATE, Action.REJECTED]
    assert (len(plan.pending), plan.blocked, len(plan.rejected)) == (1, (), 1)


def test_a_name_that_goes_takes_its_rejected_versions_along() -> None:
    gone = {
        change.before and change.before.model_id
        for change in planned([], [FORMER, REFUSED]).changes
    }
    assert gone == {FORMER.model_id, REFUSED.model_id}


@pytest.mark.parametrize("minutes", [0, 7 * 24 * 60 + 1, 7 * 24 * 60 + 2])
def test_grace_counts_from_the_promotion_of_the_successor(minutes: int) -> None:
    there = [live(promoted=2), FORMER]
    plan = planned([desired(lifecycle=WEEK)], there, now=NOON + timedelta(minutes=minutes))
    is_over = minutes == 7 * 24 * 60 + 2
    assert actions(plan) == [Action.DELETE] * is_over
    assert [each.until for each in plan.leaving] == ["2026-11-29T12:02:00.000000Z"] * (not is_over)
    assert plan.moment


def test_without_a_moment_nobody_s_grace_is_over_and_without_grace_no_moment_matters() -> None:
    there = [live(promoted=2), FORMER]
    assert planned([desired(lifecycle=WEEK)], there).changes == ()
    plan = planned([desired(lifecycle=Lifecycle(keep=0))], there, now=NOON)
    assert (actions(plan), plan.moment) == ([Action.DELETE], "")


def test_what_serves_until_its_successor_does_retires_after_its_grace() -> None:
    plan = planned([desired(lifecycle=WEEK)], [FORMER, live()], now=NOON + timedelta(days=400))
    assert plan.changes[0].retires == ()
    assert [(each.model_id, each.until) for each in plan.leaving] == [(FORMER.model_id, "")]


def test_a_version_that_came_back_counts_from_its_last_service() -> None:
    back = live(desired(data="old"), promoted=50)
    there = [back, live(promoted=60), live(desired(data="x"), promoted=40)]
    plan = planned([desired(lifecycle=WEEK)], there, now=NOON + timedelta(days=7, minutes=55))
    assert [change.before and change.before.model_id for change in plan.changes] == [
        live(desired(data="x")).model_id
    ]


@pytest.mark.parametrize(
    ("text", "total"), [("7d", 604800), ("1d12h", 129600), ("1d1h1m1s", 90061), ("45s", 45)]
)
def test_durations_know_days(text: str, total: int) -> None:
    assert seconds(text) == total


@pytest.mark.parametrize("text", ["7", "d", "1h1d", "0d", "7 d", "-1d", "1.5d", "999999d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds(text)


# --- saved plans ----------------------------------------------------------------------------------


def moved(saved: Plan, want: object, *there: ObservedModel) -> str:
    found = reviewed(saved, [want], list(there))  # type: ignore[list-item]  # a declared model
    return "; ".join(found.moved.get("tone", ()))


def test_a_gate_that_decides_otherwise_makes_a_plan_stale_and_says_how() -> None:
    saved = planned([GATED], [FORMER])
    assert moved(saved, GATED, FORMER) == ""
    looser = desired(evaluation=evaluation(at_least=0.5, not_worse_than_serving_by=0.02))
    assert "from exactMatch >= 0.85" in moved(saved, looser, FORMER)
    assert "to exactMatch >= 0.5" in moved(saved, looser, FORMER)
    others = desired(
        evaluation=evaluation(data="other", at_least=0.85, not_worse_than_serving_by=0.02)
    )
    assert "holds other examples" in moved(saved, others, FORMER)
    assert "planned with a gate" in moved(saved, desired(), FORMER)
    assert "planned without a gate" in moved(planned([desired()], [FORMER]), GATED, FORMER)


def test_another_rival_makes_a_plan_stale() -> None:
    saved = planned([GATED], [FORMER, live()])
    other = live(desired(data="other"), promoted=5)
    assert f"would compare it with {other.model_id}" in moved(saved, GATED, FORMER, live(), other)


def test_that_the_gate_has_refused_it_meanwhile_is_what_was_approved() -> None:
    for there in ([FORMER], [FORMER, live()]):
        saved = planned([GATED], there)
        found = reviewed(saved, [GATED], [FORMER, REFUSED])
        assert found.moved == {}
        assert [change.action for change in found.holds] == [Action.REJECTED]


def test_a_rejected_version_that_may_serve_now_is_for_a_new_plan() -> None:
    saved = planned([GATED], [FORMER, REFUSED])
    looser = desired(evaluation=evaluation(at_least=0.5))
    assert "now it is planned to promote" in moved(saved, looser, FORMER, REFUSED)


def test_where_a_held_out_file_lies_makes_nothing_stale() -> None:
    elsewhere = desired(evaluation=replace(STRICT, written="data/moved.jsonl"))
    assert moved(planned([GATED], [FORMER]), elsewhere, FORMER) == ""
    assert gate_of(elsewhere, FORMER) != gate_of(GATED, FORMER)


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
def test_of_two_endings_the_one_that_matters_more_gives_the_exit_code(
    worse: tuple[Ending, Exit], better: tuple[Ending, Exit]
) -> None:
    assert Outcome((better[0], worse[0])).code == worse[1]
    assert Outcome((worse[0], better[0]), interrupted=True).code is Exit.INTERRUPTED
