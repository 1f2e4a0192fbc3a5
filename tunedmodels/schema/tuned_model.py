"""The TunedModel manifest, as written: the schema that people see and editors complete."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from tunedmodels.schema.fields import (
    Duration,
    EncryptionSpec,
    Label,
    LabelValue,
    Metadata,
    Name,
    ServiceAccount,
    Written,
    seconds,
)
from tunedmodels.schema.hyperparameters import (
    MOST_CANDIDATES,
    Hyperparameters,
    Sweep,
    SweptHyperparameters,
)

__all__ = [
    "MOST_CANDIDATES",
    "Dataset",
    "Evaluation",
    "Examples",
    "GenerationConfig",
    "Hyperparameters",
    "Lifecycle",
    "MetricName",
    "Sweep",
    "SweptHyperparameters",
    "Training",
    "TunedModelManifest",
    "TunedModelSpec",
    "seconds",
]


DatasetFormat = Literal["jsonl", "json", "csv", "tsv", "contents"]
Path = Annotated[str, StringConstraints(min_length=1)]


class Examples(Written):
    """A file of (prompt, expected response) examples.

    `format` follows the file's ending unless it is said: .jsonl, .json, .csv, .tsv. `contents` is
    the JSONL of Vertex AI and is recognised by itself in a .jsonl file.
    """

    path: Path = Field(
        description="Relative to the folder of the Project file, and inside it; with a provider of "
        "type vertex also gs://BUCKET/OBJECT."
    )
    format: DatasetFormat | None = None
    input_field: str = Field(default="text_input", min_length=1)
    output_field: str = Field(default="output", min_length=1)


class Training(Examples):
    """Examples that the service is given, which is all but those of the evaluation."""

    rejected_field: str | None = Field(
        default=None,
        min_length=1,
        description="With method: preference, the response that is worse; default rejected.",
    )


class Dataset(Training):
    """The training examples."""

    preamble: str = Field(
        default="", description="Put before every input, in training and in generate alike."
    )
    preamble_as: Literal["input", "systemInstruction"] = Field(
        default="input",
        description="Whether the preamble is a part of the input or the system instruction.",
    )


MetricName = Literal[
    "exactMatch",
    "normalizedMatch",
    "labelAccuracy",
    "macroF1",
    "chrF",
    "editSimilarity",
    "jsonFields",
]


class GenerationConfig(Written):
    """How a model draws its answer, by the names of the API; what is unset, the model decides."""

    temperature: float = Field(
        default=0, ge=0, le=2, description="0 takes the likeliest answer, the same every time."
    )
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=1, le=1000)
    max_output_tokens: int | None = Field(default=None, ge=1, le=65536)


class Evaluation(Examples):
    """Held-out examples, and how good a version must be at them before it serves.

    It is a gate as soon as `atLeast` or `notWorseThanServingBy` is set.
    """

    metric: MetricName = Field(
        default="exactMatch", description="How an answer is held against the expected one."
    )
    at_least: float | None = Field(
        default=None, ge=0, le=1, description="The score that a version must reach to serve."
    )
    not_worse_than_serving_by: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="How much of the serving version's score a new one may lose, such as 0.02.",
    )
    few_shot: int = Field(
        default=5,
        ge=0,
        le=100,
        description="Training examples in the prompt of the base model, for `evaluate`.",
    )
    concurrency: int = Field(default=4, ge=1, le=64, description="Questions asked at once.")
    generation_config: GenerationConfig = Field(
        default=GenerationConfig(), description="How answers are drawn."
    )
    on_inconclusive: Literal["refuse", "promote"] = Field(
        default="refuse",
        description="What becomes of a version when there are too few examples to decide.",
    )

    @property
    def is_gate(self) -> bool:
        """Whether a version must pass it to serve."""
        return self.at_least is not None or self.not_worse_than_serving_by is not None


class Lifecycle(Written):
    """How versions of one name come and go."""

    keep: int = Field(
        default=1, ge=0, le=100, description="Former versions kept, so that a revert is free."
    )
    grace: Duration | None = Field(
        default=None,
        description="A version beyond `keep` goes only when it has not served for so long: 7d.",
    )
    protect: bool = Field(
        default=False, description="Refuse to delete this name's models, also without a manifest."
    )
    on_removal: Literal["delete", "retain"] = Field(
        default="delete", description="What happens to the models when the manifest goes."
    )
    retry: int = Field(default=1, ge=0, le=10, description="New attempts after a failed job.")
    timeout: Duration = Field(
        default="2h", description="How long apply waits; the job itself goes on after that."
    )

    @property
    def grace_s(self) -> float:
        """`grace` in seconds; 0 without one."""
        return seconds(self.grace) if self.grace else 0.0

    @property
    def timeout_s(self) -> float:
        """`timeout` in seconds."""
        return seconds(self.timeout)


class TunedModelSpec(Written):
    """What a tuned model should be.

    Whatever cannot change after training (base, examples, preamble, hyperparameters) makes a new
    version when it is edited; the rest is updated in place.
    """

    base_model: str | None = Field(
        default=None, pattern=r"^models/[^\s/]+$", description="models/NAME, or use tunedModel."
    )
    tuned_model: Name | None = Field(
        default=None, description="Another TunedModel of this project to continue from."
    )
    provider: str | None = Field(default=None, description="Overrides the Project's provider.")
    dataset: Dataset
    method: Literal["supervised", "preference"] = Field(
        default="supervised",
        description="Learn responses, or to prefer one of two responses over the other.",
    )
    validation: Training | None = Field(
        default=None, description="Examples that the service measures its loss on while it trains."
    )
    task: Literal["classification", "summarization", "documentSearch"] | None = Field(
        default=None, description="Makes the advice about dataset size specific."
    )
    hyperparameters: Hyperparameters = Hyperparameters()
    sweep: Sweep | None = Field(
        default=None, description="Values to try; needs evaluation, whose metric chooses the best."
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
        description="Numbers of the Google Cloud projects that may read the model.",
    )
    evaluation: Evaluation | None = Field(
        default=None, description="Held-out examples; checked for overlap with the training set."
    )
    service_account: ServiceAccount | None = Field(
        default=None, description="The account that the job runs as."
    )
    encryption_spec: EncryptionSpec | None = Field(
        default=None, description="The key that the job and its model are encrypted with."
    )
    export_last_checkpoint_only: bool = Field(
        default=False, description="Deploy the last checkpoint alone, and none of those before it."
    )
    lifecycle: Lifecycle = Lifecycle()

    @model_validator(mode="after")
    def _one_source(self) -> TunedModelSpec:
        if (self.base_model is None) == (self.tuned_model is None):
            raise PydanticCustomError("exclusive", "name exactly one of baseModel and tunedModel")
        return self

    @model_validator(mode="after")
    def _one_method(self) -> TunedModelSpec:
        # `beta` and `rejectedField` say nothing about learning a response.
        if self.method == "supervised" and (
            self.hyperparameters.beta is not None
            or self.dataset.rejected_field is not None
            or (self.validation and self.validation.rejected_field is not None)
        ):
            raise PydanticCustomError(
                "needs-preference", "beta and rejectedField need method: preference"
            )
        return self


# A resource of Google Cloud has at least 32 labels, of which 6 are our stamp's.
_MOST_LABELS = 26


class ModelMetadata(Metadata):
    """What a tuned model is called, and what it is filed under."""

    labels: dict[Label, LabelValue] = Field(
        default_factory=dict,
        max_length=_MOST_LABELS,
        description="For people, bills and policies, such as team: support. On Vertex AI the job "
        "and its model bear them.",
    )


class TunedModelManifest(Written):
    """The declaration of one tuned model."""

    api_version: Literal["tunedmodels.dev/v1"]
    kind: Literal["TunedModel"]
    metadata: ModelMetadata
    spec: TunedModelSpec
