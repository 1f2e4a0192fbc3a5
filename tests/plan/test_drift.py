"""What was changed outside is told from what the manifests changed, as far as anybody can know."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import NOON, desired, foreign, live, planned
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import Action, Change
from tunedmodels.plan.planner import Remembered
from tunedmodels.stamp import HAND, marks_by_field, word_marks

WANT = desired(temperature=0.7, description="polite", reader_project_numbers=(1, 2))
HERE = live(WANT, promoted=5, reader_project_numbers=(1, 2))


def only(want: Desired, *there: ObservedModel, **others: Any) -> Change:
    (change,) = planned([want], there, **others).changes
    return change


# fmt: off
CASES = {  # declared, live, and which fields were changed outside of those that differ
    "in the manifest": ({"temperature": 0.4}, {}, [], ["temperature"]),
    "outside": ({}, {"temperature": 0.9}, ["temperature"], []),
    "both sides": ({"temperature": 0.4}, {"temperature": 0.9}, ["temperature"], []),
    "one each": ({"temperature": 0.4}, {"description": "x"}, ["description"], ["temperature"]),
    "declared anew, chosen by the service": ({"top_p": 0.5}, {"top_p": 0.95}, [], ["topP"]),
    "readers, by hand": ({}, {"reader_project_numbers": (1,)}, ["readerProjectNumbers"], []),
    "the name that is shown": ({}, {"display_name": ""}, ["displayName"], []),
}
# fmt: on


@pytest.mark.parametrize(("edit", "there", "outside", "inside"), CASES.values(), ids=CASES)
def test_each_word_that_differs_is_told_apart(
    edit: dict[str, Any], there: dict[str, Any], outside: list[str], inside: list[str]
) -> None:
    change = only(replace(WANT, **edit), replace(HERE, **there))
    assert change.action is Action.UPDATE
    assert [field.path for field in change.fields if field.drift] == outside
    assert [field.path for field in change.fields if not field.drift] == inside
    assert change.drift is bool(outside)
    for path in outside:
        assert f"{path} was changed outside since the last apply" in change.reason


def test_readers_in_another_order_and_floats_of_32_bits_are_no_change() -> None:
    noisy = replace(HERE, temperature=0.699999988079071, reader_project_numbers=(2, 1, 1))
    assert planned([WANT], [noisy]).changes == ()
    change = only(replace(WANT, description="x"), noisy)
    assert not change.drift


def test_a_stamp_that_remembers_no_words_blames_nobody() -> None:
    assert HERE.stamp
    old = replace(HERE, stamp=replace(HERE.stamp, words=""), temperature=0.9)
    change = only(WANT, old)
    assert (change.drift, change.reason) == (False, "temperature differs")
    newer = replace(HERE, stamp=replace(HERE.stamp, words="a.b"), temperature=0.9)
    assert not only(WANT, newer).drift


def test_a_word_changed_while_it_trains_is_mended_with_the_promotion_and_said() -> None:
    training = replace(HERE, state=ModelState.TRAINING, temperature=0.9)
    change = only(WANT, training)
    assert (change.action, change.drift) == (Action.WAIT, True)
    assert change.reason == (
        "it is being trained; temperature was changed outside since the last apply"
    )


def test_going_back_in_the_manifests_is_told_from_a_promotion_by_hand() -> None:
    other = live(replace(WANT, preamble="x"), promoted=9)
    rollback = only(WANT, HERE, other)
    assert (rollback.action, rollback.drift) == (Action.PROMOTE, False)
    assert other.stamp
    by_hand = replace(other, stamp=replace(other.stamp, by=HAND))
    mended = only(WANT, HERE, by_hand)
    assert (mended.action, mended.drift) == (Action.PROMOTE, True)
    assert mended.reason == (f"{other.model_id} was promoted by hand; go back to what is declared")
    assert HERE.stamp
    never = replace(HERE, stamp=replace(HERE.stamp, promoted=None))
    assert not only(WANT, never, by_hand).drift, "it never served, so this is its first promotion"


def test_an_erased_stamp_is_a_conflict_that_came_from_outside() -> None:
    change = only(WANT, foreign(WANT.model_id))
    assert (change.action, change.drift) == (Action.CONFLICT, True)
    assert "changed outside" in change.reason
    assert f"tunedmodels adopt {WANT.name}" in change.cure
    theirs = only(WANT, live(replace(WANT, project="theirs")))
    assert (theirs.action, theirs.drift) == (Action.CONFLICT, False)
    assert "adopt" not in theirs.cure


THEN = Remembered(WANT.model_id, NOON + timedelta(minutes=5))


def test_a_model_that_was_promoted_from_here_and_is_gone_was_deleted_outside() -> None:
    change = only(WANT, remembered={"tone": THEN})
    assert (change.action, change.drift) == (Action.CREATE, True)
    assert "deleted it outside" in change.reason
    former = live(replace(WANT, preamble="x"), promoted=1)
    change = only(WANT, former, remembered={"tone": THEN})
    assert (change.action, change.drift) == (Action.REPLACE, True)


def test_a_model_that_somebody_elses_apply_retired_was_not_deleted_outside() -> None:
    later = live(replace(WANT, preamble="x"), promoted=9)
    assert not only(WANT, later, remembered={"tone": THEN}).drift


def test_another_version_that_was_promoted_from_here_says_nothing() -> None:
    assert not only(replace(WANT, preamble="x"), remembered={"tone": THEN}).drift
    assert not only(WANT).drift


def test_what_is_unverified_is_said_by_every_plan_until_another_version_is_there() -> None:
    assert HERE.stamp
    adopted = replace(HERE, stamp=replace(HERE.stamp, unverified=True))
    plan = planned([WANT], [adopted])
    assert plan.changes == ()
    assert plan.warnings[0].startswith(f"{HERE.model_id} was adopted")
    retrained = live(replace(WANT, preamble="x"), promoted=9)
    assert planned([replace(WANT, preamble="x")], [retrained]).warnings == ()
    (change,) = planned([replace(WANT, preamble="x")], [adopted]).changes
    assert change.before
    assert change.before.unverified


words = st.builds(
    desired,
    description=st.text(max_size=20),
    display_name=st.text(max_size=20),
    temperature=st.none() | st.floats(0, 1),
    top_p=st.none() | st.floats(0.01, 1),
    top_k=st.none() | st.integers(1, 1000),
    reader_project_numbers=st.none() | st.lists(st.integers(0), max_size=3).map(tuple),
)


@given(words)
def test_marks_go_into_a_stamp_and_stand_for_what_is_declared(want: Desired) -> None:
    marks = marks_by_field(word_marks(want))
    assert " " not in word_marks(want)
    assert ("temperature" in marks) is (want.temperature is not None)
    assert "description" in marks
    assert want.stamp().words == word_marks(want)


@given(words, words)
def test_without_a_change_outside_no_plan_speaks_of_one(before: Desired, after: Desired) -> None:
    there = live(
        before,
        promoted=1,
        top_p=before.top_p,
        top_k=before.top_k,
        reader_project_numbers=before.reader_project_numbers or (),
    )
    assert planned([after], [there]).drifted == ()
