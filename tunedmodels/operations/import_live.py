"""Draft manifests for live models that have none (`init --from-live`).

A live model reports its base model, its hyperparameters and its mutable fields, but never its
examples. A draft therefore names the file where they belong, and `validate` reports that it is
missing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from tunedmodels.manifests.yaml_scalars import parse_scalar
from tunedmodels.model_fields import (
    MANIFEST_PATHS,
    DesiredDataset,
    TrainingInputs,
    fingerprint,
)
from tunedmodels.observed import ObservedModel, UsedHyperparameters, serving
from tunedmodels.operations.connect import connect
from tunedmodels.operations.plan import observe
from tunedmodels.ownership import Ownership
from tunedmodels.project.project import Project
from tunedmodels.schema.project import API_VERSION
from tunedmodels.schema.tuned_model import ExampleFile, Hyperparameters
from tunedmodels.text import printable

_LONGEST_NAME: Final = 31
_VERSION_SUFFIX: Final = re.compile(r"-[0-9a-f]{8}$")


@dataclass(frozen=True, slots=True)
class DraftManifest:
    """A manifest for a live model."""

    name: str
    model_id: str
    text: str
    examples: str
    """Path of the dataset, which the user must provide."""


async def draft_manifests(project: Project) -> list[DraftManifest]:
    """Return drafts for the undeclared models at the providers of a project."""
    async with connect(project) as providers:
        observed = await observe(providers)
    declared = {model.name for model in project.declared}
    return drafts(observed, ownership=project.ownership, declared=declared)


def drafts(
    observed: Iterable[ObservedModel], *, ownership: Ownership, declared: Collection[str]
) -> list[DraftManifest]:
    """Return a draft for each name that has live models and no manifest, sorted by name.

    Models of other projects are skipped. A draft describes the serving version of a name, or the
    newest one if none serves.
    """
    models = sorted(observed, key=lambda model: (model.model_id, model.provider))
    chosen = {
        name: serving(versions) or max(versions, key=_age)
        for name, versions in ownership.versions(models).items()
        if name not in declared
    }
    for model in models:
        if model.stamp is None:
            chosen[_unused_name(model.model_id, {*chosen, *declared})] = model
    names = {model.resource: name for name, model in chosen.items()}
    fingerprints = {model.resource: model.fingerprint for model in models}
    return [
        DraftManifest(
            name,
            model.model_id,
            _manifest_text(name, model, names, fingerprints.get(model.source, "")),
            f"data/{name}.jsonl",
        )
        for name, model in sorted(chosen.items())
    ]


def _age(model: ObservedModel) -> tuple[bool, float, str]:
    return (
        model.created is not None,
        model.created.timestamp() if model.created else 0,
        model.model_id,
    )


def _unused_name(model_id: str, taken: Collection[str]) -> str:
    """Return an unused name for a model without a stamp: its id without the version suffix.

    A name that is in use gets a number.
    """
    words = re.sub(r"[^a-z0-9]+", "-", _VERSION_SUFFIX.sub("", model_id.lower()))
    stem = words.strip("-0123456789")[:_LONGEST_NAME].strip("-") or "model"
    names = [stem, *(f"{stem[: _LONGEST_NAME - 3].rstrip('-')}-{n}" for n in range(2, 100))]
    return next(name for name in names if name not in taken)


def _manifest_text(
    name: str, model: ObservedModel, names: Mapping[str, str], parent_fingerprint: str
) -> str:
    declared = _declared_hyperparameters(model, parent_fingerprint)
    if declared is None and parent_fingerprint:  # a former release used the id of the parent
        declared = _declared_hyperparameters(model, "")
    spec: dict[str, Any] = {}
    comments = [
        f"Written from {printable(model.resource)} on provider {printable(model.provider)}."
    ]
    if model.source.startswith("tunedModels/"):
        if parent := names.get(model.source):
            spec["tunedModel"] = parent
        else:
            comments.append(f"It continues from {printable(model.source)}, which is not declared.")
    else:
        spec["baseModel"] = model.source
    spec["provider"] = model.provider
    spec["dataset"] = {"path": f"data/{name}.jsonl"}
    used = declared or _used_hyperparameters(model.used)
    if values := used.model_dump(exclude_none=True, by_alias=True):
        spec["hyperparameters"] = values
    spec |= _mutable_fields(name, model)
    manifest = {
        "apiVersion": API_VERSION,
        "kind": "TunedModel",
        "metadata": {"name": name},
        "spec": spec,
    }
    comments += _unknown_values(name, model, is_proved=declared is not None)
    return "".join(f"# {line}".rstrip() + "\n" for line in comments) + _yaml(manifest)


def _yaml(manifest: dict[str, Any]) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """A dumper that quotes strings which our parser (YAML 1.2) reads as another type."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        # A parser reads an unquoted Unicode line break (U+0085) as a space.
        is_plain = parse_scalar(value) == value and value.replace("\n", "").isprintable()
        style = None if is_plain else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return str(yaml.dump(manifest, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100))


