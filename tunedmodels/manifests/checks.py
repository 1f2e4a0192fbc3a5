"""Check manifests against each other, against the Project and against the disk."""

# ruff: noqa: PTH114, PTH117, PTH118  # 10,000 models have 10,000 paths, and a Path costs 10 times as much

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic.alias_generators import to_snake

from tunedmodels.address import Address
from tunedmodels.errors import Problem, Severity
from tunedmodels.manifests.collect import RawManifest
from tunedmodels.manifests.declaration import DeclaredModel, locate
from tunedmodels.manifests.discover import is_below
from tunedmodels.manifests.location import parse_path
from tunedmodels.manifests.yaml_scalars import quote_value
from tunedmodels.schema.project import ProjectManifest
from tunedmodels.schema.tuned_model import MAX_CANDIDATES, SweepSpec
from tunedmodels.text import printable, suggest

_NAME_PATH: Final = ("metadata", "name")
_SWEEP_PATH: Final = "spec.sweep.hyperparameters"
_ENDPOINTS: Final = ("endpoint", "storageEndpoint")
_RATES: Final = ("learningRate", "learningRateMultiplier")


def check_names(manifests: Iterable[RawManifest]) -> Iterator[Problem]:
    """Report every further manifest with the same name, with the location of the first."""
    by_name: dict[str, RawManifest] = {}
    for manifest in manifests:
        first = by_name.setdefault(manifest.name, manifest)
        if first is not manifest and manifest.name:
            other = locate(first.layers, _NAME_PATH)
            message = f"{quote_value(manifest.name)} is also declared in {other.file}:{other.line}"
            location = locate(manifest.layers, _NAME_PATH)
            yield location.problem("duplicate-name", message, "rename one of the two")


def check_providers(
    project: ProjectManifest, manifest: RawManifest, models: Iterable[DeclaredModel]
) -> Iterator[Problem]:
    """Report undeclared providers, in the Project and in the models."""
    providers = project.providers()
    path = "spec.provider"
    if project.spec.provider not in providers:
        location = locate(manifest.layers, parse_path(path))
        yield location.problem(*_unknown_provider(project.spec.provider, providers))
    yield from _check_endpoints(project, manifest)
    for model in models:
        name = model.spec.provider
        if name is not None and name not in providers:
            yield model.location_of(path).problem(*_unknown_provider(name, providers))


def _check_endpoints(project: ProjectManifest, manifest: RawManifest) -> Iterator[Problem]:
    """Warn about a password in an endpoint: everyone who can read the repository has it."""
    for name, settings in project.spec.providers.items():
        for field in _ENDPOINTS:
            url = getattr(settings, to_snake(field), None)
            if url and Address.parse(url).userinfo:
                location = locate(manifest.layers, ("spec", "providers", name, field))
                yield location.problem(
                    "password-in-manifest",
                    "contains a user name or a password, which every reader of this file can see",
                    "remove it from the URL, and change the password",
                    Severity.WARNING,
                )


def _unknown_provider(name: str, providers: Iterable[str]) -> tuple[str, str, str]:
    names = sorted(providers)
    listed = ", ".join(printable(other) for other in names)
    cure = f"There are: {listed}; declare more in spec.providers."
    cure = f"{suggest(name, names)} {cure}".strip()
    return "unknown-provider", f"no provider is called {quote_value(name)}", cure


def check_parent_providers(
    project: ProjectManifest, models: Sequence[DeclaredModel]
) -> Iterator[Problem]:
    """Report models that continue from a model on another provider, which cannot read it."""
    providers = {model.name: model.spec.provider or project.spec.provider for model in models}
    for model in models:
        parent, provider = model.spec.tuned_model, providers[model.name]
        if parent in providers and providers[parent] != provider:
            message = (
                f"{quote_value(parent)} is on provider {providers[parent]}, "
                f"but this model is on {provider}"
            )
            location = model.location_of("spec.tunedModel")
            yield location.problem("elsewhere", message, "declare both on one provider")


