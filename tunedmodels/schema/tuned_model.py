"""The TunedModel manifest: the schema that `tunedmodels schema` publishes for editors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from tunedmodels.schema.dataset import (
    ExampleFile,
    HeldOutFile,
    HoldOutPart,
    TrainingDataset,
    TrainingFile,
    ValidationFile,
)
from tunedmodels.schema.fields import (
    Duration,
    EncryptionSpec,
    Label,
    LabelValue,
    ManifestModel,
    Metadata,
    Name,
    ServiceAccount,
    parse_duration,
)
from tunedmodels.schema.hyperparameters import (
    MAX_CANDIDATES,
    Hyperparameters,
    SweepSpec,
    SweepValues,
)

__all__ = [
    "MAX_CANDIDATES",
    "Evaluation",
    "ExampleFile",
    "GenerationConfig",
    "Hyperparameters",
    "Lifecycle",
    "MetricName",
    "SweepSpec",
    "SweepValues",
    "TrainingDataset",
    "TrainingFile",
    "TunedModelManifest",
    "TunedModelSpec",
    "ValidationFile",
    "parse_duration",
]


MetricName = Literal[
    "exactMatch",
    "normalizedMatch",
    "labelAccuracy",
    "macroF1",
    "chrF",
    "editSimilarity",
    "jsonFields",
]


class GenerationConfig(ManifestModel):
    """Settings for generating answers, named as in the API; an unset field is up to the model."""

    temperature: float = Field(
        default=0,
        ge=0,
        le=2,
        description="Randomness of answers; 0 gives the same, most likely answer every time.",
    )
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=1, le=1000)
    max_output_tokens: int | None = Field(default=None, ge=1, le=65536)


class Evaluation(HeldOutFile):
    """Held-out examples and the score that a version must reach before it serves.

    An evaluation is a gate if `atLeast` or `notWorseThanServingBy` is set.
    """

    metric: MetricName = Field(
        default="exactMatch", description="Comparison of an answer with the expected answer."
    )
    at_least: float | None = Field(
        default=None, ge=0, le=1, description="Minimum score of a version to serve."
    )
    not_worse_than_serving_by: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Maximum loss of score compared with the serving version, such as 0.02.",
    )
    few_shot: int = Field(
        default=5,
        ge=0,
        le=100,
        description="Number of training examples in the prompt of the base model, for `evaluate`.",
    )
    concurrency: int = Field(
        default=4, ge=1, le=64, description="Maximum number of concurrent requests."
    )
    generation_config: GenerationConfig = Field(
        default=GenerationConfig(), description="Settings for generating the answers."
    )
    on_inconclusive: Literal["refuse", "promote"] = Field(
        default="refuse",
        description="Action for a version when there are too few examples to decide.",
    )

    @property
    def is_gate(self) -> bool:
        """Whether a version must pass this evaluation to serve."""
        return self.at_least is not None or self.not_worse_than_serving_by is not None


class Lifecycle(ManifestModel):
    """Retention, deletion and retries of the versions of one name."""

    keep: int = Field(
        default=1,
        ge=0,
        le=100,
        description="Number of former versions to keep, so that a revert trains nothing.",
    )
    grace: Duration | None = Field(
        default=None,
        description="Minimum time since a version beyond `keep` last served before it is deleted, "
        "such as 7d.",
    )
    protect: bool = Field(
        default=False,
        description="Refuse to delete models of this name, even without a manifest.",
    )
    on_removal: Literal["delete", "retain"] = Field(
        default="delete", description="Action for the models when the manifest is removed."
    )
    retry: int = Field(
        default=1, ge=0, le=10, description="Number of new attempts after a failed job."
    )
    timeout: Duration = Field(
        default="2h", description="Maximum time that apply waits; the job continues after that."
    )

    @property
    def grace_s(self) -> float:
        """`grace` in seconds; 0 if unset."""
        return parse_duration(self.grace) if self.grace else 0.0

    @property
    def timeout_s(self) -> float:
        """`timeout` in seconds."""
        return parse_duration(self.timeout)


class TunedModelSpec(ManifestModel):
    """The desired state of a tuned model.

    A change of a training input (base model, examples, preamble, hyperparameters) creates a new
    version; all other fields are updated in place.
    """

    base_model: str | None = Field(
        default=None,
        pattern=r"^(models/[^\s/]+|[^\s/@]+/[^\s/@]+@[^\s/@]+)$",
        description="Base model as models/NAME, or an open model of Vertex AI as "
        "publisher/family@version; excludes tunedModel.",
    )
    tuned_model: Name | None = Field(
        default=None,
        description="Another TunedModel of this project to tune further; excludes baseModel.",
    )
    provider: str | None = Field(default=None, description="Provider, if not that of the Project.")
    dataset: TrainingDataset
    method: Literal["supervised", "preference"] = Field(
        default="supervised",
        description="Learn from responses, or from preferences between two responses.",
    )
    tuning_mode: Literal["peft", "full"] | None = Field(
        default=None,
        description="Of an open model: train an adapter (peft) or all parameters (full).",
    )
    validation: ValidationFile | None = Field(
        default=None, description="Examples for the validation loss during training."
    )
    task: Literal["classification", "summarization", "documentSearch"] | None = Field(
        default=None, description="Kind of task, for specific advice about the size of the dataset."
    )
    hyperparameters: Hyperparameters = Hyperparameters()
    sweep: SweepSpec | None = Field(
        default=None,
        description="Values to try; requires evaluation, whose metric chooses the best candidate.",
    )
    display_name: Annotated[str, StringConstraints(max_length=40)] | None = None
    description: str = ""
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1, le=1000)
    reader_project_numbers: tuple[int, ...] | None = Field(
        # strict=False: YAML has lists, no tuples; the items stay strict.
        default=None,
        strict=False,
        description="Numbers of the Google Cloud projects that can read the model.",
    )
    evaluation: Evaluation | None = Field(
        default=None, description="Held-out examples; checked for overlap with the training set."
    )
    service_account: ServiceAccount | None = Field(
        default=None, description="Service account of the job."
    )
    encryption_spec: EncryptionSpec | None = Field(
        default=None, description="Encryption key of the job and its model."
    )
    export_last_checkpoint_only: bool = Field(
        default=False, description="Whether only the last checkpoint is deployed."
    )
    lifecycle: Lifecycle = Lifecycle()

    @model_validator(mode="after")
    def _check_source(self) -> TunedModelSpec:
        if (self.base_model is None) == (self.tuned_model is None):
            raise PydanticCustomError("exclusive", "name exactly one of baseModel and tunedModel")
        return self

    @model_validator(mode="after")
    def _check_hold_out(self) -> TunedModelSpec:
        for part, held_out in (("evaluation", self.evaluation), ("validation", self.validation)):
            has_default = part == "evaluation" and self.dataset.hold_out is not None
            if held_out and not held_out.path and held_out.hold_out is None and not has_default:
                raise PydanticCustomError("missing-path", "{part} has no path", {"part": part})
        return self

    @property
    def hold_outs(self) -> tuple[HoldOutPart, ...]:
        """The parts of the dataset that training leaves out, in order."""
        parts = []
        for name, held_out in (("evaluation", self.evaluation), ("validation", self.validation)):
            share = held_out.hold_out if held_out else None
            if name == "evaluation" and share is None and not (held_out and held_out.path):
                share = self.dataset.hold_out
            if share is not None:
                by, seed = (held_out.by, held_out.seed_of_hold_out) if held_out else (None, 0)
                parts.append(HoldOutPart(name, share, by, seed))
        return tuple(parts)

    @model_validator(mode="after")
    def _check_method(self) -> TunedModelSpec:
        # Supervised training ignores `beta` and `rejectedField`.
        if self.method == "supervised" and (
            self.hyperparameters.beta is not None
            or self.dataset.rejected_field is not None
            or (self.validation and self.validation.rejected_field is not None)
        ):
            raise PydanticCustomError(
                "needs-preference", "beta and rejectedField need method: preference"
            )
        return self


# A resource of Google Cloud can have at least 32 labels, of which the stamp uses 6.
_MAX_LABELS = 26


class ModelMetadata(Metadata):
    """The name and the labels of a tuned model."""

    labels: dict[Label, LabelValue] = Field(
        default_factory=dict,
        max_length=_MAX_LABELS,
        description="Labels for people, billing and policies, such as team: support. Vertex AI "
        "stores them on the job and its model.",
    )
    formerly: tuple[Name, ...] = Field(
        default=(),
        strict=False,
        description="Former names of the model, whose versions are taken over in place.",
    )


class TunedModelManifest(ManifestModel):
    """The manifest of one tuned model."""

    api_version: Literal["tunedmodels.dev/v1"]
    kind: Literal["TunedModel"]
    metadata: ModelMetadata
    spec: TunedModelSpec