def _unknown_values(name: str, model: ObservedModel, *, is_proved: bool) -> Iterator[str]:
    """Yield comments about the values that a live model does not report."""
    yield ""
    yield "Unknown: the examples it was trained on. Write them to dataset.path; until then"
    yield "`tunedmodels validate` reports that they are missing."
    if model.stamp is None:
        yield "The hyperparameters are those that the service used; it does not report which of"
        yield "them were declared. To adopt the model:"
        yield f"    tunedmodels adopt {name} {printable(model.model_id)}"
        return
    stamp = model.stamp
    dataset, preamble = printable(stamp.dataset), printable(stamp.preamble)
    yield f"According to its stamp: {stamp.examples} examples with the digest {dataset}."
    if preamble:
        yield f"According to its stamp it has a preamble with the digest {preamble}."
    if is_proved:
        yield "With these examples the manifest matches the version, as its fingerprint proves."
    else:
        yield "The hyperparameters are those that the service used. If they were declared"
        yield "differently, or the examples differ, `tunedmodels plan` shows `replace`."


def _declared_hyperparameters(
    model: ObservedModel, parent_fingerprint: str
) -> Hyperparameters | None:
    """Return the declared hyperparameters, if the fingerprint of the stamp proves them.

    The service also reports its defaults, so every subset of the reported values is tried.
    """
    if model.stamp is None or model.stamp.preamble:
        return None
    # Only the digest of the examples is known, and only the digest is part of the fingerprint.
    source = ExampleFile(path="unknown")
    dataset = DesiredDataset(Path(), "", source, model.stamp.dataset, model.stamp.examples)
    inputs = TrainingInputs(model.source, dataset, parent_fingerprint=parent_fingerprint)
    used = _used_hyperparameters(model.used).model_dump(exclude_none=True)
    for count in range(len(used) + 1):
        for names in combinations(sorted(used), count):
            candidate = Hyperparameters.model_construct(**{name: used[name] for name in names})
            if fingerprint(replace(inputs, hyperparameters=candidate)) == model.stamp.fingerprint:
                return candidate
    return None


def _used_hyperparameters(used: UsedHyperparameters) -> Hyperparameters:
    """Return the values that the service used, not validated: `validate` reports invalid ones.

    A service may store floats in 32 bits and return 0.0010000000474974513 for 0.001.
    """
    multiplier = used.learning_rate_multiplier
    sizes: dict[str, Any] = {"adapter_size": used.adapter_size}  # not validated, see above
    return Hyperparameters.model_construct(
        **sizes,
        epoch_count=used.epoch_count,
        batch_size=used.batch_size,
        learning_rate=None if multiplier else _round_float(used.learning_rate),
        learning_rate_multiplier=_round_float(multiplier),
    )


def _round_float(value: Any) -> Any:  # noqa: ANN401  # the value of any field
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _mutable_fields(name: str, model: ObservedModel) -> dict[str, Any]:
    values = model.fields.values()
    values.pop(
        "labels", None
    )  # they belong to the metadata, and those of other tools are among them
    if values.get("display_name") == name:
        del values["display_name"]  # the default
    return {
        MANIFEST_PATHS[key]: list(value) if isinstance(value, tuple) else _round_float(value)
        for key, value in values.items()
        if value not in ("", ())
    }
