"""The TunedModel manifest, as written: the schema that people see and editors complete."""

from __future__ import annotations

import itertools
import math
import re
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from tunedmodels.settings import EncryptionSpec, Metadata, Name, ServiceAccount
from tunedmodels.written import Written

_UNITS = (86_400, 3_600, 60, 1)
# Six digits of hours: 100 years, and no number that a float cannot hold.
_DURATION = re.compile(r"^(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?$", re.ASCII)


def seconds(text: str) -> float:
    """Read a duration such as `30d`, `2h`, `90m`, `1h30m` or `45s`.

    Raises ValueError when it is none, or zero.
    """
    found = _DURATION.match(text)
    parts = found.groups("0") if found else ()
    total = sum(int(part) * unit for part, unit in zip(parts, _UNITS, strict=False))
    if not total:
        raise ValueError(f"{text[:60]!r} is no duration; write for example 2h, 90m or 7d")
    return float(total)


def _checked(value: object) -> object:
    if isinstance(value, str):
        seconds(value)
    return value


Duration = Annotated[str, BeforeValidator(_checked)]
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


_Epochs = Annotated[int, Field(ge=1, le=1000)]
_BatchSize = Annotated[int, Field(ge=1, le=1024)]
_Rate = Annotated[float, Field(gt=0, le=1)]
_RateFactor = Annotated[float, Field(gt=0, le=1000)]


class Hyperparameters(Written):
    """The settings of the API, by its names; what is unset takes the service's default."""

    epoch_count: _Epochs | None = Field(
        default=None, description="Full passes over the data; default 5."
    )
    batch_size: _BatchSize | None = Field(
        default=None, description="Examples per training step; default 4."
    )
    learning_rate: _Rate | None = Field(
        default=None, description="Default 0.001; excludes learningRateMultiplier."
    )
    learning_rate_multiplier: _RateFactor | None = Field(
        default=None, description="Scales the default rate; excludes learningRate."
    )
    adapter_size: Literal[1, 2, 4, 8, 16, 32] | None = Field(
        default=None, description="Rank of the adapter: more learns more, and needs more examples."
    )
    beta: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="With method: preference, how near to stay to the base model.",
    )

    @model_validator(mode="after")
    def _one_rate(self) -> Hyperparameters:
        if self.learning_rate is not None and self.learning_rate_multiplier is not None:
            raise PydanticCustomError(
                "exclusive", "learningRate and learningRateMultiplier exclude each other; keep one"
            )
        return self


MOST_CANDIDATES: Final = 64


def _tried(description: str) -> Any:  # noqa: ANN401  # a field of any type, as for pydantic's own
    # strict=False: YAML has lists, no tuples; the items stay strict.
    return Field(default=None, strict=False, min_length=1, description=description)


class SweptHyperparameters(Written):
    """The values that are tried of each setting; all others are those of `hyperparameters`."""

    epoch_count: tuple[_Epochs, ...] | None = _tried("Full passes over the data, such as [3, 5].")
    batch_size: tuple[_BatchSize, ...] | None = _tried("Examples per training step.")
    learning_rate: tuple[_Rate, ...] | None = _tried("Excludes learningRateMultiplier.")
    learning_rate_multiplier: tuple[_RateFactor, ...] | None = _tried("Excludes learningRate.")

    @property
    def count(self) -> int:
        """How many combinations there are."""
        return math.prod(len(values) for values in self._lists().values())

    def settings(self, shared: Hyperparameters) -> tuple[Hyperparameters, ...]:
        """Return every combination, with `shared` for what is not swept; at most the first 64.

        They are ordered as the fields of this class, the first of which changes the slowest.
        """
        lists = self._lists()
        combinations = itertools.islice(itertools.product(*lists.values()), MOST_CANDIDATES)
        return tuple(
            shared.model_copy(update=dict(zip(lists, values, strict=True)))
            for values in combinations
        )

    def _lists(self) -> dict[str, tuple[float, ...]]:
        lists = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: values for name, values in lists.items() if values}


class Sweep(Written):
    """Several settings are trained, and the best by `evaluation` serves.

    Every combination of the values is a candidate: 2 to 64 of them, all priced in the plan.
    """

    hyperparameters: SweptHyperparameters = Field(description="The values to try, as lists.")
    pick: Literal["best"] = Field(
        default="best",
        description="The highest score of evaluation.metric; of equal ones the first declared.",
    )
    max_cost_usd: float | None = Field(
        default=None, ge=0, description="US dollars that one plan may spend on the candidates."
    )


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


class TunedModelManifest(Written):
    """The declaration of one tuned model."""

    api_version: Literal["tunedmodels.dev/v1"]
    kind: Literal["TunedModel"]
    metadata: Metadata
    spec: TunedModelSpec
