"""What became of a saved plan: the table case by case, and its laws."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plan.test_laws import World, place, worlds
from tests.support.builders import NOON, desired, foreign, live, planned
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import Action, Change, Plan
from tunedmodels.plan.staleness import Review, review
from tunedmodels.schema.tuned_model import Lifecycle

QUEUED, TRAINING, READY, FAILED, CANCELLED = ModelState
KEEP_NONE = Lifecycle(keep=0)


def exact(state: ModelState = READY, promoted: int | None = None, **others: Any) -> ObservedModel:
    return live(desired(), state=state, promoted=promoted, **others)


def other(data: str = "old", promoted: int | None = None, **others: Any) -> ObservedModel:
    return live(desired(data=data), promoted=promoted, **others)


def reviewed(
    saved: Plan, wants: Iterable[Desired], there: Iterable[ObservedModel], **others: Any
) -> Review:
    wants, there = list(wants), list(there)
    return review(saved, planned(wants, there, **others), {w.name: w for w in wants}, there)


def said(review: Review) -> list[str]:
    return [f"{change.action}" for change in review.holds]


OLD = other(promoted=1)
# fmt: off
HOLDS = {  # what is planned, what was there and is there now, and what is left to do
    "create: just as it was":             ([], [], ["create"]),
    "create: somebody began it":          ([], [exact(QUEUED)], ["wait"]),
    "create: it is ready":                ([], [exact()], ["promote"]),
    "create: it serves":                  ([], [exact(promoted=1)], []),
    "create: it serves with other words": ([], [exact(promoted=1, description="x")], ["update"]),
    "replace: just as it was":            ([OLD], [OLD], ["replace"]),
    "replace: somebody began it":         ([OLD], [OLD, exact(TRAINING)], ["wait"]),
    "replace: it is ready":               ([OLD], [OLD, exact()], ["promote"]),
    "replace: it serves":                 ([OLD], [OLD, exact(promoted=2)], []),
    "retry: just as it was":              ([exact(FAILED)], [exact(FAILED)], ["retry"]),
    "retry: somebody retried":            ([exact(FAILED)], [exact(TRAINING, attempt=2)], ["wait"]),
    "retry: it was deleted, no more":     ([exact(FAILED)], [], ["retry"]),
    "retry: deleted, another serves":     ([exact(FAILED), OLD], [OLD], ["retry"]),
    "retry: it serves":                   ([exact(FAILED)], [exact(promoted=1, attempt=2)], []),
    "wait: from queued to training":      ([exact(QUEUED)], [exact(TRAINING)], ["wait"]),
    "wait: it is ready":                  ([exact(QUEUED)], [exact()], ["promote"]),
    "wait: somebody promoted it":         ([exact(QUEUED)], [exact(promoted=1)], []),
    "promote: somebody did":              ([exact()], [exact(promoted=1)], []),
    "update: somebody did":
        ([exact(promoted=1, description="x")], [exact(promoted=1)], []),
    "update: from another value":
        ([exact(promoted=1, description="x")], [exact(promoted=1, description="y")], ["update"]),
    "cancel: the queued job began":
        ([exact(promoted=1), other(state=QUEUED)],
         [exact(promoted=1), other(state=TRAINING)], ["cancel"]),
    "cancel: the job failed by itself":
        ([exact(promoted=1), other(state=TRAINING)],
         [exact(promoted=1), other(state=FAILED)], ["delete"]),
    "cancel: it is gone":
        ([exact(promoted=1), other(state=TRAINING)], [exact(promoted=1)], []),
    "delete: it is gone":
        ([exact(promoted=1), other(state=FAILED)], [exact(promoted=1)], []),
    "conflict: still there": ([foreign(desired().model_id)],) * 2 + (["conflict"],),
}
MOVED = {
    "create: it failed meanwhile": ([], [exact(FAILED)], "now to retry: attempt 1 of 2 failed"),
    "create: its id was taken": ([], [foreign(desired().model_id)], "now to conflict"),
    "create: another version appeared": ([], [OLD], "now to replace"),
    "create: it is ready, and another serves": ([], [exact(), OLD], "serves now, which it did not"),
    "replace: another one serves": ([OLD], [OLD, other("newer", promoted=2)], "and not tone-"),
    "replace: the old one is gone": ([OLD], [], "now to create"),
    "replace: it failed meanwhile": ([OLD], [OLD, exact(FAILED)], "now to retry"),
    "retry: it failed again": ([exact(FAILED)], [exact(FAILED, attempt=2)], "now to failed"),
    "wait: the job is gone": ([exact(TRAINING)], [], "planned to wait, now to create"),
    "wait: the job was cancelled": ([exact(TRAINING)], [exact(CANCELLED)], "was cancelled"),
    "promote: it is gone": ([exact()], [], "planned to promote, now to create"),
    "promote: its stamp was erased": ([exact()], [replace(exact(), stamp=None)], "to conflict"),
    "update: another was promoted":
        ([exact(promoted=1, description="x")],
         [exact(promoted=1, description="x"), other(promoted=2)], "now to promote"),
    "cancel: it is ready":
        ([exact(promoted=1), other(state=TRAINING)], [exact(promoted=1), other()],
         "planned to cancel, and is to stay now"),
    "delete: it is trained again":
        ([exact(promoted=1), other(state=FAILED)],
         [exact(promoted=1), other(state=TRAINING)], "was failed and is training now"),
    "conflict: it can be done now":
        ([foreign(desired().model_id)], [], "now it is planned to create"),
    "nothing: something to do now":
        ([exact(promoted=1)], [exact(promoted=1, description="x")], "planned to update"),
}
# fmt: on


@pytest.mark.parametrize(("then", "now", "left"), HOLDS.values(), ids=HOLDS)
def test_what_comes_to_the_same_still_holds(
    then: list[ObservedModel], now: list[ObservedModel], left: list[str]
) -> None:
    found = reviewed(planned([desired()], then), [desired()], now)
    assert found.moved == {}
    assert said(found) == left


@pytest.mark.parametrize(("then", "now", "words"), MOVED.values(), ids=MOVED)
def test_what_comes_to_something_else_has_moved_and_says_how(
    then: list[ObservedModel], now: list[ObservedModel], words: str
) -> None:
    found = reviewed(planned([desired()], then), [desired()], now)
    assert words in "; ".join(found.moved["tone"])
    assert found.holds == ()


# fmt: off
EDITS = [  # how the declaration changed, and what is said of it
    ({"data": "new"}, "the dataset data/tone.jsonl changed (24 examples, not the same ones)"),
    ({"data": "new", "examples": 28}, "the dataset data/tone.jsonl changed (24 -> 28 examples)"),
    ({"temperature": 0.4}, "temperature changed from unset to 0.4"),
    ({"preamble": "Be kind."}, "preamble changed from unset to 'Be kind.'"),
    ({"lifecycle": Lifecycle(protect=True)}, "protect changed from False to True"),
    ({"provider": "other"}, "provider changed from 'embedded' to 'other'"),
]
# fmt: on


@pytest.mark.parametrize(("edit", "words"), EDITS)
def test_a_manifest_that_changed_says_which_part_and_nothing_else(
    edit: dict[str, Any], words: str
) -> None:
    found = reviewed(planned([desired()]), [desired(**edit)], [])
    assert found.moved == {"tone": (words,)}


def test_what_decides_nothing_makes_nothing_stale() -> None:
    want = desired()
    moved_file = replace(want.dataset, written="data/moved.jsonl")
    calm = replace(want, dataset=moved_file, lifecycle=Lifecycle(timeout="9h", retry=5))
    assert reviewed(planned([want]), [replace(calm, place="x.yaml:9")], []).moved == {}


def test_a_manifest_that_is_gone_is_said_once() -> None:
    found = reviewed(planned([desired(), desired("b")]), [desired("b")], [])
    assert found.moved == {"tone": ("it is not declared any more",)}


def test_a_manifest_that_went_back_is_not_taken_for_done() -> None:
    saved = planned([desired()], [OLD])
    found = reviewed(saved, [desired(data="old")], [OLD])
    assert "dataset" in found.moved["tone"][0]


def test_what_retires_must_be_what_was_planned() -> None:
    want = desired(lifecycle=KEEP_NONE)
    saved = planned([want], [OLD])
    assert [version.model_id for version in saved.changes[0].retires] == [OLD.model_id]
    kept = reviewed(saved, [desired()], [OLD])
    assert kept.moved == {"tone": (f"{OLD.model_id} was to be deleted, and is to stay now",)}
    more = reviewed(planned([desired()], [OLD]), [want], [OLD])
    assert more.moved == {"tone": (f"{OLD.model_id} would be deleted now as well",)}


def test_a_promotion_that_died_before_it_retired_goes_on() -> None:
    want = desired(lifecycle=KEEP_NONE)
    saved = planned([want], [OLD])
    found = reviewed(saved, [want], [OLD, live(want, promoted=5)])
    assert (found.moved, said(found)) == ({}, ["delete"])


def test_a_retry_whose_model_is_gone_still_counts_its_attempts() -> None:
    (held,) = reviewed(planned([desired()], [exact(FAILED)]), [desired()], []).holds
    assert held.before
    assert held.before.attempt == 1


def test_what_moved_holds_back_its_name_and_its_children_and_nobody_else() -> None:
    parent = desired("zebra")
    kid = desired("ant", parent="zebra", source=f"tunedModels/{parent.model_id}")
    wants = [parent, kid, desired("bee")]
    saved = planned(wants)
    found = reviewed(saved, wants, [foreign(parent.model_id)])
    assert set(found.moved) == {"zebra", "ant"}
    assert [change.name for change in found.holds] == ["bee"]
    waiting = reviewed(saved, wants, [live(replace(parent, project="x"), state=QUEUED)])
    assert [change.name for change in waiting.holds] == ["bee"]


def test_another_name_that_came_to_have_work_makes_the_plan_stale() -> None:
    there = [live(desired("bee"), promoted=1)]
    found = reviewed(planned([desired(), desired("bee")], there), [desired()], there)
    assert found.moved["bee"][0].startswith("now it is planned to delete bee-")
    assert [change.name for change in found.holds] == ["tone"]


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_a_plan_holds_as_long_as_nothing_changes(
    world: tuple[list[Desired], list[ObservedModel]],
) -> None:
    saved = planned(*world)
    found = reviewed(saved, *world)
    assert (found.moved, found.holds) == ({}, saved.changes)


class Dies(World):
    """An apply that is killed after some changes."""

    left: int = 0

    def carry_out(self, change: Change) -> None:
        if self.left:
            self.left -= 1
            super().carry_out(change)


@settings(max_examples=100, deadline=None)
@given(worlds(), st.integers(0, 6), st.lists(st.sampled_from([READY, TRAINING]), max_size=5))
def test_an_apply_that_was_killed_goes_on_with_the_same_plan(
    world: tuple[list[Desired], list[ObservedModel]], left: int, outcomes: list[ModelState]
) -> None:
    wants, models = world
    saved = planned(wants, models)
    service = Dies({place(model): model for model in models}, list(outcomes))
    service.left = left
    service.apply(saved)
    found = reviewed(saved, wants, service.models.values())
    assert found.moved == {}
    assert {change.key for change in found.holds if change.action.is_pending} <= {
        key for change in saved.changes for key in [change.key, *_retiring(change)]
    }


@settings(max_examples=60, deadline=None)
@given(worlds(), worlds())
def test_an_equal_digest_and_nothing_moved_agree(
    then: tuple[list[Desired], list[ObservedModel]],
    now: tuple[list[Desired], list[ObservedModel]],
) -> None:
    saved, fresh = planned(*then), planned(*now)
    found = reviewed(saved, *now)
    if found.moved == {}:
        trained = {c.key for c in found.holds if c.action.trains}
        assert trained <= {c.key for c in saved.changes if c.action.trains}
        going = {c.key for c in found.holds if c.action in (Action.CANCEL, Action.DELETE)}
        assert going <= {key for c in saved.changes for key in [c.key, *_retiring(c)]}
    if saved.digest == fresh.digest and not saved.blocked:
        assert found.moved == {}


def _retiring(change: Change) -> list[tuple[str, str, str]]:
    return [(change.name, version.provider, version.model_id) for version in change.retires]


def test_a_promotion_mark_is_a_time_and_makes_nothing_stale() -> None:
    assert OLD.stamp
    later = replace(OLD, stamp=OLD.stamp.promoted_at(NOON + timedelta(days=3)))
    assert reviewed(planned([desired()], [OLD]), [desired()], [later]).moved == {}


def test_a_version_that_was_to_go_is_not_made_anew_by_the_same_plan() -> None:
    saved = planned([], [live(state=ModelState.TRAINING)])
    found = reviewed(saved, [desired()], [])
    assert "now it is planned to create" in found.moved["tone"][0]
