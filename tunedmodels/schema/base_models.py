"""Facts about base models that are known offline: where they are tuned, their limits and prices.

The bundled file is read at the first lookup, which takes some milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache, cached_property
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tunedmodels.schema.fields import IsoDate, ManifestModel

ProviderType = Literal["embedded", "gemini", "vertex"]
Certainty = Literal["documented", "observed", "unofficial"]
TuningMode = Literal["peft", "full"]
NonEmptyText = Annotated[str, StringConstraints(min_length=1)]
_CatalogKey = tuple[ProviderType, str]


class SourcedFact(ManifestModel):
    """A fact with its source and the date of the lookup."""

    source: str = ""
    as_of: IsoDate | None = Field(default=None, description="Date of the lookup.")
    certainty: Certainty = "documented"
    """Documented by the service, observed in its answers, or unofficial: from a third party."""


class Price(SourcedFact):
    """The price of training."""

    usd_per_million_tokens: float = Field(
        ge=0, description="US dollars per million training tokens: tokens of the data x epochs."
    )


class BaseModelRetirement(SourcedFact):
    """The date on which a base model, and every model tuned on it, stops answering."""

    date: IsoDate
    or_later: bool = Field(
        default=False,
        description="Whether the service may postpone the date, but does not bring it forward.",
    )

    @property
    def text(self) -> str:
        """The date as text."""
        return f"{self.date} or later" if self.or_later else str(self.date)


class Inference(SourcedFact):
    """The price of answers from a tuned model."""

    factor: float = Field(
        gt=0, description="Price of an answer, as a multiple of the base model's price."
    )


class DatasetLimits(ManifestModel):
    """Limits on the examples that a base model accepts."""

    max_bytes: int | None = Field(
        default=None, ge=1, description="Maximum size of the training file."
    )
    max_examples: int | None = Field(default=None, ge=1)
    max_tokens_per_example: int | None = Field(default=None, ge=1)
    max_validation_examples: int | None = Field(default=None, ge=1)
    max_validation_percent: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Maximum number of validation examples, in percent of the training examples; "
        "applies above 1,000 validation examples.",
    )
    max_validation_bytes_percent: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Maximum size of the validation file, in percent of the training file.",
    )


class BaseModelInfo(SourcedFact):
    """One base model on one type of provider. An unset field is unknown."""

    name: Annotated[str, StringConstraints(pattern=r"^([^\s/]+|[^\s/@]+/[^\s/@]+@[^\s/@]+)$")] = (
        Field(description="Name without models/, or publisher/family@version of an open model.")
    )
    provider: ProviderType = Field(description="Type of the provider, not its name.")
    tunable: bool | None = None
    is_preview: bool = Field(default=False, description="Whether its tuning is a preview.")
    tune_in: tuple[NonEmptyText, ...] | None = Field(
        # strict=False: YAML has lists, no tuples; the items stay strict.
        default=None,
        strict=False,
        description="Locations in which it can be tuned; unknown if unset.",
    )
    serve_from: tuple[NonEmptyText, ...] | None = Field(
        default=None,
        strict=False,
        description="Locations that answer, if different from the location of the tuning.",
    )
    adapter_sizes: tuple[int, ...] | None = Field(default=None, strict=False)
    tuning_modes: tuple[TuningMode, ...] | None = Field(
        default=None,
        strict=False,
        description="Of an open model: peft (an adapter), full (all parameters), or both.",
    )
    customer_keys: bool | None = Field(
        default=None, description="Whether jobs can use a customer-managed encryption key."
    )
    thinking_level: Literal["MINIMAL", "LOW"] | None = Field(
        default=None, description="Lowest level of thinking, with which tuned models are asked."
    )
    thinking_budget: int | None = Field(
        default=None, ge=0, description="The same for a base model with a budget in tokens."
    )
    accepts_sampling: bool | None = Field(
        default=None,
        description="Whether requests may set temperature, topP and topK; false if deprecated.",
    )
    dataset: DatasetLimits | None = None
    continues: bool | None = Field(
        default=None, description="Whether a model tuned on it can be tuned further."
    )
    retirement: BaseModelRetirement | None = None
    price: Price | None = None
    inference: Inference | None = None

    @property
    def reference(self) -> str:
        """The name as a manifest has it in `baseModel`."""
        return reference(self.name)

    @property
    def is_open(self) -> bool:
        """Whether it is an open model, whose tuned weights are in the bucket and do not serve."""
        return is_open_model(self.name)

    def retires_within(self, days: int, today: date) -> bool:
        """Whether it retires within some days, or has retired."""
        return self.retirement is not None and (self.retirement.date - today).days <= days


class ProviderInfo(ManifestModel):
    """Facts about a type of provider; the entry of a base model takes precedence."""

    price: Price


class BundledData(ManifestModel):
    """The content of the bundled file."""

    providers: dict[ProviderType, ProviderInfo]
    base_models: tuple[BaseModelInfo, ...] = Field(strict=False)


class BaseModelCatalog:
    """The bundled base models and those of a project, which take precedence field by field."""

    def __init__(self, overrides: Iterable[BaseModelInfo] = ()) -> None:
        self._overrides = tuple(overrides)

    @cached_property
    def _entries(self) -> Mapping[_CatalogKey, BaseModelInfo]:
        bundled = read_bundled().base_models
        entries: dict[_CatalogKey, BaseModelInfo] = {
            (entry.provider, entry.name): entry for entry in bundled
        }
        for entry in self._overrides:
            key = entry.provider, entry.name
            entries[key] = _override(entries[key], entry) if key in entries else entry
        return entries

    def get(self, provider: ProviderType, base: str) -> BaseModelInfo | None:
        """Return the entry of a base model, or None if it is unknown."""
        return self._entries.get((provider, strip_prefix(base)))

    def names(self, provider: ProviderType) -> list[str]:
        """Return the names of all known base models of a type of provider."""
        return [entry.name for entry in self._entries.values() if entry.provider == provider]

    def infos(self) -> list[BaseModelInfo]:
        """Return the entries of all base models, in the order of the table."""
        return list(self._entries.values())

    def price(self, provider: ProviderType, base: str) -> Price | None:
        """Return the price of training: that of the base model, or else of the provider."""
        entry = self.get(provider, base)
        if entry and entry.price:
            return entry.price
        provider_info = read_bundled().providers.get(provider)
        return provider_info.price if provider_info else None


def strip_prefix(base: str) -> str:
    """Return the name of a base model without `models/` or another prefix.

    An open model keeps its publisher: `publisher/family@version`.
    """
    *prefix, name = (
        base.removeprefix("models/").removeprefix("publishers/").replace("/models/", "/").split("/")
    )
    return f"{prefix[-1]}/{name}" if "@" in name and prefix else name


def is_open_model(base: str) -> bool:
    """Whether a name is that of an open model, `publisher/family@version`."""
    return "/" in strip_prefix(base)


def reference(name: str) -> str:
    """Return a name from this table as a manifest has it in `baseModel`."""
    return name if is_open_model(name) else f"models/{name}"


@cache
def read_bundled() -> BundledData:
    """Return the data that comes with this package."""
    import yaml  # noqa: PLC0415  # start-up: only lookups need it

    text = files("tunedmodels.schema").joinpath("base_models.yaml").read_bytes()
    # The C parser takes one millisecond, the pure Python parser ten.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return BundledData.model_validate(yaml.load(text, Loader=loader))  # noqa: S506  # both are safe


def _override(bundled: BaseModelInfo, override: BaseModelInfo) -> BaseModelInfo:
    changes = {name: getattr(override, name) for name in override.model_fields_set}
    return bundled.model_copy(update={"source": "spec.baseModels of the Project", **changes})
