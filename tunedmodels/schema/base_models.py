"""The table of base models: the bundled rows, and those of a project on top of them.

The bundled file is read once it is asked for anything, and costs some milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tunedmodels.schema.fields import Day, Written

# FOLDED
# What a row of the table of base models may say; a fact that nobody knows is left out.
ProviderType = Literal["embedded", "gemini", "vertex"]
Certainty = Literal["documented", "observed", "unofficial"]
Word = Annotated[str, StringConstraints(min_length=1)]


class Sourced(Written):
    """A fact, who says so, and when it was looked up.

    `documented` by the service, `observed` in its answers, or `unofficial`: read by somebody else.
    """

    source: str = ""
    as_of: Day | None = Field(default=None, description="When this was looked up.")
    certainty: Certainty = "documented"


class Price(Sourced):
    """What training costs."""

    usd_per_million_tokens: float = Field(
        ge=0, description="US dollars per million training tokens: tokens of the data x epochs."
    )


class Retirement(Sourced):
    """When a base model, and whatever was tuned on it, stops to answer."""

    date: Day


class Inference(Sourced):
    """What the answers of a tuned model cost."""

    factor: float = Field(gt=0, description="Times what the answers of the base model cost.")


class DatasetLimits(Written):
    """What a base model takes as examples."""

    max_bytes: int | None = Field(default=None, ge=1, description="Of the training file.")
    max_examples: int | None = Field(default=None, ge=1)
    max_tokens_per_example: int | None = Field(default=None, ge=1)
    max_validation_examples: int | None = Field(default=None, ge=1)
    max_validation_percent: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Of the training examples, once there are more than 1,000 for validation.",
    )


class BaseModelRow(Sourced):
    """One base model on one type of provider."""

    name: Annotated[str, StringConstraints(pattern=r"^[^\s/]+$")] = Field(
        description="Without models/ before it."
    )
    provider: ProviderType = Field(description="The type of provider, not its name.")
    tunable: bool | None = None
    tune_in: tuple[Word, ...] | None = Field(
        # strict=False: YAML has lists, no tuples; the items stay strict.
        default=None,
        strict=False,
        description="Locations in which it is tuned; unset is unknown.",
    )
    serve_from: tuple[Word, ...] | None = Field(
        default=None, strict=False, description="Locations that answer, if not where it was tuned."
    )
    adapter_sizes: tuple[int, ...] | None = Field(default=None, strict=False)
    dataset: DatasetLimits | None = None
    continues: bool | None = Field(
        default=None, description="Whether tuning goes on from a model that was tuned on it."
    )
    retirement: Retirement | None = None
    price: Price | None = None
    inference: Inference | None = None


class ProviderRow(Written):
    """What holds for every base model of a type of provider that does not say otherwise."""

    price: Price


class Bundled(Written):
    """The file that comes with this package."""

    providers: dict[ProviderType, ProviderRow]
    base_models: tuple[BaseModelRow, ...] = Field(strict=False)


Key = tuple[ProviderType, str]


class BaseModels:
    """What is known of base models; a row of the project wins field by field."""

    def __init__(self, own: Iterable[BaseModelRow] = ()) -> None:
        self._own = tuple(own)

    @cached_property
    def _rows(self) -> Mapping[Key, BaseModelRow]:
        bundled = read_bundled().base_models
        rows: dict[Key, BaseModelRow] = {(row.provider, row.name): row for row in bundled}
        for row in self._own:
            key = row.provider, row.name
            rows[key] = _corrected(rows[key], row) if key in rows else row
        return rows

    def find(self, provider: ProviderType, base: str) -> BaseModelRow | None:
        """Return the row of a base model, or None where it is not known."""
        return self._rows.get((provider, bare(base)))

    def names(self, provider: ProviderType) -> list[str]:
        """Return every base model that is known for a type of provider."""
        return [row.name for row in self._rows.values() if row.provider == provider]

    def price(self, provider: ProviderType, base: str) -> Price | None:
        """Return what training costs: the row's own price, else that of the whole provider."""
        row = self.find(provider, base)
        if row and row.price:
            return row.price
        of_all = read_bundled().providers.get(provider)
        return of_all.price if of_all else None


def bare(base: str) -> str:
    """Return the name of a base model without what stands before it."""
    return base.rsplit("/", 1)[-1]


@cache
def read_bundled() -> Bundled:
    """Return what comes with this package."""
    import yaml  # noqa: PLC0415  # only where a base model is asked for

    text = files("tunedmodels.schema").joinpath("base_models.yaml").read_bytes()
    # The C parser takes one millisecond, the other one ten.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return Bundled.model_validate(yaml.load(text, Loader=loader))  # noqa: S506  # both are safe


def _corrected(bundled: BaseModelRow, own: BaseModelRow) -> BaseModelRow:
    said = {name: getattr(own, name) for name in own.model_fields_set}
    return bundled.model_copy(update={"source": "spec.baseModels of the Project", **said})
