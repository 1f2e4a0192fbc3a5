"""Staleness of a saved plan: every case of the table, and laws."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import NOON, desired, live, plan_for, unowned_model, with_dataset
from tests.support.planner_worlds import Service, id_of, worlds
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.ownership import Ownership
from tunedmodels.plan.plan import Action, Change, Plan
from tunedmodels.plan.staleness import StalenessReport, check_staleness
from tunedmodels.schema.tuned_model import Lifecycle

QUEUED, TRAINING, READY, FAILED, CANCELLED = ModelState
KEEP_NONE = Lifecycle(keep=0)


def declared(
    state: ModelState = READY, promoted: int | None = None, **values: Any
) -> ObservedModel:
    """Return the declared version."""
    return live(desired(), state=state, promoted=promoted, **values)


def other(data: str = "old", promoted: int | None = None, **values: Any) -> ObservedModel:
    """Return a version that was trained on other examples."""
    return live(desired(data=data), promoted=promoted, **values)


def report(
    saved: Plan, models: Iterable[Desired], observed: Iterable[ObservedModel], **values: Any
) -> StalenessReport:
    """Plan again, and compare the saved plan with the new one."""
    models, observed = list(models), list(observed)
    by_name = {model.name: model for model in models}
    return check_staleness(
        saved, plan_for(models, observed, **values), by_name, observed, Ownership("demo")
    )


def actions(found: StalenessReport) -> list[str]:
    return [f"{change.action}" for change in found.valid]


OLD = other(promoted=1)
# fmt: off
VALID = {  # the models when the plan was made, the models now, and the remaining actions
    "create: unchanged":                  ([], [], ["create"]),
    "create: another process started it": ([], [declared(QUEUED)], ["wait"]),
    "create: it is ready":                ([], [declared()], ["promote"]),
    "create: it serves":                  ([], [declared(promoted=1)], []),
    "create: it serves, edited":          ([], [declared(promoted=1, description="x")], ["update"]),
    "replace: unchanged":                 ([OLD], [OLD], ["replace"]),
    "replace: another process started it":([OLD], [OLD, declared(TRAINING)], ["wait"]),
    "replace: it is ready":               ([OLD], [OLD, declared()], ["promote"]),
    "replace: it serves":                 ([OLD], [OLD, declared(promoted=2)], []),
    "retry: unchanged":                   ([declared(FAILED)], [declared(FAILED)], ["retry"]),
    "retry: another process retried":
        ([declared(FAILED)], [declared(TRAINING, attempt=2)], ["wait"]),
    "retry: it was deleted":              ([declared(FAILED)], [], ["retry"]),
    "retry: deleted, another serves":     ([declared(FAILED), OLD], [OLD], ["retry"]),
    "retry: it serves":
        ([declared(FAILED)], [declared(promoted=1, attempt=2)], []),
    "wait: from queued to training":      ([declared(QUEUED)], [declared(TRAINING)], ["wait"]),
    "wait: it is ready":                  ([declared(QUEUED)], [declared()], ["promote"]),
    "wait: it was promoted":              ([declared(QUEUED)], [declared(promoted=1)], []),
    "promote: it was promoted":           ([declared()], [declared(promoted=1)], []),
    "update: it was updated":
        ([declared(promoted=1, description="x")], [declared(promoted=1)], []),
    "update: from another value":
        ([declared(promoted=1, description="x")],
         [declared(promoted=1, description="y")], ["update"]),
    "cancel: the queued job started":
        ([declared(promoted=1), other(state=QUEUED)],
         [declared(promoted=1), other(state=TRAINING)], ["cancel"]),
    "cancel: the job failed by itself":
        ([declared(promoted=1), other(state=TRAINING)],
         [declared(promoted=1), other(state=FAILED)], ["delete"]),
    "cancel: it is gone":
        ([declared(promoted=1), other(state=TRAINING)], [declared(promoted=1)], []),
    "delete: it is gone":
        ([declared(promoted=1), other(state=FAILED)], [declared(promoted=1)], []),
    "conflict: unchanged": ([unowned_model(desired().model_id)],) * 2 + (["conflict"],),
}
STALE = {
    "create: it failed": ([], [declared(FAILED)], "now to retry: attempt 1 of 2 failed"),
    "create: its id was taken": ([], [unowned_model(desired().model_id)], "now to conflict"),
    "create: another version appeared": ([], [OLD], "now to replace"),
    "create: it is ready, and another serves": ([], [declared(), OLD], "serves now, but did not"),
    "replace: another one serves": ([OLD], [OLD, other("newer", promoted=2)], "instead of tone-"),
    "replace: the old one is gone": ([OLD], [], "now to create"),
    "replace: it failed": ([OLD], [OLD, declared(FAILED)], "now to retry"),
    "retry: it failed again": ([declared(FAILED)], [declared(FAILED, attempt=2)], "now to failed"),
    "wait: the job is gone": ([declared(TRAINING)], [], "planned to wait, now to create"),
    "wait: the job was cancelled": ([declared(TRAINING)], [declared(CANCELLED)], "was cancelled"),
    "promote: it is gone": ([declared()], [], "planned to promote, now to create"),
    "promote: its stamp was deleted":
        ([declared()], [replace(declared(), stamp=None)], "to conflict"),
    "update: another was promoted":
        ([declared(promoted=1, description="x")],
         [declared(promoted=1, description="x"), other(promoted=2)], "now to promote"),
    "cancel: it is ready":
        ([declared(promoted=1), other(state=TRAINING)], [declared(promoted=1), other()],
         "planned to cancel, and now stays"),
    "delete: it is trained again":
        ([declared(promoted=1), other(state=FAILED)],
         [declared(promoted=1), other(state=TRAINING)], "was failed and is now training"),
    "conflict: it can be done now":
        ([unowned_model(desired().model_id)], [], "is now planned to create"),
    "nothing: something to do now":
        ([declared(promoted=1)], [declared(promoted=1, description="x")], "planned to update"),
}
# fmt: on


@pytest.mark.parametrize(("before", "now", "remaining"), VALID.values(), ids=VALID)
def test_a_change_with_the_same_outcome_is_valid(
    before: list[ObservedModel], now: list[ObservedModel], remaining: list[str]
) -> None:
    found = report(plan_for([desired()], before), [desired()], now)
    assert found.stale == {}
    assert actions(found) == remaining


@pytest.mark.parametrize(("before", "now", "message"), STALE.values(), ids=STALE)
def test_a_change_with_another_outcome_is_stale_with_a_reason(
    before: list[ObservedModel], now: list[ObservedModel], message: str
) -> None:
    found = report(plan_for([desired()], before), [desired()], now)
    assert message in "; ".join(found.stale["tone"])
    assert found.valid == ()


# fmt: off
EDITS = [  # how the declaration changed, and the message
    ({"data": "new"}, "the dataset data/tone.jsonl changed (24 examples, but different ones)"),
    ({"data": "new", "examples": 28}, "the dataset data/tone.jsonl changed (24 -> 28 examples)"),
    ({"temperature": 0.4}, "temperature changed from unset to 0.4"),
    ({"preamble": "Be kind."}, "preamble changed from unset to 'Be kind.'"),
    ({"lifecycle": Lifecycle(protect=True)}, "protect changed from False to True"),
    ({"provider": "other"}, "provider changed from 'embedded' to 'other'"),
    ({"labels": {"team": "a"}}, "labels changed from unset to {'team': 'a'}"),
    ({"service_account": "tuner@p"}, "serviceAccount changed from unset to 'tuner@p'"),
]
# fmt: on


@pytest.mark.parametrize(("edit", "message"), EDITS)
def test_an_edited_manifest_makes_a_plan_stale_with_the_changed_field(
    edit: dict[str, Any], message: str
) -> None:
    found = report(plan_for([desired()]), [desired(**edit)], [])
    assert found.stale == {"tone": (message,)}


@pytest.mark.parametrize("edit", [{"labels": {"team": "a"}}, {"service_account": "tuner@p"}])
def test_a_value_that_is_no_longer_declared_makes_a_plan_stale(edit: dict[str, Any]) -> None:
    (message,) = report(plan_for([desired(**edit)]), [desired()], []).stale["tone"]
    assert message.endswith(" to unset")


def test_edits_that_do_not_change_the_outcome_do_not_make_a_plan_stale() -> None:
    moved = with_dataset(desired(), declared_path="data/moved.jsonl")
    edited = replace(moved, lifecycle=Lifecycle(timeout="9h", retry=5), location="x.yaml:9")
    assert report(plan_for([desired()]), [edited], []).stale == {}


def test_a_deleted_manifest_has_one_message() -> None:
    found = report(plan_for([desired(), desired("b")]), [desired("b")], [])
    assert found.stale == {"tone": ("it is no longer declared",)}


def test_a_reverted_manifest_is_stale_and_not_done() -> None:
    saved = plan_for([desired()], [OLD])
    found = report(saved, [desired(data="old")], [OLD])
    assert "dataset" in found.stale["tone"][0]


def test_the_retired_versions_must_be_the_planned_ones() -> None:
    model = desired(lifecycle=KEEP_NONE)
    saved = plan_for([model], [OLD])
    assert [version.model_id for version in saved.changes[0].retires] == [OLD.model_id]
    kept = report(saved, [desired()], [OLD])
    assert kept.stale == {"tone": (f"{OLD.model_id} was planned to be deleted, and now stays",)}
    deleted = report(plan_for([desired()], [OLD]), [model], [OLD])
    assert deleted.stale == {"tone": (f"{OLD.model_id} would now be deleted as well",)}


def test_an_apply_that_stopped_before_the_retirement_can_continue() -> None:
    model = desired(lifecycle=KEEP_NONE)
    saved = plan_for([model], [OLD])
    found = report(saved, [model], [OLD, live(model, promoted=5)])
    assert (found.stale, actions(found)) == ({}, ["delete"])


def test_a_retry_of_a_deleted_version_keeps_its_number_of_attempts() -> None:
    (retry,) = report(plan_for([desired()], [declared(FAILED)]), [desired()], []).valid
    assert retry.before
    assert retry.before.attempt == 1


def test_a_stale_name_stops_itself_and_its_children_only() -> None:
    parent = desired("zebra")
    child = desired("ant", parent="zebra", source=f"tunedModels/{parent.model_id}")
    models = [parent, child, desired("bee")]
    saved = plan_for(models)
    found = report(saved, models, [unowned_model(parent.model_id)])
    assert set(found.stale) == {"zebra", "ant"}
    assert [change.name for change in found.valid] == ["bee"]
    foreign = report(saved, models, [live(replace(parent, project="x"), state=QUEUED)])
    assert [change.name for change in foreign.valid] == ["bee"]


def test_a_new_change_of_another_name_makes_that_name_stale() -> None:
    observed = [live(desired("bee"), promoted=1)]
    found = report(plan_for([desired(), desired("bee")], observed), [desired()], observed)
    assert found.stale["bee"][0].startswith("it is now also planned to delete bee-")
    assert [change.name for change in found.valid] == ["tone"]


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_a_plan_is_valid_as_long_as_nothing_changes(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    saved = plan_for(*world)
    found = report(saved, *world)
    assert (found.stale, found.valid) == ({}, saved.changes)


class KilledService(Service):
    """An apply that is killed after some changes."""

    remaining: int = 0

    def execute(self, change: Change) -> None:
        if self.remaining:
            self.remaining -= 1
            super().execute(change)


@settings(max_examples=100, deadline=None)
@given(worlds(), st.integers(0, 6), st.lists(st.sampled_from([READY, TRAINING]), max_size=5))
def test_an_apply_that_was_killed_can_continue_with_the_same_plan(
    world: tuple[list[Desired], list[ObservedModel]], remaining: int, outcomes: list[ModelState]
) -> None:
    models, observed = world
    saved = plan_for(models, observed)
    service = KilledService({id_of(model): model for model in observed}, list(outcomes))
    service.remaining = remaining
    service.apply(saved)
    found = report(saved, models, service.models.values())
    assert found.stale == {}
    assert {change.key for change in found.valid if change.action.is_pending} <= {
        key for change in saved.changes for key in [change.key, *_retiring(change)]
    }


@settings(max_examples=60, deadline=None)
@given(worlds(), worlds())
def test_staleness_agrees_with_the_digest(
    before: tuple[list[Desired], list[ObservedModel]],
    now: tuple[list[Desired], list[ObservedModel]],
) -> None:
    saved, fresh = plan_for(*before), plan_for(*now)
    found = report(saved, *now)
    if found.stale == {}:
        trained = {c.key for c in found.valid if c.action.trains}
        assert trained <= {c.key for c in saved.changes if c.action.trains}
        removed = {c.key for c in found.valid if c.action in (Action.CANCEL, Action.DELETE)}
        assert removed <= {key for c in saved.changes for key in [c.key, *_retiring(c)]}
    if saved.digest == fresh.digest and not saved.blocked:
        assert found.stale == {}


def _retiring(change: Change) -> list[tuple[str, str, str]]:
    return [(change.name, version.provider, version.model_id) for version in change.retires]


def test_another_promotion_time_does_not_make_a_plan_stale() -> None:
    assert OLD.stamp
    later = replace(OLD, stamp=OLD.stamp.promoted_at(NOON + timedelta(days=3)))
    assert report(plan_for([desired()], [OLD]), [desired()], [later]).stale == {}


def test_a_plan_that_removes_a_version_does_not_create_it_again() -> None:
    saved = plan_for([], [live(state=ModelState.TRAINING)])
    found = report(saved, [desired()], [])
    assert "it is now also planned to create" in found.stale["tone"][0]
