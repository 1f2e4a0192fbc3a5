"""The settings of a training, one value each or, in a sweep, several to try."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tunedmodels.schema.fields import Written

_Epochs = Annotated[int, Field(ge=1, le=1000)]
_BatchSize = Annotated[int, Field(ge=1, le=1024)]
_Rate = Annotated[float, Field(gt=0, le=1)]
_AdapterSize = Literal[1, 2, 4, 8, 16, 32]
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
    adapter_size: _AdapterSize | None = Field(
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
    adapter_size: tuple[_AdapterSize, ...] | None = _tried("Rank of the adapter, such as [4, 8].")

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