def check_policy(project: ProjectManifest, models: Iterable[DeclaredModel]) -> Iterator[Problem]:
    """Report violations of the policy rules that need only the manifests."""
    policy = project.spec.policy
    name_pattern = re.compile(policy.name_pattern) if policy.name_pattern is not None else None
    for model in models:
        provider = model.spec.provider or project.spec.provider
        allowed = policy.allowed_providers
        if allowed is not None and provider not in allowed:
            message = (
                f"{quote_value(provider)} is not in spec.policy.allowedProviders of the Project"
            )
            cure = f"set it to one of: {', '.join(map(printable, allowed)) or '(none)'}"
            location = model.location_of("spec.provider")
            yield location.problem("provider-not-allowed", message, cure)
        if name_pattern and not name_pattern.fullmatch(model.name):
            message = (
                f"{quote_value(model.name)} does not match spec.policy.namePattern of the Project"
            )
            cure = f"rename it to match {quote_value(name_pattern.pattern)}"
            location = model.location_of("metadata.name")
            yield location.problem("name-not-allowed", message, cure)
        if policy.require_description and not model.spec.description.strip():
            message = "is missing; spec.policy.requireDescription of the Project requires it"
            cure = "describe the purpose of the model in one sentence"
            location = model.location_of("spec.description")
            yield location.problem("missing-description", message, cure)
        missing = [label for label in policy.required_labels if not model.labels.get(label)]
        if missing:
            message = (
                f"does not contain {', '.join(missing)}; "
                "spec.policy.requiredLabels of the Project requires it"
            )
            cure = f"add it, for example labels: {{{missing[0]}: some-value}}"
            location = model.location_of("metadata.labels")
            yield location.problem("missing-label", message, cure)


def check_parents(models: Sequence[DeclaredModel], names: set[str]) -> Iterator[Problem]:
    """Report every `tunedModel` that is not declared, and every cycle once.

    `names` are all declared names, including those of invalid manifests.
    """
    parents = {model.name: model.spec.tuned_model for model in models if model.spec.tuned_model}
    by_name = {model.name: model for model in models}
    visited: set[str] = set()
    for model in models:
        parent = model.spec.tuned_model
        if parent and parent not in names:
            message = f"no TunedModel is called {quote_value(parent)}"
            cure = suggest(parent, sorted(names - {model.name}))
            yield model.location_of("spec.tunedModel").problem("unknown-name", message, cure)
        path: list[str] = []
        name: str | None = model.name
        while name in parents and name not in visited:
            visited.add(name)
            path.append(name)
            name = parents[name]
        if name in path:
            cycle = [*path[path.index(name) :], name]
            message = f"is a cycle: {' -> '.join(cycle)}"
            location = by_name[cycle[0]].location_of("spec.tunedModel")
            yield location.problem("circle", message, "give one of them a baseModel")


def check_paths(root: Path, models: Iterable[DeclaredModel]) -> Iterator[Problem]:
    """Report paths of datasets and evaluations that are, or link, outside the project directory.

    Whether a file exists is not checked here.
    """
    real_root = os.path.realpath(root)
    real_directories: dict[str, str] = {}  # few for 10,000 models, and realpath is slow
    for model in models:
        parts = (
            ("dataset", model.spec.dataset),
            ("validation", model.spec.validation),
            ("evaluation", model.spec.evaluation),
        )
        for field, examples in parts:
            for path in examples.paths if examples else ():
                if path.startswith("gs://"):
                    continue  # `check_provider_support` reports gs:// where it cannot be read
                problem = _path_problem(real_root, path, real_directories) if path else ""
                if not problem:
                    continue
                message = f"{problem} (got {quote_value(path)})"
                cure = "use a path inside the directory of the Project file, relative to it"
                location = model.location_of(f"spec.{field}.path")
                yield location.problem("outside-project", message, cure)


