"""Records of jobs, which can never be deleted: when they count, and when they are ignored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.builders import desired, live, plan_for
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan import reasons
from tunedmodels.plan.plan import Action, Change, Plan
from tunedmodels.schema.tuned_model import Lifecycle

FAILED, CANCELLED = ModelState.FAILED, ModelState.CANCELLED
DESIRED = desired(lifecycle=Lifecycle(retry=1))
DROPPED = "trained on 22 of 24 examples"


def record(state: ModelState, model: Desired = DESIRED, **values: Any) -> ObservedModel:
    return live(model, state=state, is_job_record=True, **values)


def only_change(plan: Plan) -> Change:
    (change,) = plan.changes
    return change


def test_a_failure_counts_as_an_attempt() -> None:
    first = only_change(plan_for([DESIRED], [record(FAILED, failure="no good")]))
    assert (first.action, first.before and first.before.attempt) == (Action.RETRY, 1)
    last = only_change(plan_for([DESIRED], [record(FAILED, attempt=2)]))
    assert last.action is Action.FAILED


def test_a_cancelled_job_is_trained_again_with_a_warning() -> None:
    change = only_change(plan_for([DESIRED], [record(CANCELLED, attempt=9)]))
    assert change.action is Action.CREATE
    assert change.warnings == (reasons.WAS_CANCELLED,)


@pytest.mark.parametrize("state", [FAILED, CANCELLED])
def test_a_record_of_another_version_is_ignored(state: ModelState) -> None:
    plan = plan_for([DESIRED], [live(DESIRED, promoted=1), record(state, desired(data="old"))])
    assert plan.changes == ()
    assert (plan.unchanged, plan.live) == (1, 1)


@pytest.mark.parametrize("state", [FAILED, CANCELLED])
def test_a_record_is_never_deleted_and_blocks_nothing(state: ModelState) -> None:
    removed = record(state, desired("gone", lifecycle=Lifecycle(protect=True, on_removal="retain")))
    plan = plan_for([DESIRED], [live(DESIRED, promoted=1), removed])
    assert (plan.changes, plan.refusals, plan.retained, plan.live) == ((), (), 0, 1)
    assert plan_for([], [removed], destroying=True).changes == ()


def test_a_foreign_record_under_the_declared_id_is_not_a_conflict() -> None:
    foreign = replace(record(FAILED), stamp=None)
    assert only_change(plan_for([DESIRED], [foreign])).action is Action.CREATE


def test_a_blocked_version_is_not_promoted() -> None:
    former = live(desired(data="old"), promoted=1)
    change = only_change(
        plan_for([DESIRED], [former, live(DESIRED, blocked_reason=DROPPED, warning=DROPPED)])
    )
    assert change.action is Action.FAILED
    assert DROPPED in change.reason
    assert "onDroppedExamples: warn" in change.cure


def test_a_version_with_a_warning_is_promoted_with_it() -> None:
    change = only_change(plan_for([DESIRED], [live(DESIRED, warning=DROPPED)]))
    assert (change.action, change.warnings) == (Action.PROMOTE, (DROPPED,))


def test_a_blocked_version_that_serves_already_continues_to_serve() -> None:
    assert plan_for([DESIRED], [live(DESIRED, promoted=1, blocked_reason=DROPPED)]).changes == ()
