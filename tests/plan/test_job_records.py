"""Jobs that can never be deleted: a record of one is remembered where it matters, and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.builders import desired, live, planned
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan import reasons
from tunedmodels.plan.plan import Action, Change, Plan
from tunedmodels.schema.tuned_model import Lifecycle

FAILED, CANCELLED = ModelState.FAILED, ModelState.CANCELLED
WANT = desired(lifecycle=Lifecycle(retry=1))
DROPPED = "trained on 22 of 24 examples"


def record(state: ModelState, want: Any = WANT, **others: Any) -> ObservedModel:
    return live(want, state=state, is_record=True, **others)


def only(plan: Plan) -> Change:
    (change,) = plan.changes
    return change


def test_a_failure_counts_as_an_attempt_and_the_last_one_is_told() -> None:
    again = only(planned([WANT], [record(FAILED, failure="no good")]))
    assert (again.action, again.before and again.before.attempt) == (Action.RETRY, 1)
    over = only(planned([WANT], [record(FAILED, attempt=2)]))
    assert over.action is Action.FAILED


def test_what_was_cancelled_is_trained_anew_with_a_warning() -> None:
    change = only(planned([WANT], [record(CANCELLED, attempt=9)]))
    assert change.action is Action.CREATE
    assert change.warnings == (reasons.WAS_CANCELLED,)


@pytest.mark.parametrize("state", [FAILED, CANCELLED])
def test_a_record_of_another_version_is_past(state: ModelState) -> None:
    plan = planned([WANT], [live(WANT, promoted=1), record(state, desired(data="old"))])
    assert plan.changes == ()
    assert (plan.unchanged, plan.live) == (1, 1)


@pytest.mark.parametrize("state", [FAILED, CANCELLED])
def test_a_record_is_never_deleted_nor_in_anybodys_way(state: ModelState) -> None:
    gone = record(state, desired("gone", lifecycle=Lifecycle(protect=True, on_removal="retain")))
    plan = planned([WANT], [live(WANT, promoted=1), gone])
    assert (plan.changes, plan.refusals, plan.retained, plan.live) == ((), (), 0, 1)
    assert planned([], [gone], destroying=True).changes == ()


def test_somebody_elses_record_under_our_id_is_no_conflict() -> None:
    theirs = replace(record(FAILED), stamp=None)
    assert only(planned([WANT], [theirs])).action is Action.CREATE


def test_a_version_that_is_objected_to_does_not_begin_to_serve() -> None:
    former = live(desired(data="old"), promoted=1)
    change = only(planned([WANT], [former, live(WANT, objection=DROPPED, remark=DROPPED)]))
    assert change.action is Action.FAILED
    assert DROPPED in change.reason
    assert "onDroppedExamples: warn" in change.cure


def test_one_that_may_serve_all_the_same_is_promoted_with_a_warning() -> None:
    change = only(planned([WANT], [live(WANT, remark=DROPPED)]))
    assert (change.action, change.warnings) == (Action.PROMOTE, (DROPPED,))


def test_one_that_serves_already_goes_on_serving() -> None:
    assert planned([WANT], [live(WANT, promoted=1, objection=DROPPED)]).changes == ()
