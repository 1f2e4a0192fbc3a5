"""Messages of Vertex AI v1 that tuned models need: jobs, models, endpoints and operations.

Source: the v1 discovery document of aiplatform.googleapis.com. As for the Gemini API, all fields
are optional, unknown fields are ignored, an int64 is a string, and default values are not sent.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import msgspec

from tunedmodels.wire.gemini import ApiMessage
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


TUNING_MODES = {"peft": "TUNING_MODE_PEFT_ADAPTER", "full": "TUNING_MODE_FULL"}


class EncryptionSpec(ApiMessage):
    """EncryptionSpec: a key of Cloud KMS."""

    kms_key_name: str = ""


class Hyperparameters(ApiMessage):
    """Those of supervised tuning and of preference tuning; only the latter has `beta`.

    Only open models have `batch_size` and `learning_rate`, which v1 does not contain.
    """

    epoch_count: str | None = None  # int64, so a string on the wire
    learning_rate_multiplier: float | None = None
    adapter_size: str = ""
    batch_size: str | None = None  # int64
    learning_rate: float | None = None
    beta: float | None = None


class TuningSpec(ApiMessage):
    """SupervisedTuningSpec and PreferenceOptimizationSpec, which have the same fields."""

    training_dataset_uri: str = ""
    validation_dataset_uri: str = ""
    hyper_parameters: Hyperparameters | None = None
    export_last_checkpoint_only: bool = False
    tuning_mode: str = ""  # of open models, only in v1beta1


class PreTunedModel(ApiMessage):
    """The tuned model from which a job continues: `P/models/M@VERSION`."""

    tuned_model_name: str = ""
    base_model: str = ""


class TunedModelCheckpoint(ApiMessage):
    """A training step that has its own endpoint."""

    checkpoint_id: str = ""
    epoch: int = 0
    step: int = 0
    endpoint: str = ""


class TunedModel(ApiMessage):
    """The result of a job: a Model (`P/models/M@VERSION`) and its endpoints."""

    model: str = ""
    endpoint: str = ""
    checkpoints: list[TunedModelCheckpoint] = msgspec.field(default_factory=list)


class TuningStats(ApiMessage):
    """Statistics about the training data, for both methods.

    Supervised tuning counts dropped examples; preference tuning lists a sample of them.
    """

    tuning_dataset_example_count: int | None = None
    total_billable_token_count: int | None = None
    tuning_step_count: int | None = None
    total_truncated_example_count: int | None = None
    truncated_example_indices: list[int] = msgspec.field(default_factory=list)
    dropped_example_indices: list[int] = msgspec.field(default_factory=list)
    dropped_example_reasons: list[str] = msgspec.field(default_factory=list)


class TuningDataStats(ApiMessage):
    """The statistics of a job."""

    supervised: TuningStats | None = msgspec.field(default=None, name="supervisedTuningDataStats")
    preference: TuningStats | None = msgspec.field(
        default=None, name="preferenceOptimizationDataStats"
    )


class TuningJob(ApiMessage):
    """A job. It cannot be deleted, only cancelled. `name` contains the project number."""

    name: str = ""
    base_model: str = ""
    pre_tuned_model: PreTunedModel | None = None
    supervised_tuning_spec: TuningSpec | None = None
    preference_optimization_spec: TuningSpec | None = None
    tuned_model_display_name: str = ""
    description: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    encryption_spec: EncryptionSpec | None = None
    service_account: str = ""
    state: str = ""
    tuning_job_state: str = ""  # only in v1beta1; v1 may add it
    create_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    error: Status | None = None
    tuned_model: TunedModel | None = None
    tuning_data_stats: TuningDataStats | None = None
    gcs_metrics_uri: str = ""
    output_uri: str = ""  # of open models, only in v1beta1


class TuningJobPage(ApiMessage):
    """The response of tuningJobs.list."""

    entries: list[TuningJob] = msgspec.field(name="tuningJobs", default_factory=list)
    next_page_token: str = ""


class Model(ApiMessage):
    """An entry of the model registry, which a job creates. It contains our stamp."""

    name: str = ""
    version_id: str = ""
    display_name: str = ""
    description: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    etag: str = ""


class ModelPage(ApiMessage):
    """The response of models.list and of models.listVersions."""

    entries: list[Model] = msgspec.field(name="models", default_factory=list)
    next_page_token: str = ""


class DeployedModel(ApiMessage):
    """A model at an endpoint. `model_version_id` or the suffix of `model` is its version."""

    id: str = ""
    model: str = ""
    model_version_id: str = ""


class Endpoint(ApiMessage):
    """The endpoint of a model, `P/endpoints/E`. Its location may differ from that of the job."""

    name: str = ""
    deployed_models: list[DeployedModel] = msgspec.field(default_factory=list)
    traffic_split: dict[str, int] = msgspec.field(default_factory=dict)


class UndeployModelRequest(ApiMessage):
    """The request of undeployModel; `traffic_split` applies afterwards."""

    deployed_model_id: str = ""
    traffic_split: dict[str, int] = msgspec.field(default_factory=dict)


class Operation(ApiMessage):
    """google.longrunning.Operation."""

    name: str = ""
    done: bool = False
    error: Status | None = None


def decode(body: bytes, message_type: type[T]) -> T:
    """Decode a body, which must not be empty. Raises msgspec.DecodeError."""
    return msgspec.json.decode(body, type=message_type, strict=False)


def encode(message: ApiMessage) -> bytes:
    """Encode a message as compact JSON without default values."""
    return msgspec.json.encode(message)