def _path_problem(real_root: str, path: str, real_directories: dict[str, str]) -> str:
    if "\0" in path:
        return "contains a NUL character"
    if os.path.isabs(path):
        return "is an absolute path"
    directory, name = os.path.split(path)
    if directory not in real_directories:
        real_directories[directory] = os.path.realpath(os.path.join(real_root, directory))
    real = os.path.join(real_directories[directory], name)
    if name in ("..", ".") or os.path.islink(real):
        real = os.path.realpath(real)
    if real.rstrip(os.sep) == real_root or is_below(real, real_root):
        return ""
    is_outside = not is_below(os.path.normpath(os.path.join(real_root, path)), real_root)
    return "is outside the project" if is_outside else "is a link to a file outside the project"


def check_sweeps(models: Sequence[DeclaredModel]) -> Iterator[Problem]:
    """Report problems of sweeps that involve more than one field."""
    swept_names = {model.name for model in models if model.spec.sweep}
    for model in models:
        parent = model.spec.tuned_model
        if parent in swept_names:
            message = f"continues from {quote_value(parent)}, whose sweep can change its version"
            cure = f"pin the version: give {parent} hyperparameters in place of its sweep"
            yield model.location_of("spec.tunedModel").problem("bad-sweep", message, cure)
        if model.spec.sweep:
            yield from _check_sweep(model, model.spec.sweep)


def _check_sweep(model: DeclaredModel, sweep: SweepSpec) -> Iterator[Problem]:
    if model.spec.evaluation is None:
        message = "requires spec.evaluation, whose metric chooses the best candidate"
        cure = "add evaluation: {path: FILE, metric: NAME} with examples that are not in training"
        yield model.location_of("spec.sweep").problem("bad-sweep", message, cure)
    lists = sweep.hyperparameters.model_dump(by_alias=True, exclude_none=True)
    yield from _check_repeated_values(model, lists)
    yield from _check_fixed_values(model, lists)
    count = sweep.hyperparameters.candidate_count
    if count < 2:  # noqa: PLR2004  # a choice needs two
        message = "has only 1 candidate"
        cure = "list at least two values, or set the one in spec.hyperparameters"
        yield model.location_of(_SWEEP_PATH).problem("bad-sweep", message, cure)
    if count > MAX_CANDIDATES:
        message = f"has {count:,} candidates; at most {MAX_CANDIDATES} are allowed"
        cure = "list fewer values: first coarse ones, then values around the best"
        yield model.location_of(_SWEEP_PATH).problem("bad-sweep", message, cure)


def _check_repeated_values(
    model: DeclaredModel, lists: Mapping[str, Sequence[float]]
) -> Iterator[Problem]:
    for field, values in lists.items():
        for value in _repeated_values(values):
            message = f"lists {value:g} twice, which is one candidate"
            location = model.location_of(f"{_SWEEP_PATH}.{field}")
            yield location.problem("bad-sweep", message, "keep one of the two")


def _repeated_values(values: Iterable[float]) -> list[float]:
    counts: dict[float, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return [value for value, count in counts.items() if count > 1]


def _check_fixed_values(
    model: DeclaredModel, lists: Mapping[str, Sequence[float]]
) -> Iterator[Problem]:
    """Report settings that are both swept and fixed, and the two learning rates together."""
    fixed = model.spec.hyperparameters.model_dump(by_alias=True, exclude_none=True)
    for field in lists:
        if field in fixed:
            message = "is also in spec.hyperparameters, with one value"
            location = model.location_of(f"{_SWEEP_PATH}.{field}")
            yield location.problem("bad-sweep", message, "keep one of the two")
    if all(rate in lists for rate in _RATES):
        location = model.location_of(f"{_SWEEP_PATH}.{_RATES[1]}")
        message = f"excludes {_RATES[0]}, which is also swept"
        yield location.problem("exclusive", message, "keep one of the two")
    for rate, other in (_RATES, _RATES[::-1]):
        if rate in lists and other in fixed:
            location = model.location_of(f"{_SWEEP_PATH}.{rate}")
            message = f"excludes {other}, which is in spec.hyperparameters"
            yield location.problem("exclusive", message, "keep one of the two")
