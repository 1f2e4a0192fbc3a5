"""Manifests for models that exist already, honest about what a live model does not tell.

A live model tells its base, its hyperparameters and its words. It never tells its examples, so a
draft names the file where they belong and does not invent one: `validate` says what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from tunedmodels.desired import fingerprint
from tunedmodels.manifests.yaml_scalars import plain
from tunedmodels.observed import ObservedModel, UsedHyperparameters, serving
from tunedmodels.operations.connect import connect
from tunedmodels.operations.plan import observe
from tunedmodels.project.project import Project
from tunedmodels.schema.project import API_VERSION
from tunedmodels.schema.tuned_model import Hyperparameters
from tunedmodels.text import visible

_LONGEST_NAME: Final = 31
_VERSION: Final = re.compile(r"-[0-9a-f]{8}$")
_BREAKS = frozenset("\x85\u2028\u2029")


@dataclass(frozen=True, slots=True)
class Draft:
    """A manifest to be written; `examples` is the file that a person has to bring."""

    name: str
    model_id: str
    text: str
    examples: str


async def draft_all(project: Project) -> list[Draft]:
    """Look at every provider of a project, and draft what is not declared."""
    async with connect(project) as providers:
        observed = await observe(providers)
    declared = {model.name for model in project.declared}
    return drafts(observed, project=project.name, declared=declared)


def drafts(
    observed: Iterable[ObservedModel], *, project: str, declared: Collection[str]
) -> list[Draft]:
    """Return a draft for each name that has live models and no manifest, by name.

    Models of other projects are left alone. Of several versions the serving one is described, else
    the newest.
    """
    ours: dict[str, list[ObservedModel]] = {}
    unstamped = []
    for model in sorted(observed, key=lambda model: (model.model_id, model.provider)):
        if model.stamp is None:
            unstamped.append(model)
        elif model.stamp.project == project and model.stamp.name not in declared:
            ours.setdefault(model.stamp.name, []).append(model)
    chosen = {name: serving(models) or max(models, key=_age) for name, models in ours.items()}
    for model in unstamped:
        name = _free(model.model_id, {*chosen, *declared})
        chosen[name] = model
    names = {model.resource: name for name, model in chosen.items()}
    return [
        Draft(name, model.model_id, _text(name, model, names), f"data/{name}.jsonl")
        for name, model in sorted(chosen.items())
    ]


def _age(model: ObservedModel) -> tuple[bool, float, str]:
    return (
        model.created is not None,
        model.created.timestamp() if model.created else 0,
        model.model_id,
    )


def _free(model_id: str, taken: Collection[str]) -> str:
    """Return a name for a model that has none: its id without the version, or with a number."""
    near = re.sub(r"[^a-z0-9]+", "-", _VERSION.sub("", model_id.lower())).strip("-0123456789")
    stem = near[:_LONGEST_NAME].strip("-") or "model"
    names = [stem, *(f"{stem[: _LONGEST_NAME - 3].rstrip('-')}-{n}" for n in range(2, 100))]
    return next(name for name in names if name not in taken)


def _text(name: str, model: ObservedModel, names: Mapping[str, str]) -> str:
    declared = _as_declared(model)
    spec: dict[str, Any] = {}
    comments = [f"Written from {visible(model.resource)} on provider {visible(model.provider)}."]
    if model.source.startswith("tunedModels/"):
        if parent := names.get(model.source):
            spec["tunedModel"] = parent
        else:
            comments.append(f"It continues from {visible(model.source)}, which is not declared.")
    else:
        spec["baseModel"] = model.source
    spec["provider"] = model.provider
    spec["dataset"] = {"path": f"data/{name}.jsonl"}
    used = declared or _rounded(model.used)
    if values := used.model_dump(exclude_none=True, by_alias=True):
        spec["hyperparameters"] = values
    spec |= _words(name, model)
    manifest = {
        "apiVersion": API_VERSION,
        "kind": "TunedModel",
        "metadata": {"name": name},
        "spec": spec,
    }
    comments += _unknown(name, model, is_proved=declared is not None)
    return "".join(f"# {line}".rstrip() + "\n" for line in comments) + _yaml(manifest)


def _yaml(manifest: dict[str, Any]) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Quotes what our reader, which follows YAML 1.2, would take for something else."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        # An unquoted line break of Unicode (U+0085) would come back as a space.
        is_plain = plain(value) == value and value.replace("\n", "").isprintable()
        style = None if is_plain else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return str(yaml.dump(manifest, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100))


def _unknown(name: str, model: ObservedModel, *, is_proved: bool) -> Iterator[str]:
    """Yield what no live model tells, for the person who knows."""
    yield ""
    yield "Not known: the examples it was trained on. Put them at dataset.path; until then"
    yield "`tunedmodels validate` says that they are missing."
    if model.stamp is None:
        yield "The hyperparameters are those that the service used; it does not say which of them"
        yield f"were chosen. When all is right: tunedmodels adopt {name} {visible(model.model_id)}"
        return
    stamp = model.stamp
    yield f"Its stamp says: {stamp.examples} examples with the digest {visible(stamp.dataset)}."
    if stamp.preamble:
        yield f"Its stamp says that it had a preamble, with the mark {visible(stamp.preamble)}."
    if is_proved:
        yield "With these examples the rest is as it was declared: its fingerprint proves it."
    else:
        yield "The hyperparameters are those that the service used. With other examples, or where"
        yield "they were declared in another way, plan says `replace`."


def _as_declared(model: ObservedModel) -> Hyperparameters | None:
    """Return the hyperparameters as they were declared, which the fingerprint of a stamp proves.

    The service tells its defaults as well, so the subsets of what it tells are tried.
    """
    if model.stamp is None or model.stamp.preamble:
        return None
    used = _rounded(model.used).model_dump(exclude_none=True)
    for count in range(len(used) + 1):
        for some in combinations(sorted(used), count):
            candidate = Hyperparameters.model_construct(**{name: used[name] for name in some})
            print_ = fingerprint(
                source=model.source,
                dataset=model.stamp.dataset,
                preamble="",
                hyperparameters=candidate,
            )
            if print_ == model.stamp.fingerprint:
                return candidate
    return None


def _rounded(used: UsedHyperparameters) -> Hyperparameters:
    """Return what the service used, not validated: of what cannot be declared, `validate` says so.

    A service may keep floats in 32 bits and answer 0.0010000000474974513 for 0.001.
    """
    scaled = used.learning_rate_multiplier
    sizes: dict[str, Any] = {"adapter_size": used.adapter_size}  # any number, as said above
    return Hyperparameters.model_construct(
        **sizes,
        epoch_count=used.epoch_count,
        batch_size=used.batch_size,
        learning_rate=None if scaled else _settled(used.learning_rate),
        learning_rate_multiplier=_settled(scaled),
    )


def _settled(value: Any) -> Any:  # noqa: ANN401  # the value of any field
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _words(name: str, model: ObservedModel) -> dict[str, Any]:
    values = {
        "displayName": model.display_name if model.display_name != name else "",
        "description": model.description,
        "temperature": model.temperature,
        "topP": model.top_p,
        "topK": model.top_k,
        "readerProjectNumbers": list(model.reader_project_numbers),
    }
    words = {name: value for name, value in values.items() if value not in (None, "", [])}
    return {path: _settled(value) for path, value in words.items()}
