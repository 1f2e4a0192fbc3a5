"""The digest changes if and only if something changes that decides the outcome."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import NOON, desired, evaluation, live, planned, sha, swept
from tunedmodels.desired import Desired
from tunedmodels.observed import LossPoint, ModelState, ObservedModel, UsedHyperparameters
from tunedmodels.plan.gate import Gate, Rival
from tunedmodels.plan.plan import (
    Action,
    Candidate,
    Change,
    Cost,
    FieldChange,
    Input,
    Leaving,
    Note,
    Plan,
    Refusal,
    Sweep,
)
from tunedmodels.schema.tuned_model import Examples, GenerationConfig, Hyperparameters, Lifecycle
from tunedmodels.stamp import Stamp

OTHERS = (live(desired("gone"), promoted=1), live(desired("busy"), state=ModelState.QUEUED))

# What each field of the declared side can become, and whether that decides the outcome.
WANTED: dict[str, list[tuple[Any, bool]]] = {
    "project": [],  # one plan, one project; see below
    "name": [("other", True)],
    "provider": [("other", True)],
    "source": [("models/other", True)],
    "dataset": [
        (replace(desired().dataset, digest=sha("other")), True),
        (replace(desired().dataset, written="data/moved.jsonl"), False),
        (replace(desired().dataset, file=Path("/elsewhere")), False),
        (replace(desired().dataset, source=Examples(path="x.csv")), False),
    ],
    "place": [("manifests/tone.yaml:7", False)],
    "parent": [("other", True)],
    "preamble": [("Be kind.", True)],
    "preamble_as": [("systemInstruction", True)],
    "method": [("preference", True)],
    "hyperparameters": [(Hyperparameters(epoch_count=4), True)],
    "validation": [(desired().dataset, True)],
    "service_account": [("tuner@p.iam.gserviceaccount.com", True)],
    "encryption_key": [("projects/p/locations/l/keyRings/r/cryptoKeys/k", True)],
    "last_checkpoint_only": [(True, True)],
    "display_name": [("Tone", True)],
    "description": [("words", True)],
    "temperature": [(0.5, True)],
    "top_p": [(0.5, True)],
    "top_k": [(5, True)],
    "reader_project_numbers": [((1,), True), ((), True)],
    "labels": [({"team": "a"}, True)],
    "lifecycle": [
        (Lifecycle(protect=True), True),
        (Lifecycle(on_removal="retain"), True),
        (Lifecycle(keep=0), True),  # the former version retires
        (Lifecycle(keep=5), False),
        (Lifecycle(retry=5), False),  # nothing failed
        (Lifecycle(timeout="3h"), False),
    ],
    "sweep": [],  # see below
    "chosen_by": [("0ff0ff0ff0ff", False)],
    "evaluation": [(evaluation(), False), (evaluation(at_least=0.8), True)],
}
# The same for the live side, whose former version is replaced.
LIVE: dict[str, list[tuple[Any, bool]]] = {
    "provider": [("other", True)],
    "model_id": [("tone-00000000", True)],
    "resource": [("tunedModels/x", False)],
    "state": [(ModelState.FAILED, True), (ModelState.TRAINING, True)],
    "source": [("models/other", False)],
    "display_name": [("x", False)],
    "description": [("x", False)],
    "stamp": [],  # below
    "temperature": [(0.1, False)],
    "top_p": [(0.1, False)],
    "top_k": [(1, False)],
    "reader_project_numbers": [((1,), False)],
    "labels": [({"team": "a"}, False)],
    "used": [(UsedHyperparameters(epoch_count=9), False)],
    "created": [(NOON - timedelta(days=1), False)],
    "completed": [(NOON, False)],
    "curve": [((LossPoint(1, 0, 0.5),), False)],
    "failure": [("x", False)],
    "phase": [("tuning", False)],
    "steps": [(30, False)],
    "objection": [("trained on 22 of 24 examples", False)],  # it serves already
    "remark": [("trained on 22 of 24 examples", False)],
    "is_record": [(True, False)],  # what is ready is no record
}
STAMP: dict[str, list[tuple[Any, bool]]] = {
    "project": [("theirs", True)],
    "name": [("other", True)],
    "fingerprint": [(sha("x"), True)],
    "dataset": [(sha("x"), True)],
    "examples": [(25, True)],
    "preamble": [("00000000", False)],
    "commit": [("3c9d2e1", False)],
    "attempt": [(2, True)],
    "protect": [(True, False)],  # the name is declared
    "retain": [(True, False)],
    "promoted": [(NOON + timedelta(minutes=5), False), (None, True)],
    "score": [("0.9", False)],
    "gate": [("refused:0badcafe", False)],  # it served all the same, and no gate undoes that
    "words": [("", False), ("0000.-.-.-.-.-", False)],  # says who changed something, not what is
    "by": [("hand", False)],
    "head": [("3c9d2e1", False)],
    "unverified": [(True, False)],
    "tried": [("0ff0ff0ff0ff", False)],
    "sweep": [("0ff0ff0ff0ff", False)],  # a word of the past, where no sweep is declared
    "others": [((("new", "1"),), False)],
}

# The live side once more, where the declared version serves and one word of it differs.
SERVING: dict[str, list[tuple[Any, bool]]] = {
    "provider": [("other", True)],
    "model_id": [("tone-00000000", True)],
    "resource": [("tunedModels/x", False)],
    "state": [(ModelState.FAILED, True), (ModelState.TRAINING, True)],
    "source": [("models/other", False)],
    "display_name": [("x", False)],  # what is written decides, not what is written over
    "description": [("x", False)],
    "stamp": [],  # as above
    "temperature": [(0.1, False), (0.4, True)],  # 0.4 is declared: then nothing is to do
    "top_p": [(0.1, False)],
    "top_k": [(1, False)],
    "reader_project_numbers": [((1,), False)],
    "labels": [({"team": "a"}, False)],
    "used": [(UsedHyperparameters(epoch_count=9), False)],
    "created": [(NOON - timedelta(days=1), False)],
    "completed": [(NOON, False)],
    "curve": [((LossPoint(1, 0, 0.5),), False)],
    "failure": [("x", False)],
    "phase": [("tuning", False)],
    "steps": [(30, False)],
    "objection": [("trained on 22 of 24 examples", False)],
    "remark": [("trained on 22 of 24 examples", False)],
    "is_record": [(True, False)],  # what is ready is no record
}
# And what of a plan itself decides, whatever it was made from.
PLAN: dict[str, list[tuple[Any, bool]]] = {
    "format_version": [],
    "project": [("theirs", True)],
    "environment": [("prod", True)],
    "sets": [(("tone.temperature=0.4",), False)],  # what they change stands in the changes
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
    "leaving": [((Leaving(name="tone", model_id="x", grace="7d"),), False)],
    "moment": [("2026-11-22T12:00:00Z", False)],
    "max_cost_usd": [(9.0, False)],
}
# A sweep decides by its digest, and by what is there of its candidates and what is not.
SWEEP: dict[str, list[tuple[Any, bool]]] = {
    "digest": [("00000000", True)],
    "metric": [("chrF", False)],
    "path": [("moved.jsonl", False)],
    "examples": [(9, False)],
    "candidates": [((), True)],
    "max_cost_usd": [(9.0, False)],  # whether it is refused stands in the refusals
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
# A gate decides by its digest, which is over its examples and thresholds, and by its rival.
GATE: dict[str, list[tuple[Any, bool]]] = {
    "digest": [("00000000", True)],
    "path": [("moved.jsonl", False)],
    "examples": [(9, False)],
    "metric": [("chrF", False)],
    "at_least": [(0.1, False)],
    "not_worse_than_serving_by": [(0.1, False)],
    "on_inconclusive": [("promote", False)],
    "rival": [(None, True), (Rival(provider="p", model_id="m", fingerprint="f"), True)],
}
# So what is declared decides as a whole.
EVALUATION: list[tuple[dict[str, Any], bool]] = [
    ({"data": "other"}, True),
    ({"metric": "normalizedMatch"}, True),
    ({"at_least": 0.8}, True),
    ({"not_worse_than_serving_by": 0.01}, True),
    ({"on_inconclusive": "promote"}, True),
    ({"generation_config": GenerationConfig(temperature=0.5)}, False),  # it stands in `generation`
    ({"few_shot": 3}, False),
    ({"concurrency": 9}, False),
]
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
    "cost": [(Cost(usd=5), False)],  # an estimate; what may be spent is for the policy to say
    "retires": [((), True)],
    "warnings": [(("x",), False)],
    "drift": [(True, False)],
}

FORMER = live(desired(data="old"), promoted=1)


def digest(want: Desired, *there: ObservedModel) -> str:
    return planned([want, desired("busy")], [*there, *OTHERS]).digest


def cases(table: dict[str, list[tuple[Any, bool]]]) -> list[tuple[str, Any, bool]]:
    return [(name, value, decides) for name, each in table.items() for value, decides in each]


@pytest.mark.parametrize(("name", "value", "decides"), cases(WANTED))
def test_each_field_that_is_declared(name: str, value: Any, *, decides: bool) -> None:
    before = digest(desired(), FORMER)
    assert (digest(replace(desired(), **{name: value}), FORMER) != before) is decides


@pytest.mark.parametrize(("name", "value", "decides"), cases(LIVE))
def test_each_field_of_a_live_model(name: str, value: Any, *, decides: bool) -> None:
    before = digest(desired(), FORMER)
    assert (digest(desired(), replace(FORMER, **{name: value})) != before) is decides


@pytest.mark.parametrize(("name", "value", "decides"), cases(STAMP))
def test_each_field_of_a_stamp(name: str, value: Any, *, decides: bool) -> None:
    assert FORMER.stamp
    changed = replace(FORMER, stamp=replace(FORMER.stamp, **{name: value}))
    assert (digest(desired(), changed) != digest(desired(), FORMER)) is decides


@pytest.mark.parametrize(("name", "value", "decides"), cases(SERVING))
def test_each_field_of_a_live_model_that_is_updated(
    name: str, value: Any, *, decides: bool
) -> None:
    want = desired(temperature=0.4)
    there = live(want, promoted=1, temperature=0.7)
    changed = replace(there, **{name: value})
    assert (digest(want, changed) != digest(want, there)) is decides


@pytest.mark.parametrize(("name", "value", "decides"), cases(PLAN))
def test_each_field_of_a_plan(name: str, value: Any, *, decides: bool) -> None:
    plan = planned([desired(lifecycle=Lifecycle(keep=0))], [FORMER])
    assert (plan.model_copy(update={name: value}).digest != plan.digest) is decides


@pytest.mark.parametrize(("name", "value", "decides"), cases(CHANGE))
def test_each_field_of_a_change(name: str, value: Any, *, decides: bool) -> None:
    plan = planned([desired(lifecycle=Lifecycle(keep=0))], [FORMER])
    (change,) = plan.changes
    changed = plan.model_copy(update={"changes": (change.model_copy(update={name: value}),)})
    assert (changed.digest != plan.digest) is decides


@pytest.mark.parametrize(("name", "value", "decides"), cases(GATE))
def test_each_field_of_a_gate(name: str, value: Any, *, decides: bool) -> None:
    gate = evaluation(at_least=0.85, not_worse_than_serving_by=0.02)
    plan = planned([desired(evaluation=gate)], [FORMER])
    (change,) = plan.changes
    assert change.gate
    other = change.model_copy(update={"gate": change.gate.model_copy(update={name: value})})
    assert (plan.model_copy(update={"changes": (other,)}).digest != plan.digest) is decides


def swept_plan() -> Plan:
    """A plan with an open sweep, of which one candidate is there."""
    want = swept(desired(evaluation=evaluation()), 3, 5)
    return planned([want], [FORMER, live(want.candidates[0])])


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
    there, missing = change.sweep.candidates
    other = change.sweep.model_copy(
        update={"candidates": (there.model_copy(update={name: value}), missing)}
    )
    made = plan.model_copy(update={"changes": (change.model_copy(update={"sweep": other}),)})
    assert (made.digest != plan.digest) is decides


@pytest.mark.parametrize(("rules", "decides"), EVALUATION)
def test_each_rule_of_an_evaluation(rules: dict[str, Any], *, decides: bool) -> None:
    asked: dict[str, Any] = {"at_least": 0.85, "not_worse_than_serving_by": 0.02}
    before = digest(desired(evaluation=evaluation(**asked)), FORMER)
    after = digest(desired(evaluation=evaluation(**(asked | rules))), FORMER)
    assert (after != before) is decides


def test_an_evaluation_that_is_no_gate_decides_nothing() -> None:
    assert digest(desired(evaluation=evaluation()), FORMER) == digest(desired(), FORMER)


def test_the_gate_of_a_version_that_served_before_decides_nothing() -> None:
    strict = desired(evaluation=evaluation(at_least=1))
    there = [live(desired(), promoted=0), FORMER]
    assert digest(strict, *there) == digest(desired(), *there)


def test_the_version_that_a_gate_compares_with_decides() -> None:
    want = desired(evaluation=evaluation(not_worse_than_serving_by=0.02))
    newer = live(desired(data="newer"), promoted=2)
    assert digest(want, live(), FORMER) != digest(want, live(), replace(newer))


def test_no_field_was_forgotten_here() -> None:
    for table, kind in ((WANTED, Desired), (LIVE, ObservedModel), (STAMP, Stamp)):
        assert set(table) == {field.name for field in fields(kind) if field.init}
    assert set(SERVING) == set(LIVE)
    assert set(PLAN) == set(Plan.model_fields)
    assert set(CHANGE) == set(Change.model_fields)
    assert set(GATE) == set(Gate.model_fields)
    assert set(SWEEP) == set(Sweep.model_fields)
    assert set(CANDIDATE) == set(Candidate.model_fields)


def test_a_job_that_leaves_the_queue_makes_no_plan_stale() -> None:
    queued, training = (
        digest(desired(), live(state=state)) for state in (ModelState.QUEUED, ModelState.TRAINING)
    )
    assert queued == training
    assert queued != digest(desired(), live())


def test_the_values_of_an_update_decide_and_what_they_replace_does_not() -> None:
    want = desired(temperature=0.4)
    assert digest(want, live(promoted=1, temperature=0.7)) == digest(
        want, live(promoted=1, temperature=0.9)
    )
    assert digest(want, live(promoted=1, temperature=0.4)) != digest(
        want, live(promoted=1, temperature=0.9)
    )


def test_project_environment_and_refusals_are_part_of_it() -> None:
    plan = planned([desired()])
    assert plan.digest != plan.model_copy(update={"project": "other"}).digest
    assert plan.digest != planned([desired()], environment="prod").digest
    assert planned([]).digest != plan.model_copy(update={"changes": ()}).digest


def test_what_cannot_be_done_counts_by_name_alone() -> None:
    failed = live(state=ModelState.FAILED, attempt=2)
    one = digest(desired(), replace(failed, failure="out of quota"))
    assert one == digest(desired(temperature=0.3), failed)
