"""What only shows when all manifests lie side by side, or beside the disk."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tunedmodels.errors import Problem
from tunedmodels.manifests.collect import Manifest
from tunedmodels.manifests.declaration import Declared, locate
from tunedmodels.manifests.discover import is_below
from tunedmodels.manifests.location import steps
from tunedmodels.manifests.yaml_scalars import shown, visible
from tunedmodels.schema.project import ProjectManifest
from tunedmodels.schema.tuned_model import MOST_CANDIDATES, Sweep
from tunedmodels.text import did_you_mean

# ruff: noqa: PTH114, PTH117, PTH118  # 10,000 models have 10,000 paths, and a Path costs 10 times as much


_NAME = ("metadata", "name")


def duplicates(manifests: Iterable[Manifest]) -> Iterator[Problem]:
    """Report every further manifest of a name, with the place of the first."""
    first: dict[str, Manifest] = {}
    for manifest in manifests:
        earlier = first.setdefault(manifest.name, manifest)
        if earlier is not manifest and manifest.name:
            there = locate(earlier.layers, _NAME)
            message = f"{shown(manifest.name)} is declared in {there.file}:{there.line} too"
            here = locate(manifest.layers, _NAME)
            yield here.problem("duplicate-name", message, "rename one of the two")


def providers(
    project: ProjectManifest, written: Manifest, models: Iterable[Declared]
) -> Iterator[Problem]:
    """Report providers that nobody declared, in the Project as in the models."""
    known = project.providers()
    path = "spec.provider"
    if project.spec.provider not in known:
        place = locate(written.layers, steps(path))
        yield place.problem(*_unknown_provider(project.spec.provider, known))
    for model in models:
        named = model.spec.provider
        if named is not None and named not in known:
            yield model.place_of(path).problem(*_unknown_provider(named, known))


def _unknown_provider(named: str, known: Iterable[str]) -> tuple[str, str, str]:
    names = sorted(known)
    cure = f"There are: {', '.join(visible(name) for name in names)}; more go to spec.providers."
    cure = f"{did_you_mean(named, names)} {cure}".strip()
    return "unknown-provider", f"no provider is called {shown(named)}", cure


def places(project: ProjectManifest, models: Sequence[Declared]) -> Iterator[Problem]:
    """Report models that continue from one on another provider, where nobody could read it."""
    living = {model.name: model.spec.provider or project.spec.provider for model in models}
    for model in models:
        parent, here = model.spec.tuned_model, living[model.name]
        if parent in living and living[parent] != here:
            message = f"{shown(parent)} lives on {living[parent]}, and this one on {here}"
            place = model.place_of("spec.tunedModel")
            yield place.problem("elsewhere", message, "declare both on one provider")


def policy(project: ProjectManifest, models: Iterable[Declared]) -> Iterator[Problem]:
    """Report models that break a rule of the Project which needs nothing but the manifests."""
    rules = project.spec.policy
    allowed = rules.allowed_providers
    name_pattern = re.compile(rules.name_pattern) if rules.name_pattern is not None else None
    for model in models:
        provider = model.spec.provider or project.spec.provider
        if allowed is not None and provider not in allowed:
            message = f"{shown(provider)} is not in spec.policy.allowedProviders of the Project"
            cure = f"set it to one of: {', '.join(map(visible, allowed)) or '(none)'}"
            yield model.place_of("spec.provider").problem("provider-not-allowed", message, cure)
        if name_pattern and not name_pattern.fullmatch(model.name):
            message = f"{shown(model.name)} does not match spec.policy.namePattern of the Project"
            cure = f"rename it to match {shown(name_pattern.pattern)}"
            yield model.place_of("metadata.name").problem("name-not-allowed", message, cure)
        if rules.require_description and not model.spec.description.strip():
            message = "is missing, and spec.policy.requireDescription of the Project wants it"
            cure = "say in a sentence what the model is for"
            place = model.place_of("spec.description")
            yield place.problem("missing-description", message, cure)
        if absent := [label for label in rules.required_labels if not model.labels.get(label)]:
            named = ", ".join(absent)
            message = f"has no {named}, and spec.policy.requiredLabels of the Project wants it"
            cure = f"write it, for example labels: {{{absent[0]}: some-word}}"
            yield model.place_of("metadata.labels").problem("missing-label", message, cure)


def parents(models: Sequence[Declared], names: set[str]) -> Iterator[Problem]:
    """Report a `tunedModel` that names nobody, and every circle once.

    `names` are all declared names, also those of manifests that have problems of their own.
    """
    parent = {m.name: m.spec.tuned_model for m in models if m.spec.tuned_model}
    by_name = {model.name: model for model in models}
    seen: set[str] = set()
    for model in models:
        named = model.spec.tuned_model
        if named and named not in names:
            message = f"no TunedModel is called {shown(named)}"
            cure = did_you_mean(named, sorted(names - {model.name}))
            yield model.place_of("spec.tunedModel").problem("unknown-name", message, cure)
        way: list[str] = []
        name: str | None = model.name
        while name in parent and name not in seen:
            seen.add(name)
            way.append(name)
            name = parent[name]
        if name in way:
            circle = [*way[way.index(name) :], name]
            message = f"goes in a circle: {' -> '.join(circle)}"
            place = by_name[circle[0]].place_of("spec.tunedModel")
            yield place.problem("circle", message, "begin one of them with a baseModel")


def paths(root: Path, models: Iterable[Declared]) -> Iterator[Problem]:
    """Report datasets and evaluations that lie, or lead, outside the project's folder.

    Whether a file exists is no question here.
    """
    real_root = os.path.realpath(root)
    real_folders: dict[str, str] = {}  # 10,000 models share few folders, and realpath is slow
    for model in models:
        parts = (
            ("dataset", model.spec.dataset),
            ("validation", model.spec.validation),
            ("evaluation", model.spec.evaluation),
        )
        for field, examples in parts:
            if examples and examples.path.startswith("gs://"):
                continue  # whether the provider reads it is for `honoured` to say
            wrong = examples and _leads_out(real_root, examples.path, real_folders)
            if examples and wrong:
                message = f"{wrong} (got {shown(examples.path)})"
                cure = "write a path inside the folder of the Project file, relative to it"
                place = model.place_of(f"spec.{field}.path")
                yield place.problem("outside-project", message, cure)


def _leads_out(real_root: str, path: str, real_folders: dict[str, str]) -> str:
    if "\0" in path:
        return "holds a NUL character"
    if os.path.isabs(path):
        return "is an absolute path"
    folder, name = os.path.split(path)
    if folder not in real_folders:
        real_folders[folder] = os.path.realpath(os.path.join(real_root, folder))
    real = os.path.join(real_folders[folder], name)
    if name in ("..", ".") or os.path.islink(real):
        real = os.path.realpath(real)
    if real.rstrip(os.sep) == real_root or is_below(real, real_root):
        return ""
    is_written = not is_below(os.path.normpath(os.path.join(real_root, path)), real_root)
    return "leads out of the project" if is_written else "is a link that leads out of the project"


# FOLDED
# What is wrong with a sweep: too few candidates, too many, or settings that contradict.
_RATES = ("learningRate", "learningRateMultiplier")
_WHERE = "spec.sweep.hyperparameters"


def sweep_problems(models: Sequence[Declared]) -> Iterator[Problem]:
    """Report what no single field shows; each at the line where it can be mended."""
    swept = {model.name for model in models if model.spec.sweep}
    for model in models:
        parent = model.spec.tuned_model
        if parent in swept:
            message = f"continues from {shown(parent)}, whose sweep may choose another version"
            cure = f"pin the version: give {parent} hyperparameters in place of its sweep"
            yield model.place_of("spec.tunedModel").problem("bad-sweep", message, cure)
        if model.spec.sweep:
            yield from _sweep(model, model.spec.sweep)


def _sweep(model: Declared, sweep: Sweep) -> Iterator[Problem]:
    if model.spec.evaluation is None:
        message = "needs spec.evaluation, whose metric chooses the best"
        cure = "add evaluation: {path: FILE, metric: NAME} with examples that are not trained on"
        yield model.place_of("spec.sweep").problem("bad-sweep", message, cure)
    lists = sweep.hyperparameters.model_dump(by_alias=True, exclude_none=True)
    yield from _repeated(model, lists)
    yield from _fixed(model, lists)
    count = sweep.hyperparameters.count
    if count < 2:  # noqa: PLR2004  # one candidate leaves nothing to choose
        message = "leaves nothing to choose: it has 1 candidate"
        cure = "list at least two values, or write the one into spec.hyperparameters"
        yield model.place_of(_WHERE).problem("bad-sweep", message, cure)
    if count > MOST_CANDIDATES:
        message = f"makes {count:,} candidates; at most {MOST_CANDIDATES} are allowed"
        cure = "try fewer values at once: the coarse ones first, then those around the best"
        yield model.place_of(_WHERE).problem("bad-sweep", message, cure)


def _repeated(model: Declared, lists: dict[str, Sequence[float]]) -> Iterator[Problem]:
    for field, values in lists.items():
        for value in _twice(values):
            message = f"lists {value:g} twice, which would be one candidate"
            place = model.place_of(f"{_WHERE}.{field}")
            yield place.problem("bad-sweep", message, "keep one of the two")


def _twice(values: Iterable[float]) -> list[float]:
    seen: dict[float, int] = {}
    for value in values:
        seen[value] = seen.get(value, 0) + 1
    return [value for value, count in seen.items() if count > 1]


def _fixed(model: Declared, lists: dict[str, Sequence[float]]) -> Iterator[Problem]:
    """Report settings that are swept and fixed, and the two rates beside each other."""
    fixed = model.spec.hyperparameters.model_dump(by_alias=True, exclude_none=True)
    for field in lists:
        if field in fixed:
            message = "is in spec.hyperparameters too, with one value"
            place = model.place_of(f"{_WHERE}.{field}")
            yield place.problem("bad-sweep", message, "keep one of the two")
    if all(rate in lists for rate in _RATES):
        place = model.place_of(f"{_WHERE}.{_RATES[1]}")
        message = f"excludes {_RATES[0]}, which is swept too"
        yield place.problem("exclusive", message, "keep one of the two")
    for one, other in (_RATES, _RATES[::-1]):
        if one in lists and other in fixed:
            place = model.place_of(f"{_WHERE}.{one}")
            message = f"excludes {other}, which is in spec.hyperparameters"
            yield place.problem("exclusive", message, "keep one of the two")
