"""The digest of a plan covers exactly those of its fields that decide the outcome."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.builders import (
    desired,
    evaluation,
    live,
    plan_for,
    sha,
    with_sweep,
)
from tunedmodels.plan.gate import Baseline, Gate
from tunedmodels.plan.plan import (
    Action,
    Candidate,
    Change,
    Cost,
    FieldChange,
    Input,
    Note,
    PendingRetirement,
    Plan,
    PlannedSweep,
    Refusal,
)
from tunedmodels.schema.tuned_model import Lifecycle

# Other values for each field of a plan, and whether they decide the outcome.
PLAN: dict[str, list[tuple[Any, bool]]] = {
    "format_version": [],
    "project": [("theirs", True)],
    "lineage": [("3f9c1e7a2b04", True)],
    "folder": [("models", False)],
    "selection": [(("tone",), True)],
    "environment": [("prod", True)],
    "sets": [(("tone.temperature=0.4",), False)],  # the changes contain their effect
    "tool": [("9.9.9", False)],
    "inputs": [((Input(kind="manifest", path="x.yaml", digest="0"),), False)],
    "changes": [((), True)],
    "refusals": [((Refusal(code="protected", message="x", cure="y"),), True)],
    "warnings": [(("x",), False)],
    "notes": [((Note(name="tone", words="a note"),), False)],
    "unchanged": [(9, False)],
    "retained": [(9, False)],
    "manifests": [(9, False)],
    "live": [(9, False)],
    "leaving": [((PendingRetirement(name="tone", model_id="x", grace="7d"),), False)],
    "moment": [("2026-11-22T12:00:00Z", False)],
    "max_cost_usd": [(9.0, False)],
}
# A sweep decides by its digest and the state of its candidates.
SWEEP: dict[str, list[tuple[Any, bool]]] = {
    "digest": [("00000000", True)],
    "metric": [("chrF", False)],
    "path": [("moved.jsonl", False)],
    "examples": [(9, False)],
    "candidates": [((), True)],
    "max_cost_usd": [(9.0, False)],  # the refusals contain its effect
    "place": [("manifests/tone.yaml:7", False)],
}
CANDIDATE: dict[str, list[tuple[Any, bool]]] = {
    "model_id": [("tone-00000000", True)],
    "fingerprint": [(sha("x"), True)],
    "hyperparameters": [({"epochCount": 4}, True)],
    "action": [(Action.WAIT, True)],
    "before": [(None, True)],
    "cost": [(Cost(usd=9), False)],
}
# A gate decides by its digest, over its examples and thresholds, and by its baseline.
GATE: dict[str, list[tuple[Any, bool]]] = {
    "digest": [("00000000", True)],
    "path": [("moved.jsonl", False)],
    "examples": [(9, False)],
    "metric": [("chrF", False)],
    "at_least": [(0.1, False)],
    "not_worse_than_serving_by": [(0.1, False)],
    "on_inconclusive": [("promote", False)],
    "baseline": [(None, True), (Baseline(provider="p", model_id="m", fingerprint="f"), True)],
}
CHANGE: dict[str, list[tuple[Any, bool]]] = {
    "name": [("other", True)],
    "action": [(Action.WAIT, True)],
    "reason": [("x", False)],
    "cure": [("x", False)],
    "before": [(None, True)],
    "after": [(None, True)],
    "fields": [((FieldChange(path="x", before=1, after=2, drift=True),), False)],
    "dataset": [(None, False)],
    "gate": [(Gate(digest="0badcafe", path="x", examples=9, metric="exactMatch"), True)],
    "sweep": [],  # below
    "cost": [(Cost(usd=5), False)],  # an estimate; the policy limits the cost
    "retires": [((), True)],
    "warnings": [(("x",), False)],
    "drift": [(True, False)],
}

FORMER = live(desired(data="old"), promoted=1)


def cases(table: dict[str, list[tuple[Any, bool]]]) -> list[tuple[str, Any, bool]]:
    return [(name, value, decides) for name, values in table.items() for value, decides in values]


@pytest.mark.parametrize(("name", "value", "decides"), cases(PLAN))
def test_each_field_of_a_plan(name: str, value: Any, *, decides: bool) -> None:
    plan = plan_for([desired(lifecycle=Lifecycle(keep=0))], [FORMER])
    assert (plan.model_copy(update={name: value}).digest != plan.digest) is decides


@pytest.mark.parametrize(("name", "value", "decides"), cases(CHANGE))
def test_each_field_of_a_change(name: str, value: Any, *, decides: bool) -> None:
    plan = plan_for([desired(lifecycle=Lifecycle(keep=0))], [FORMER])
    (change,) = plan.changes
    changed = plan.model_copy(update={"changes": (change.model_copy(update={name: value}),)})
    assert (changed.digest != plan.digest) is decides


@pytest.mark.parametrize(("name", "value", "decides"), cases(GATE))
def test_each_field_of_a_gate(name: str, value: Any, *, decides: bool) -> None:
    gate = evaluation(at_least=0.85, not_worse_than_serving_by=0.02)
    plan = plan_for([desired(evaluation=gate)], [FORMER])
    (change,) = plan.changes
    assert change.gate
    other = change.model_copy(update={"gate": change.gate.model_copy(update={name: value})})
    assert (plan.model_copy(update={"changes": (other,)}).digest != plan.digest) is decides


def swept_plan() -> Plan:
    """Return a plan with an open sweep, of which one candidate exists."""
    sweep = with_sweep(desired(evaluation=evaluation()), 3, 5)
    return plan_for([sweep], [FORMER, live(sweep.candidates[0])])


@pytest.mark.parametrize(("name", "value", "decides"), cases(SWEEP))
def test_each_field_of_a_sweep(name: str, value: Any, *, decides: bool) -> None:
    plan = swept_plan()
    (change,) = plan.changes
    assert change.sweep
    other = change.model_copy(update={"sweep": change.sweep.model_copy(update={name: value})})
    assert (plan.model_copy(update={"changes": (other,)}).digest != plan.digest) is decides


@pytest.mark.parametrize(("name", "value", "decides"), cases(CANDIDATE))
def test_each_field_of_a_candidate(name: str, value: Any, *, decides: bool) -> None:
    plan = swept_plan()
    (change,) = plan.changes
    assert change.sweep
    existing, missing = change.sweep.candidates
    other = change.sweep.model_copy(
        update={"candidates": (existing.model_copy(update={name: value}), missing)}
    )
    changed = plan.model_copy(update={"changes": (change.model_copy(update={"sweep": other}),)})
    assert (changed.digest != plan.digest) is decides


def test_the_tables_contain_every_field() -> None:
    assert set(PLAN) == set(Plan.model_fields)
    assert set(CHANGE) == set(Change.model_fields)
    assert set(GATE) == set(Gate.model_fields)
    assert set(SWEEP) == set(PlannedSweep.model_fields)
    assert set(CANDIDATE) == set(Candidate.model_fields)
