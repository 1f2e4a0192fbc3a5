"""The fingerprint: covers all training inputs, and nothing else."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from tests.support.builders import desired, with_inputs
from tunedmodels.model_fields import MutableFields, TrainingInputs
from tunedmodels.schema.tuned_model import Hyperparameters

KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
# Another value for every training input.
INPUTS: dict[str, list[Any]] = {
    "source": ["models/other"],
    "parent_fingerprint": ["0" * 64],
    "dataset": [replace(desired().inputs.dataset, digest="0" * 64)],
    "preamble": ["Be kind."],
    "preamble_as": ["systemInstruction"],
    "method": ["preference"],
    "hyperparameters": [
        Hyperparameters(epoch_count=5, adapter_size=4),
        Hyperparameters(epoch_count=5, beta=0.1),
    ],
    "validation": [desired().inputs.dataset],
    "tuning_mode": ["peft", "full"],
    "encryption_key": [KEY],
    "last_checkpoint_only": [True],
}


def test_fingerprints_of_the_first_release_do_not_change() -> None:
    # Another number here makes every user train every model again.
    assert desired().fingerprint == (
        "e6631c2205c83fc81add5ca5d67726a4c284c91c8abdfbca4687a3ad4bd1fd69"
    )
    full = desired(
        preamble="Be kind.", hyperparameters=Hyperparameters(epoch_count=3, learning_rate=0.001)
    )
    assert full.fingerprint == "183be1f47c07d770585ccd096f4954cfe34bef7467fa6758fed8cecdfc4df083"


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in INPUTS.items() for value in values]
)
def test_every_training_input_changes_the_fingerprint(field: str, value: Any) -> None:
    assert with_inputs(desired(), **{field: value}).fingerprint != desired().fingerprint


def test_the_table_contains_every_training_input() -> None:
    assert set(INPUTS) == {field.name for field in fields(TrainingInputs)}


def test_no_mutable_field_changes_the_fingerprint() -> None:
    values: dict[str, Any] = {
        "display_name": "Tone",
        "description": "text",
        "temperature": 0.5,
        "top_p": 0.5,
        "top_k": 5,
        "reader_project_numbers": (1,),
        "labels": {"team": "a"},
    }
    assert set(values) == {field.name for field in fields(MutableFields)}
    assert desired(**values).fingerprint == desired().fingerprint


def test_the_service_account_of_a_job_does_not_change_the_fingerprint() -> None:
    named = desired(service_account="tuner@p.iam.gserviceaccount.com")
    assert named.fingerprint == desired().fingerprint
