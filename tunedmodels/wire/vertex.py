"""The shapes of Vertex AI v1 that tuned models need: jobs, models, endpoints, operations.

Source: the v1 discovery document of aiplatform.googleapis.com. Read tolerantly, as those of the
Gemini API are (unknown fields are ignored, everything is optional, int64 is a string); sent
exactly: what has a default is left out.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import msgspec

from tunedmodels.wire.gemini import Shape
from tunedmodels.wire.status import Status

T = TypeVar("T")

ADAPTER_SIZES = {
    1: "ADAPTER_SIZE_ONE",
    2: "ADAPTER_SIZE_TWO",
    4: "ADAPTER_SIZE_FOUR",
    8: "ADAPTER_SIZE_EIGHT",
    16: "ADAPTER_SIZE_SIXTEEN",
    32: "ADAPTER_SIZE_THIRTY_TWO",
}


class Encryption(Shape):
    """EncryptionSpec: a key of Cloud KMS."""

    kms_key_name: str = ""


class Hyperparameters(Shape):
    """Those of supervised tuning and of preference tuning, which alone has `beta`."""

    epoch_count: str | None = None  # int64, so a string on the wire
    learning_rate_multiplier: float | None = None
    adapter_size: str = ""
    beta: float | None = None


class TuningSpec(Shape):
    """SupervisedTuningSpec and PreferenceOptimizationSpec, which have the same fields."""

    training_dataset_uri: str = ""
    validation_dataset_uri: str = ""
    hyper_parameters: Hyperparameters | None = None
    export_last_checkpoint_only: bool = False


class PreTunedModel(Shape):
    """The tuned model to continue from: `P/models/M@VERSION`."""

    tuned_model_name: str = ""
    base_model: str = ""


class Checkpoint(Shape):
    """A step of the training that was deployed for itself."""

    checkpoint_id: str = ""
    epoch: int = 0
    step: int = 0
    endpoint: str = ""


class Result(Shape):
    """What a job made: a Model (`P/models/M@VERSION`) and where it can be asked."""

    model: str = ""
    endpoint: str = ""
    checkpoints: list[Checkpoint] = msgspec.field(default_factory=list)


class Stats(Shape):
    """What the service found in the training data, of both methods.

    Supervised tuning counts dropped examples; preference tuning names a sample of them.
    """

    tuning_dataset_example_count: int | None = None
    total_billable_token_count: int | None = None
    tuning_step_count: int | None = None
    total_truncated_example_count: int | None = None
    truncated_example_indices: list[int] = msgspec.field(default_factory=list)
    dropped_example_indices: list[int] = msgspec.field(default_factory=list)
    dropped_example_reasons: list[str] = msgspec.field(default_factory=list)


class DataStats(Shape):
    """TuningDataStats."""

    supervised: Stats | None = msgspec.field(default=None, name="supervisedTuningDataStats")
    preference: Stats | None = msgspec.field(default=None, name="preferenceOptimizationDataStats")


class TuningJob(Shape):
    """A job; it can be cancelled and never deleted. `name` holds the number of the project."""

    name: str = ""
    base_model: str = ""
    pre_tuned_model: PreTunedModel | None = None
    supervised_tuning_spec: TuningSpec | None = None
    preference_optimization_spec: TuningSpec | None = None
    tuned_model_display_name: str = ""
    description: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    encryption_spec: Encryption | None = None
    service_account: str = ""
    state: str = ""
    tuning_job_state: str = ""  # v1beta1 alone has it; v1 may come to say it, too
    create_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    error: Status | None = None
    tuned_model: Result | None = None
    tuning_data_stats: DataStats | None = None


class TuningJobPage(Shape):
    """The answer of tuningJobs.list."""

    entries: list[TuningJob] = msgspec.field(name="tuningJobs", default_factory=list)
    next_page_token: str = ""


class Model(Shape):
    """An entry of the model registry: what a job leaves, and what carries our stamp after it."""

    name: str = ""
    version_id: str = ""
    display_name: str = ""
    description: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    etag: str = ""


class ModelPage(Shape):
    """The answer of models.list, and of models.listVersions."""

    entries: list[Model] = msgspec.field(name="models", default_factory=list)
    next_page_token: str = ""


class DeployedModel(Shape):
    """A model at an endpoint. `model` may name a version; `model_version_id` does, where it is."""

    id: str = ""
    model: str = ""
    model_version_id: str = ""


class Endpoint(Shape):
    """Where a model is asked: `P/endpoints/E`, perhaps in another location than its job."""

    name: str = ""
    deployed_models: list[DeployedModel] = msgspec.field(default_factory=list)
    traffic_split: dict[str, int] = msgspec.field(default_factory=dict)


class EndpointPage(Shape):
    """The answer of endpoints.list."""

    entries: list[Endpoint] = msgspec.field(name="endpoints", default_factory=list)
    next_page_token: str = ""


class Undeploy(Shape):
    """UndeployModelRequest: the split is that of the traffic afterwards."""

    deployed_model_id: str = ""
    traffic_split: dict[str, int] = msgspec.field(default_factory=dict)


class Operation(Shape):
    """google.longrunning.Operation."""

    name: str = ""
    done: bool = False
    error: Status | None = None


def decode(body: bytes, shape: type[T]) -> T:
    """Decode a body; an empty one is an empty message. Raises msgspec.DecodeError."""
    return msgspec.json.decode(body or b"{}", type=shape, strict=False)


def encode(message: Shape) -> bytes:
    """Encode a message as compact JSON, defaults left out."""
    return msgspec.json.encode(message)
