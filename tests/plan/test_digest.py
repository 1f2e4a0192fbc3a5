"""The digest of a plan changes if and only if an input changes that decides the outcome."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import (
    NOON,
    desired,
    evaluation,
    live,
    plan_for,
    sha,
    with_fields,
    with_inputs,
)
from tunedmodels.desired import Desired
from tunedmodels.model_fields import MutableFields, TrainingInputs
from tunedmodels.observed import LossPoint, ModelState, ObservedModel, UsedHyperparameters
from tunedmodels.schema.tuned_model import ExampleFile, GenerationConfig, Hyperparameters, Lifecycle
from tunedmodels.stamp import Stamp, Use

OTHERS = (live(desired("gone"), promoted=1), live(desired("busy"), state=ModelState.QUEUED))
DATASET = desired().inputs.dataset

# Other values for each field of the inputs, and whether they decide the outcome.
TRAINING_INPUTS: dict[str, list[tuple[Any, bool]]] = {
    "source": [("models/other", True)],
    "parent_fingerprint": [(sha("x"), True)],
    "dataset": [
        (replace(DATASET, digest=sha("other")), True),
        (replace(DATASET, declared_path="data/moved.jsonl"), False),
        (replace(DATASET, file=Path("/elsewhere")), False),
        (replace(DATASET, source=ExampleFile(path="x.csv")), False),
    ],
    "preamble": [("Be kind.", True)],
    "preamble_as": [("systemInstruction", True)],
    "method": [("preference", True)],
    "hyperparameters": [(Hyperparameters(epoch_count=4), True)],
    "validation": [(DATASET, True)],
    "tuning_mode": [("full", True)],
    "encryption_key": [("projects/p/locations/l/keyRings/r/cryptoKeys/k", True)],
    "last_checkpoint_only": [(True, True)],
}
MUTABLE_FIELDS: dict[str, list[tuple[Any, bool]]] = {
    "display_name": [("Tone", True)],
    "description": [("text", True)],
    "temperature": [(0.5, True)],
    "top_p": [(0.5, True)],
    "top_k": [(5, True)],
    "reader_project_numbers": [((1,), True), ((), True)],
    "labels": [({"team": "a"}, True)],
}
DESIRED: dict[str, list[tuple[Any, bool]]] = {
    "project": [],  # one plan, one project; see below
    "name": [("other", True)],
    "provider": [("other", True)],
    "inputs": [],  # above
    "base_model": [("models/other", False)],  # follows from the source
    "fields": [],  # above
    "location": [("manifests/tone.yaml:7", False)],
    "parent": [("other", True)],
    "service_account": [("tuner@p.iam.gserviceaccount.com", True)],
    "lifecycle": [
        (Lifecycle(protect=True), True),
        (Lifecycle(on_removal="retain"), True),
        (Lifecycle(keep=0), True),  # the former version retires
        (Lifecycle(keep=5), False),
        (Lifecycle(retry=5), False),  # nothing failed
        (Lifecycle(timeout="3h"), False),
    ],
    "sweep": [],  # see below
    "chosen_by_sweep": [("0ff0ff0ff0ff", False)],
    "lineage": [("3f9c1e7a2b04", True)],
    "home": [("staging", True)],
    "formerly": [(("voice",), False)],  # the identity of a project decides, see `Ownership`
    "former_sources": [(("tunedModels/voice-00000000",), False)],
    "evaluation": [(evaluation(), False), (evaluation(at_least=0.8), True)],
}
# The same for a former version that is replaced.
OBSERVED: dict[str, list[tuple[Any, bool]]] = {
    "provider": [("other", True)],
    "model_id": [("tone-00000000", True)],
    "resource": [("tunedModels/x", False)],
    "state": [(ModelState.FAILED, True), (ModelState.TRAINING, True)],
    "source": [("models/other", False)],
    "fields": [
        (MutableFields(**{name: values[0][0]}), False) for name, values in MUTABLE_FIELDS.items()
    ],
    "stamp": [],  # below
    "used": [(UsedHyperparameters(epoch_count=9), False)],
    "created": [(NOON - timedelta(days=1), False)],
    "completed": [(NOON, False)],
    "curve": [((LossPoint(1, 0, 0.5),), False)],
    "failure": [("x", False)],
    "job_phase": [("tuning", False)],
    "declared_total_steps": [(30, False)],
    "blocked_reason": [("trained on 22 of 24 examples", False)],  # it serves already
    "warning": [("trained on 22 of 24 examples", False)],
    "is_job_record": [(True, False)],  # a ready version is not a record
    "live_stamp": [(None, False)],
    "has_trusted_owner": [(False, True)],
    "etag": [("7", False)],
    "deploy_command": [("gcloud x", False)],
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
    "gate_record": [("refused:0badcafe", False)],  # it was promoted manually
    "field_hashes": [
        ("", False),
        ("0000.-.-.-.-.-", False),
    ],  # decides only about drift
    "promoted_by": [("hand", False)],
    "promoted_commit": [("3c9d2e1", False)],
    "unverified": [(True, False)],
    "scored_by_sweep": [("0ff0ff0ff0ff", False)],
    "chosen_by_sweeps": [("0ff0ff0ff0ff", False)],  # no sweep is declared
    "lineage": [("3f9c1e7a2b04", True)],
    "environment": [("staging", True)],
    "is_leaving": [(True, False)],
    "uses": [((Use("production"),), False)],  # it stays, as `keep` requires
    "unknown_keys": [((("new", "1"),), False)],
}

# The same for the serving version with one changed field.
SERVING: dict[str, list[tuple[Any, bool]]] = {
    "provider": [("other", True)],
    "model_id": [("tone-00000000", True)],
    "resource": [("tunedModels/x", False)],
    "state": [(ModelState.FAILED, True), (ModelState.TRAINING, True)],
    "source": [("models/other", False)],
    # The new value decides, not the replaced one. 0.4 is declared, so nothing has to be done.
    "fields": [
        (MutableFields("tone", temperature=0.7, top_p=0.1), False),
        (MutableFields("tone", temperature=0.7, top_k=1), False),
        (MutableFields("tone", temperature=0.7, reader_project_numbers=(1,)), False),
        (MutableFields("tone", temperature=0.7, labels={"team": "a"}), False),
        (MutableFields("tone", "x", temperature=0.7), False),
        (MutableFields("x", temperature=0.7), False),
        (MutableFields("tone", temperature=0.1), False),
        (MutableFields("tone", temperature=0.4), True),
    ],
    "stamp": [],  # as above
    "used": [(UsedHyperparameters(epoch_count=9), False)],
    "created": [(NOON - timedelta(days=1), False)],
    "completed": [(NOON, False)],
    "curve": [((LossPoint(1, 0, 0.5),), False)],
    "failure": [("x", False)],
    "job_phase": [("tuning", False)],
    "declared_total_steps": [(30, False)],
    "blocked_reason": [("trained on 22 of 24 examples", False)],
    "warning": [("trained on 22 of 24 examples", False)],
    "is_job_record": [(True, False)],  # a ready version is not a record
    "live_stamp": [(None, False)],
    "has_trusted_owner": [(False, True)],
    "etag": [("7", False)],
    "deploy_command": [("gcloud x", False)],
}
# A declared evaluation decides as a whole.
EVALUATION: list[tuple[dict[str, Any], bool]] = [
    ({"data": "other"}, True),
    ({"metric": "normalizedMatch"}, True),
    ({"at_least": 0.8}, True),
    ({"not_worse_than_serving_by": 0.01}, True),
    ({"on_inconclusive": "promote"}, True),
    ({"generation_config": GenerationConfig(temperature=0.5)}, False),  # resolved into `generation`
    ({"few_shot": 3}, False),
    ({"concurrency": 9}, False),
]
FORMER = live(desired(data="old"), promoted=1)


def digest(model: Desired, *observed: ObservedModel) -> str:
    return plan_for([model, desired("busy")], [*observed, *OTHERS]).digest


def cases(table: dict[str, list[tuple[Any, bool]]]) -> list[tuple[str, Any, bool]]:
    return [(name, value, decides) for name, values in table.items() for value, decides in values]


@pytest.mark.parametrize(("name", "value", "decides"), cases(DESIRED))
def test_each_field_of_a_desired_model(name: str, value: Any, *, decides: bool) -> None:
    before = digest(desired(), FORMER)
    assert (digest(replace(desired(), **{name: value}), FORMER) != before) is decides


@pytest.mark.parametrize(("name", "value", "decides"), cases(TRAINING_INPUTS))
def test_each_training_input(name: str, value: Any, *, decides: bool) -> None:
    before = digest(desired(), FORMER)
    assert (digest(with_inputs(desired(), **{name: value}), FORMER) != before) is decides


@pytest.mark.parametrize(("name", "value", "decides"), cases(MUTABLE_FIELDS))
def test_each_mutable_field(name: str, value: Any, *, decides: bool) -> None:
    before = digest(desired(), FORMER)
    assert (digest(with_fields(desired(), **{name: value}), FORMER) != before) is decides


@pytest.mark.parametrize(("name", "value", "decides"), cases(OBSERVED))
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
    model = desired(temperature=0.4)
    observed = live(model, promoted=1, temperature=0.7)
    changed = replace(observed, **{name: value})
    assert (digest(model, changed) != digest(model, observed)) is decides


@pytest.mark.parametrize(("values", "decides"), EVALUATION)
def test_each_field_of_an_evaluation(values: dict[str, Any], *, decides: bool) -> None:
    gate: dict[str, Any] = {"at_least": 0.85, "not_worse_than_serving_by": 0.02}
    before = digest(desired(evaluation=evaluation(**gate)), FORMER)
    after = digest(desired(evaluation=evaluation(**(gate | values))), FORMER)
    assert (after != before) is decides


def test_an_evaluation_without_a_gate_is_not_part_of_the_digest() -> None:
    assert digest(desired(evaluation=evaluation()), FORMER) == digest(desired(), FORMER)


def test_the_gate_of_a_version_that_was_promoted_before_is_not_part_of_the_digest() -> None:
    strict = desired(evaluation=evaluation(at_least=1))
    observed = [live(desired(), promoted=0), FORMER]
    assert digest(strict, *observed) == digest(desired(), *observed)


def test_the_baseline_of_a_gate_decides() -> None:
    model = desired(evaluation=evaluation(not_worse_than_serving_by=0.02))
    newer = live(desired(data="newer"), promoted=2)
    assert digest(model, live(), FORMER) != digest(model, live(), newer)


def test_the_tables_contain_every_field() -> None:
    tables: list[tuple[dict[str, Any], type[Any]]] = [
        (DESIRED, Desired),
        (TRAINING_INPUTS, TrainingInputs),
        (MUTABLE_FIELDS, MutableFields),
        (OBSERVED, ObservedModel),
        (STAMP, Stamp),
    ]
    for table, kind in tables:
        assert set(table) == {field.name for field in fields(kind) if field.init}
    assert set(SERVING) == set(OBSERVED)


def test_a_job_that_leaves_the_queue_does_not_change_the_digest() -> None:
    queued, training = (
        digest(desired(), live(state=state)) for state in (ModelState.QUEUED, ModelState.TRAINING)
    )
    assert queued == training
    assert queued != digest(desired(), live())


def test_the_new_values_of_an_update_decide_and_the_old_ones_do_not() -> None:
    model = desired(temperature=0.4)
    assert digest(model, live(promoted=1, temperature=0.7)) == digest(
        model, live(promoted=1, temperature=0.9)
    )
    assert digest(model, live(promoted=1, temperature=0.4)) != digest(
        model, live(promoted=1, temperature=0.9)
    )


def test_project_environment_and_refusals_are_part_of_the_digest() -> None:
    plan = plan_for([desired()])
    assert plan.digest != plan.model_copy(update={"project": "other"}).digest
    assert plan.digest != plan_for([desired()], environment="prod").digest
    assert plan_for([]).digest != plan.model_copy(update={"changes": ()}).digest


def test_a_failed_change_is_part_of_the_digest_only_by_name() -> None:
    failed = live(state=ModelState.FAILED, attempt=2)
    expected = digest(desired(), replace(failed, failure="out of quota"))
    assert expected == digest(desired(temperature=0.3), failed)
