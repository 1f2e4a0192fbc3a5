"""What makes a new version: what cannot be changed after training, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.builders import desired
from tunedmodels.schema.tuned_model import Hyperparameters

KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"


def test_the_fingerprints_of_what_could_always_be_declared_stay_as_they_are() -> None:
    # Whoever changes this number makes every user train every model again.
    assert desired().fingerprint == (
        "e6631c2205c83fc81add5ca5d67726a4c284c91c8abdfbca4687a3ad4bd1fd69"
    )
    full = desired(
        preamble="Be kind.", hyperparameters=Hyperparameters(epoch_count=3, learning_rate=0.001)
    )
    assert full.fingerprint == "183be1f47c07d770585ccd096f4954cfe34bef7467fa6758fed8cecdfc4df083"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("method", "preference", id="method"),
        pytest.param("preamble_as", "systemInstruction", id="preamble as"),
        pytest.param("validation", desired().dataset, id="validation"),
        pytest.param("encryption_key", KEY, id="key"),
        pytest.param("last_checkpoint_only", True, id="last checkpoint only"),
        pytest.param("hyperparameters", Hyperparameters(epoch_count=5, adapter_size=4), id="size"),
        pytest.param("hyperparameters", Hyperparameters(epoch_count=5, beta=0.1), id="beta"),
    ],
)
def test_what_cannot_be_changed_after_training_makes_a_new_version(field: str, value: Any) -> None:
    assert replace(desired(), **{field: value}).fingerprint != desired().fingerprint


def test_the_account_of_a_job_leaves_no_trace_in_its_model() -> None:
    named = desired(service_account="tuner@p.iam.gserviceaccount.com")
    assert named.fingerprint == desired().fingerprint
