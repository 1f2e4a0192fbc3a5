"""The base models that can be tuned, as text and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from tunedmodels.render.document import (
    FORMAT_VERSION,
    Document,
    FormatVersion,
    json_schema,
    to_json,
)
from tunedmodels.render.layout import wrap
from tunedmodels.schema.base_models import BaseModelCatalog, BaseModelInfo, SourcedFact
from tunedmodels.text import printable

_LABEL_WIDTH = 12
_GIB = 1024**3


class FactDocument(Document):
    """Where a fact comes from."""

    source: str
    certainty: str
    #: The date of the lookup.
    as_of: str | UnsetType = UNSET


class BaseModelDocument(Document):
    """One base model; a field is missing where the fact is unknown."""

    #: The value of `baseModel` in a manifest.
    name: str
    #: The type of the provider.
    provider: str
    fact: FactDocument
    tunable: bool | UnsetType = UNSET
    is_preview: bool | UnsetType = UNSET
    tune_in: Sequence[str] | UnsetType = UNSET
    serve_from: Sequence[str] | UnsetType = UNSET
    adapter_sizes: Sequence[int] | UnsetType = UNSET
    tuning_modes: Sequence[str] | UnsetType = UNSET
    customer_keys: bool | UnsetType = UNSET
    max_bytes: int | UnsetType = UNSET
    max_examples: int | UnsetType = UNSET
    max_tokens_per_example: int | UnsetType = UNSET
    usd_per_million_tokens: float | UnsetType = UNSET
    price: FactDocument | UnsetType = UNSET
    #: The date on which it retires, at the earliest.
    retires: str | UnsetType = UNSET
    retirement: FactDocument | UnsetType = UNSET


class BaseModelsDocument(Document):
    """The output of `tunedmodels models --format json`."""

    format_version: FormatVersion
    base_models: list[BaseModelDocument]


def base_models_text(infos: Sequence[BaseModelInfo], catalog: BaseModelCatalog) -> str:
    """Return a block of lines per base model: its name, and one line per fact."""
    if not infos:
        cure = "To list all: tunedmodels models --all"
        return f"No base model is known that can be tuned there. {cure}\n"
    lines: list[str] = []
    for info in infos:
        lines += ["", f"{printable(info.reference)}  ({info.provider}{_status(info)})"]
        for label, text in _rows(info, catalog):
            first, *others = wrap(text, indent=_LABEL_WIDTH + 2)
            lines += [f"  {label:<{_LABEL_WIDTH}}{first.lstrip()}", *others]
    return "\n".join(lines[1:]) + "\n"


def base_models_json(infos: Iterable[BaseModelInfo], catalog: BaseModelCatalog) -> str:
    """Return a BaseModelsDocument."""
    documents = [_document(info, catalog) for info in infos]
    return to_json(BaseModelsDocument(FORMAT_VERSION, documents))


def base_models_schema() -> dict[str, Any]:
    """Return the JSON Schema of the JSON form."""
    return json_schema(BaseModelsDocument, "The output of `tunedmodels models --format json`")


def _status(info: BaseModelInfo) -> str:
    if info.tunable is False:
        return ", cannot be tuned"
    return ", preview" if info.is_preview else ""


def _rows(info: BaseModelInfo, catalog: BaseModelCatalog) -> Iterator[tuple[str, str]]:
    if info.tunable is not False and info.provider == "vertex":
        places = ", ".join(info.tune_in) if info.tune_in else "unknown locations"
        answers = f"; answers from {', '.join(info.serve_from)}" if info.serve_from else ""
        yield "tuned in", places + answers
    if info.is_open:
        yield "serves", "only after you deploy it; the tuned weights are in the bucket"
    if info.tuning_modes:
        yield "modes", ", ".join(info.tuning_modes)
    if limits := ", ".join(_limits(info)):
        yield "limits", limits
    if info.adapter_sizes:
        yield "adapters", ", ".join(map(str, info.adapter_sizes))
    if info.customer_keys is not None:
        support = "supported" if info.customer_keys else "not supported"
        yield "keys", f"customer-managed keys are {support}"
    price = catalog.price(info.provider, info.name)
    if price and info.tunable is not False:
        amount = f"${price.usd_per_million_tokens:,.2f} per 1M training tokens"
        text = amount if price.usd_per_million_tokens else "free of charge"
        yield "price", f"{text} ({_fact(price)})"
    elif info.tunable is not False:
        yield "price", "unknown"
    if info.retirement:
        yield "retires", f"{info.retirement.text} ({_fact(info.retirement)})"
    yield "source", _fact(info)


def _limits(info: BaseModelInfo) -> Iterator[str]:
    limits = info.dataset
    if limits is None:
        return
    if limits.max_tokens_per_example:
        yield f"{limits.max_tokens_per_example:,} tokens per example"
    if limits.max_examples:
        yield f"{limits.max_examples:,} examples"
    if limits.max_bytes:
        yield f"{limits.max_bytes / _GIB:g} GiB"
    if limits.max_validation_examples:
        yield f"{limits.max_validation_examples:,} validation examples"
    if limits.max_validation_percent:
        yield f"or {limits.max_validation_percent} % of the training examples"
    if limits.max_validation_bytes_percent:
        yield f"{limits.max_validation_bytes_percent} % of the training file"


def _fact(fact: SourcedFact) -> str:
    parts = [fact.certainty, fact.source, str(fact.as_of or "")]
    return ", ".join(filter(None, parts))


def _document(info: BaseModelInfo, catalog: BaseModelCatalog) -> BaseModelDocument:
    price, limits = catalog.price(info.provider, info.name), info.dataset
    return BaseModelDocument(
        name=info.reference,
        provider=info.provider,
        fact=_fact_document(info),
        tunable=_known(info.tunable),
        is_preview=info.is_preview or UNSET,
        tune_in=_known(info.tune_in),
        serve_from=_known(info.serve_from),
        adapter_sizes=_known(info.adapter_sizes),
        tuning_modes=_known(info.tuning_modes),
        customer_keys=_known(info.customer_keys),
        max_bytes=_known(limits.max_bytes if limits else None),
        max_examples=_known(limits.max_examples if limits else None),
        max_tokens_per_example=_known(limits.max_tokens_per_example if limits else None),
        usd_per_million_tokens=_known(price.usd_per_million_tokens if price else None),
        price=_fact_document(price) if price else UNSET,
        retires=info.retirement.date.isoformat() if info.retirement else UNSET,
        retirement=_fact_document(info.retirement) if info.retirement else UNSET,
    )


def _known(value: Any) -> Any:  # noqa: ANN401  # the value of any field
    return UNSET if value is None else value


def _fact_document(fact: SourcedFact) -> FactDocument:
    as_of = fact.as_of.isoformat() if fact.as_of else UNSET
    return FactDocument(fact.source, fact.certainty, as_of)
