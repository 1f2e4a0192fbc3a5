"""The hyperparameters of a training: one value each or, in a sweep, several values to try."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tunedmodels.schema.fields import ManifestModel

MAX_CANDIDATES: Final = 64

_Epochs = Annotated[int, Field(ge=1, le=1000)]
_BatchSize = Annotated[int, Field(ge=1, le=1024)]
_Rate = Annotated[float, Field(gt=0, le=1)]
_AdapterSize = Literal[1, 2, 4, 8, 16, 32]
_RateFactor = Annotated[float, Field(gt=0, le=1000)]


class Hyperparameters(ManifestModel):
    """Settings of the training, named as in the API; an unset field takes the service's default."""

    epoch_count: _Epochs | None = Field(
        default=None, description="Full passes over the data; default 5."
    )
    batch_size: _BatchSize | None = Field(
        default=None, description="Examples per training step; default 4."
    )
    learning_rate: _Rate | None = Field(
        default=None, description="Learning rate; excludes learningRateMultiplier; default 0.001."
    )
    learning_rate_multiplier: _RateFactor | None = Field(
        default=None, description="Factor for the default learning rate; excludes learningRate."
    )
    adapter_size: _AdapterSize | None = Field(
        default=None,
        description="Rank of the adapter; a larger adapter learns more and needs more examples.",
    )
    beta: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="With method: preference, how close the model stays to the base model.",
    )

    @model_validator(mode="after")
    def _check_rates(self) -> Hyperparameters:
        if self.learning_rate is not None and self.learning_rate_multiplier is not None:
            raise PydanticCustomError(
                "exclusive", "learningRate and learningRateMultiplier exclude each other; keep one"
            )
        return self


def _swept_field(description: str) -> Any:  # noqa: ANN401  # a field of any type, like pydantic's
    # strict=False: YAML has lists, no tuples; the items stay strict.
    return Field(default=None, strict=False, min_length=1, description=description)


class SweepValues(ManifestModel):
    """The values to try per setting; all other settings are those of `hyperparameters`."""

    epoch_count: tuple[_Epochs, ...] | None = _swept_field(
        "Full passes over the data, such as [3, 5]."
    )
    batch_size: tuple[_BatchSize, ...] | None = _swept_field("Examples per training step.")
    learning_rate: tuple[_Rate, ...] | None = _swept_field(
        "Learning rates; excludes learningRateMultiplier."
    )
    learning_rate_multiplier: tuple[_RateFactor, ...] | None = _swept_field(
        "Factors for the default learning rate; excludes learningRate."
    )
    adapter_size: tuple[_AdapterSize, ...] | None = _swept_field(
        "Rank of the adapter, such as [4, 8]."
    )

    @property
    def candidate_count(self) -> int:
        """The number of combinations."""
        return math.prod(len(values) for values in self._values_by_name().values())

    def combinations(self, shared: Hyperparameters) -> tuple[Hyperparameters, ...]:
        """Return the first 64 combinations; `shared` gives the settings that are not swept.

        They are ordered by the fields of this class, of which the first changes the slowest.
        """
        lists = self._values_by_name()
        products = itertools.islice(itertools.product(*lists.values()), MAX_CANDIDATES)
        return tuple(
            shared.model_copy(update=dict(zip(lists, values, strict=True))) for values in products
        )

    def _values_by_name(self) -> dict[str, tuple[float, ...]]:
        lists = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: values for name, values in lists.items() if values}


class SweepSpec(ManifestModel):
    """Several settings to train; the candidate with the best `evaluation` becomes the version.

    Every combination of the values is a candidate: 2 to 64 of them, all priced in the plan.
    """

    hyperparameters: SweepValues = Field(description="The values to try, as lists.")
    pick: Literal["best"] = Field(
        default="best",
        description="Choice of the candidate: the highest score of evaluation.metric; among equal "
        "scores, the first declared.",
    )
    max_cost_usd: float | None = Field(
        default=None, ge=0, description="Maximum cost of the candidates in one plan, in US dollars."
    )
