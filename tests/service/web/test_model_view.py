"""Stored models as the pages show them: the same as a client of the API reads."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.providers.gemini import convert
from tunedmodels.service.api import responses
from tunedmodels.service.errors import ApiStatus
from tunedmodels.service.records import StoredModel, TunedModelState
from tunedmodels.service.web.model_view import observed_from_record
from tunedmodels.stamp import Stamp, format_description
from tunedmodels.wire import gemini as wire

STAMP = Stamp("demo", "tone", "f" * 64, "d" * 64, 4)
CREATED = StoredModel(
    id="tone-1",
    operation="op",
    base_model="models/counting-001",
    source="",
    source_seq=None,
    display_name="Tone",
    description=format_description("For support.", STAMP),
    temperature=0.7,
    top_p=0.95,
    top_k=None,
    readers="[]",
    epoch_count=5,
    batch_size=4,
    learning_rate=0.001,
    total_steps=10,
    create_time="2026-11-22T12:00:00.123456Z",
    update_time="2026-11-22T12:00:00.123456Z",
    seq=1,
    state=TunedModelState.CREATING,
    start_time="",
    complete_time="",
    completed_steps=0,
    error_code=0,
    error_message="",
    crash_count=0,
)
STARTED = replace(CREATED, start_time="2026-11-22T12:00:01Z")
READY = replace(
    STARTED,
    state=TunedModelState.ACTIVE,
    complete_time="2026-11-22T12:00:09Z",
    completed_steps=10,
)
FAILED = replace(
    STARTED,
    state=TunedModelState.FAILED,
    complete_time="2026-11-22T12:00:05Z",
    error_code=ApiStatus.INTERNAL.code,
    error_message="the loss\nis not a number",
)
RECORDS = {
    "queued": CREATED,
    "training": STARTED,
    "ready": READY,
    "failed": FAILED,
    "cancelled": replace(FAILED, error_code=ApiStatus.CANCELLED.code, error_message="Cancelled."),
    "without a stamp": replace(READY, display_name="", description="free text", top_k=40),
    "continued": replace(READY, source="tunedModels/parent", source_seq=7, readers="[12, 34]"),
}


def read_by_a_client(model: StoredModel, curve: str) -> ObservedModel:
    """Return the model as the Gemini provider reads it from the API."""
    document = responses.encode(responses.tuned_model(model, curve))
    observed = convert.observed_model("embedded", wire.decode(document, wire.TunedModel))
    if model.state == TunedModelState.FAILED:
        operation = responses.encode(responses.operation(model, ""))
        state, failure = convert.job_outcome([wire.decode(operation, wire.Operation)])
        observed = replace(observed, state=state, failure=failure)
    return observed


def snapshots(*losses: float) -> str:
    return ",".join(
        responses.snapshot(step, step - 1, loss).decode() for step, loss in enumerate(losses, 1)
    )


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize(
    "losses", [(), (1.5,), (0.5, 0.0, 1e-7)], ids=lambda losses: f"{len(losses)} losses"
)
def test_a_record_is_observed_as_a_client_of_the_api_observes_it(
    name: str, losses: tuple[float, ...]
) -> None:
    curve = snapshots(*losses)
    assert observed_from_record(RECORDS[name], curve) == read_by_a_client(RECORDS[name], curve)


def test_a_loss_that_is_not_a_number_is_read() -> None:
    observed = observed_from_record(READY, snapshots(1.0, math.nan, math.inf))
    assert math.isnan(observed.curve[1].mean_loss)
    assert math.isinf(observed.curve[2].mean_loss)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("queued", ModelState.QUEUED),
        ("training", ModelState.TRAINING),
        ("ready", ModelState.READY),
        ("failed", ModelState.FAILED),
        ("cancelled", ModelState.CANCELLED),
    ],
)
def test_the_state_of_a_record(name: str, state: ModelState) -> None:
    assert observed_from_record(RECORDS[name]).state is state


def test_the_error_of_a_failed_job_is_one_line() -> None:
    assert observed_from_record(FAILED).failure == "the loss is not a number"
