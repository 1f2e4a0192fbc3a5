"""What a kind of provider cannot honour: one table, so that moving a model says all of it at once.

A field that a service would ignore, or refuse hours later, is a mistake in the manifest. Sources:
the v1 discovery document of Vertex AI (TuningJob) and that of the Gemini API, v1beta (TunedModel).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Final

from pydantic.alias_generators import to_snake

from tunedmodels.errors import Problem
from tunedmodels.manifests.declaration import Declared
from tunedmodels.schema.project import AnyProvider, ProjectManifest
from tunedmodels.schema.tuned_model import Dataset, Examples, Hyperparameters, TunedModelSpec

_WITHOUT: Final = "leave it out, or name a provider of type {others}"

# By field, as in the manifest: the types of provider that honour it. What is missing here, all do.
# So may be `metadata.labels` everywhere: policies read them, whatever a service does with them.
# `dataset.rejectedField` and `hyperparameters.beta` are allowed beside `method: preference` alone.
HONOURED_BY: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
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

# What there is to do instead, where it is more than to leave the field out.
_INSTEAD: Final[Mapping[str, str]] = MappingProxyType(
    {
        "hyperparameters.learningRate": "say learningRateMultiplier, which every provider takes",
        "temperature": "send it with every question instead",
        "topP": "send it with every question instead",
        "topK": "send it with every question instead",
        "readerProjectNumbers": "grant roles/aiplatform.user on the endpoint instead",
    }
)

_PARTS: Final[Mapping[str, type[TunedModelSpec | Dataset | Hyperparameters]]] = MappingProxyType(
    {"": TunedModelSpec, "dataset": Dataset, "hyperparameters": Hyperparameters}
)


def honoured(project: ProjectManifest, models: Iterable[Declared]) -> Iterator[Problem]:
    """Report every field of every model that its provider would not heed."""
    known: Mapping[str, AnyProvider] = project.providers()
    for model in models:
        settings = known.get(model.spec.provider or project.spec.provider)
        if settings is None:
            continue  # that is reported in its own words
        for path, kinds in HONOURED_BY.items():
            if settings.type in kinds or not _is_set(model.spec, path):
                continue
            others = " or ".join(sorted(kinds))
            cure = _INSTEAD.get(path) or _WITHOUT.format(others=others)
            message = f"cannot be honoured by a provider of type {settings.type}"
            yield model.place_of(f"spec.{path}").problem("not-honoured", message, cure)
        yield from _swept(model, settings.type)
        if settings.type != "vertex":
            yield from _in_cloud_storage(model, settings.type)


def _swept(model: Declared, kind: str) -> Iterator[Problem]:
    lists = model.spec.sweep.hyperparameters if model.spec.sweep else None
    for field in lists.model_dump(by_alias=True, exclude_none=True) if lists else ():
        path = f"hyperparameters.{field}"
        kinds = HONOURED_BY.get(path, frozenset({kind}))
        if kind not in kinds:
            cure = _INSTEAD.get(path) or _WITHOUT.format(others=" or ".join(sorted(kinds)))
            message = f"cannot be honoured by a provider of type {kind}"
            yield model.place_of(f"spec.sweep.{path}").problem("not-honoured", message, cure)


def _in_cloud_storage(model: Declared, kind: str) -> Iterator[Problem]:
    parts: dict[str, Examples | None] = {
        "dataset": model.spec.dataset,
        "validation": model.spec.validation,
        "evaluation": model.spec.evaluation,
    }
    for part, examples in parts.items():
        if examples and examples.path.startswith("gs://"):
            place = model.place_of(f"spec.{part}.path")
            message = f"lies in Cloud Storage, which a provider of type {kind} does not read"
            cure = "write the path of a file, or name a provider of type vertex"
            yield place.problem("not-honoured", message, cure)


def _is_set(spec: TunedModelSpec, path: str) -> bool:
    above, _, name = path.rpartition(".")
    attribute = to_snake(name)
    default: object = _PARTS[above].model_fields[attribute].default
    value: object = attrgetter(f"{above}.{attribute}" if above else attribute)(spec)
    return bool(value != default)
