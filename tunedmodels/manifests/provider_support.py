"""Report fields of a model that its type of provider does not support.

A service would ignore such a field, or reject it hours later. One table covers all fields, so that
moving a model to another provider reports all of them at once. Sources: the v1 discovery document
of Vertex AI (TuningJob) and the v1beta discovery document of the Gemini API (TunedModel).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from typing import Final

from pydantic.alias_generators import to_snake

from tunedmodels.errors import Problem
from tunedmodels.manifests.declaration import DeclaredModel
from tunedmodels.schema.base_models import is_open_model
from tunedmodels.schema.project import AnyProvider, ProjectManifest
from tunedmodels.schema.tuned_model import (
    ExampleFile,
    Hyperparameters,
    TrainingDataset,
    TunedModelSpec,
)

# Field of a manifest -> types of provider that support it. All types support any other field.
# `metadata.labels` is not listed, because policies use labels even if the service does not store
# them. `dataset.rejectedField` and `hyperparameters.beta` require `method: preference`.
SUPPORTED_BY: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "method": frozenset({"vertex"}),
        "dataset.preambleAs": frozenset({"vertex"}),
        "validation": frozenset({"vertex"}),
        "hyperparameters.batchSize": frozenset({"embedded", "gemini"}),
        "hyperparameters.learningRate": frozenset({"embedded", "gemini"}),
        "hyperparameters.adapterSize": frozenset({"vertex"}),
        "hyperparameters.beta": frozenset({"vertex"}),
        "temperature": frozenset({"embedded", "gemini"}),
        "topP": frozenset({"embedded", "gemini"}),
        "topK": frozenset({"embedded", "gemini"}),
        "readerProjectNumbers": frozenset({"embedded", "gemini"}),
        "serviceAccount": frozenset({"vertex"}),
        "encryptionSpec": frozenset({"vertex"}),
        "exportLastCheckpointOnly": frozenset({"vertex"}),
    }
)

# On Vertex AI, fields that only open models have, and fields that they do not have.
OPEN_ONLY: Final = frozenset(
    {"tuningMode", "hyperparameters.batchSize", "hyperparameters.learningRate"}
)
_NOT_FOR_OPEN: Final = {
    "method": "set it to supervised, or use a Gemini model",
    "hyperparameters.learningRateMultiplier": "use learningRate",
    "exportLastCheckpointOnly": "remove it",
}

# The cure for a field, where there is a better one than to remove it.
_ALTERNATIVES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "hyperparameters.learningRate": "use learningRateMultiplier, which every provider supports",
        "temperature": "send it with every request instead",
        "topP": "send it with every request instead",
        "topK": "send it with every request instead",
        "readerProjectNumbers": "grant roles/aiplatform.user on the endpoint instead",
    }
)

_PARTS: Final[Mapping[str, type[TunedModelSpec | TrainingDataset | Hyperparameters]]] = (
    MappingProxyType(
        {"": TunedModelSpec, "dataset": TrainingDataset, "hyperparameters": Hyperparameters}
    )
)


def check_provider_support(
    project: ProjectManifest, models: Iterable[DeclaredModel]
) -> Iterator[Problem]:
    """Report every field of every model that its provider does not support."""
    providers: Mapping[str, AnyProvider] = project.providers()
    for model in models:
        settings = providers.get(model.spec.provider or project.spec.provider)
        if settings is None:
            continue  # `check_providers` reports an unknown provider
        is_open = settings.type == "vertex" and is_open_model(model.spec.base_model or "")
        for path, read_value, default in _unsupported_fields(settings.type):
            is_supported = is_open and path in OPEN_ONLY
            if not is_supported and read_value(model.spec) != default:
                yield _unsupported(model, path, f"spec.{path}", settings.type)
        yield from _check_sweep(model, settings.type, is_open=is_open)
        yield from _check_open_model(model, settings.type, is_open=is_open)
        if settings.type != "vertex":
            yield from _check_cloud_storage(model, settings.type)


def _check_sweep(model: DeclaredModel, kind: str, *, is_open: bool) -> Iterator[Problem]:
    lists = model.spec.sweep.hyperparameters if model.spec.sweep else None
    for field in lists.model_dump(by_alias=True, exclude_none=True) if lists else ():
        path = f"hyperparameters.{field}"
        is_supported = kind in SUPPORTED_BY.get(path, {kind}) or (is_open and path in OPEN_ONLY)
        if not is_supported:
            yield _unsupported(model, path, f"spec.sweep.{path}", kind)


def _check_open_model(model: DeclaredModel, kind: str, *, is_open: bool) -> Iterator[Problem]:
    """Report fields that only Gemini models have, or only open models of Vertex AI."""
    if is_open:
        for path, cure in _NOT_FOR_OPEN.items():
            if _is_set(model.spec, path):
                location = model.location_of(f"spec.{path}")
                yield location.problem("not-honoured", "is not supported by open models", cure)
        return
    if model.spec.tuning_mode is not None:
        message = "is supported by open models of Vertex AI only"
        yield model.location_of("spec.tuningMode").problem("not-honoured", message, "remove it")
    if kind != "vertex" and is_open_model(model.spec.base_model or ""):
        message = f"is an open model, which a provider of type {kind} does not tune"
        cure = "name a provider of type vertex"
        yield model.location_of("spec.baseModel").problem("not-honoured", message, cure)


def _check_cloud_storage(model: DeclaredModel, kind: str) -> Iterator[Problem]:
    parts: dict[str, ExampleFile | None] = {
        "dataset": model.spec.dataset,
        "validation": model.spec.validation,
        "evaluation": model.spec.evaluation,
    }
    for part, examples in parts.items():
        if examples and examples.paths[0].startswith("gs://"):
            location = model.location_of(f"spec.{part}.path")
            message = f"is in Cloud Storage, which a provider of type {kind} does not read"
            cure = "use the path of a local file, or name a provider of type vertex"
            yield location.problem("not-honoured", message, cure)


def _unsupported(model: DeclaredModel, field: str, path: str, kind: str) -> Problem:
    others = " or ".join(sorted(SUPPORTED_BY[field]))
    cure = _ALTERNATIVES.get(field) or f"remove it, or name a provider of type {others}"
    message = f"is not supported by a provider of type {kind}"
    return model.location_of(path).problem("not-honoured", message, cure)


@cache
def _unsupported_fields(kind: str) -> tuple[tuple[str, Callable[[object], object], object], ...]:
    """Return the fields that a type of provider does not support: path, reader and default.

    Computed once for each type, since a project can have 10,000 models.
    """
    return tuple(
        (path, *_reader(path)) for path, kinds in SUPPORTED_BY.items() if kind not in kinds
    )


@cache
def _reader(path: str) -> tuple[Callable[[object], object], object]:
    """Return the function that reads a field of a spec, and the default of the field."""
    part, _, name = path.rpartition(".")
    attribute = to_snake(name)
    default: object = _PARTS[part].model_fields[attribute].default
    return attrgetter(f"{part}.{attribute}" if part else attribute), default


def _is_set(spec: TunedModelSpec, path: str) -> bool:
    read_value, default = _reader(path)
    return read_value(spec) != default
