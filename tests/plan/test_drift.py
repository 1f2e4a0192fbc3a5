"""Drift: values that were changed outside, distinguished from changes in the manifests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import (
    desired,
    live,
    plan_for,
    unowned_model,
    with_fields,
    with_inputs,
)
from tunedmodels.desired import Desired
from tunedmodels.model_fields import field_hashes, hashes_by_field
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import Action, Change
from tunedmodels.stamp import MANUAL

DESIRED = desired(temperature=0.7, description="polite", reader_project_numbers=(1, 2))
OTHER = with_inputs(DESIRED, preamble="x")
SERVING = live(DESIRED, promoted=5, reader_project_numbers=(1, 2))


def live_with(**values: Any) -> ObservedModel:
    """Return the serving version with other mutable fields."""
    return replace(SERVING, fields=replace(SERVING.fields, **values))


def with_stamp(model: ObservedModel, **values: Any) -> ObservedModel:
    assert model.stamp
    return replace(model, stamp=replace(model.stamp, **values))


def only_change(model: Desired, *observed: ObservedModel, **values: Any) -> Change:
    (change,) = plan_for([model], observed, **values).changes
    return change


# fmt: off
CASES = {  # declared, live, the fields changed outside, and the others that differ
    "in the manifest": ({"temperature": 0.4}, {}, [], ["temperature"]),
    "outside": ({}, {"temperature": 0.9}, ["temperature"], []),
    "in both": ({"temperature": 0.4}, {"temperature": 0.9}, ["temperature"], []),
    "one in each": ({"temperature": 0.4}, {"description": "x"}, ["description"], ["temperature"]),
    "newly declared, chosen by the service": ({"top_p": 0.5}, {"top_p": 0.95}, [], ["topP"]),
    "readers": ({}, {"reader_project_numbers": (1,)}, ["readerProjectNumbers"], []),
    "display name": ({}, {"display_name": ""}, ["displayName"], []),
}
# fmt: on


@pytest.mark.parametrize(("edit", "observed", "outside", "inside"), CASES.values(), ids=CASES)
def test_drift_is_distinguished_field_by_field(
    edit: dict[str, Any], observed: dict[str, Any], outside: list[str], inside: list[str]
) -> None:
    change = only_change(with_fields(DESIRED, **edit), live_with(**observed))
    assert change.action is Action.UPDATE
    assert [field.path for field in change.fields if field.drift] == outside
    assert [field.path for field in change.fields if not field.drift] == inside
    assert change.drift is bool(outside)
    for path in outside:
        assert f"{path} was changed outside since the last apply" in change.reason


def test_the_order_of_readers_and_32_bit_floats_are_not_a_change() -> None:
    rounded = live_with(temperature=0.699999988079071, reader_project_numbers=(2, 1, 1))
    assert plan_for([DESIRED], [rounded]).changes == ()
    assert not only_change(with_fields(DESIRED, description="x"), rounded).drift


def test_a_stamp_without_field_hashes_reports_no_drift() -> None:
    model = live_with(temperature=0.9)
    change = only_change(DESIRED, with_stamp(model, field_hashes=""))
    assert (change.drift, change.reason) == (False, "temperature differs")
    assert not only_change(DESIRED, with_stamp(model, field_hashes="a.b")).drift


def test_drift_during_the_training_is_corrected_with_the_promotion() -> None:
    change = only_change(DESIRED, replace(live_with(temperature=0.9), state=ModelState.TRAINING))
    assert (change.action, change.drift) == (Action.WAIT, True)
    assert change.reason == (
        "it is being trained; temperature was changed outside since the last apply"
    )


def test_a_rollback_in_the_manifests_is_distinguished_from_a_manual_promotion() -> None:
    other = live(OTHER, promoted=9)
    rollback = only_change(DESIRED, SERVING, other)
    assert (rollback.action, rollback.drift) == (Action.PROMOTE, False)
    manual = with_stamp(other, promoted_by=MANUAL)
    change = only_change(DESIRED, SERVING, manual)
    assert (change.action, change.drift) == (Action.PROMOTE, True)
    assert change.reason == (
        f"{other.model_id} was promoted manually; return to the declared version"
    )
    never_promoted = with_stamp(SERVING, promoted=None)
    assert not only_change(DESIRED, never_promoted, manual).drift, "it is its first promotion"


def test_a_deleted_stamp_is_a_conflict_and_drift() -> None:
    change = only_change(DESIRED, unowned_model(DESIRED.model_id))
    assert (change.action, change.drift) == (Action.CONFLICT, True)
    assert "changed outside" in change.reason
    assert f"tunedmodels adopt {DESIRED.name}" in change.cure
    foreign = only_change(DESIRED, live(replace(DESIRED, project="theirs")))
    assert (foreign.action, foreign.drift) == (Action.CONFLICT, False)
    assert "adopt" not in foreign.cure


def test_a_version_that_no_longer_exists_is_not_drift() -> None:
    assert not only_change(DESIRED).drift
    assert not only_change(DESIRED, live(OTHER, promoted=9)).drift


def test_every_plan_reports_an_unverified_version_until_another_one_is_trained() -> None:
    adopted = with_stamp(SERVING, unverified=True)
    plan = plan_for([DESIRED], [adopted])
    assert plan.changes == ()
    assert plan.warnings[0].startswith(f"{SERVING.model_id} was adopted")
    assert plan_for([OTHER], [live(OTHER, promoted=9)]).warnings == ()
    change = only_change(OTHER, adopted)
    assert change.before
    assert change.before.unverified


MODELS = st.builds(
    desired,
    description=st.text(max_size=20),
    display_name=st.none() | st.text(max_size=20),
    temperature=st.none() | st.floats(0, 1),
    top_p=st.none() | st.floats(0.01, 1),
    top_k=st.none() | st.integers(1, 1000),
    reader_project_numbers=st.none() | st.lists(st.integers(0), max_size=3).map(tuple),
)


@given(MODELS)
def test_the_stamp_of_a_new_version_has_the_hashes_of_its_declared_fields(model: Desired) -> None:
    text = field_hashes(model.fields)
    hashes = hashes_by_field(text)
    assert " " not in text
    assert ("temperature" in hashes) is (model.fields.temperature is not None)
    assert "description" in hashes
    assert model.stamp().field_hashes == text


@given(MODELS, MODELS)
def test_without_a_change_outside_no_plan_reports_drift(before: Desired, after: Desired) -> None:
    model = live(
        before,
        promoted=1,
        top_p=before.fields.top_p,
        top_k=before.fields.top_k,
        reader_project_numbers=before.fields.reader_project_numbers or (),
    )
    assert plan_for([after], [model]).drifted == ()
