"""Check the environments, the lineage and the former names that manifests declare."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from tunedmodels.errors import Problem, Severity
from tunedmodels.manifests.collect import RawManifest
from tunedmodels.manifests.declaration import DeclaredModel, locate
from tunedmodels.manifests.location import Location, parse_path
from tunedmodels.manifests.yaml_scalars import quote_value
from tunedmodels.schema.project import (
    AnyProvider,
    EmbeddedSettings,
    EnvironmentSpec,
    ProjectManifest,
)
from tunedmodels.stamp import DEFAULT_ENVIRONMENT, MAX_USES
from tunedmodels.text import printable, suggest

MISSING_LINEAGE: Final = "missing-lineage"  #: the code of the problem
_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_OWN_PARTS: Final = {"lifecycle", "evaluation"}  # an environment that promotes has its own gate


def declared_environments(project: RawManifest | None) -> frozenset[str]:
    """Return the names in `spec.environments` of a Project, which may be invalid."""
    value, _ = project.parts[0] if project and project.parts else ({}, None)
    spec = value.get("spec")
    environments = spec.get("environments") if isinstance(spec, dict) else None
    return frozenset(map(str, environments)) if isinstance(environments, dict) else frozenset()


def home_of(environments: Mapping[str, EnvironmentSpec], environment: str) -> str:
    """Return the environment that trains the versions of an environment."""
    seen: set[str] = set()  # validation reports cycles; this function must end in any case
    while environment not in seen and environment in environments:
        seen.add(environment)
        environment = environments[environment].promotes_from or environment
    return environment


def check_environments(project: ProjectManifest, manifest: RawManifest) -> Iterator[Problem]:
    """Report environments that promote from one that is not declared, or in a circle."""
    environments = project.spec.environments
    layers = manifest.layers
    for value, layer in manifest.parts[1:]:
        spec = value.get("spec")
        if isinstance(spec, dict) and "environments" in spec:
            location, _ = layer.find(parse_path("spec.environments")) or (Location(""), 0)
            message = "cannot be changed for one environment"
            yield location.problem("bad-environment", message, f"declare them in {manifest.file}")
    for name, declared in environments.items():
        source = declared.promotes_from
        location = locate(layers, parse_path(f"spec.environments.{name}.promotesFrom"))
        if source is not None and source not in environments:
            message = f"no environment is called {quote_value(source)}"
            cure = suggest(source, environments) or f"There are: {', '.join(environments)}."
            yield location.problem("bad-environment", message, cure)
        elif source is not None and environments[home_of(environments, name)].promotes_from:
            message = f"is a cycle: {name} promotes from {source}"
            yield location.problem("bad-environment", message, "let one of them train")
    for home in environments:
        users = [name for name in environments if home_of(environments, name) == home != name]
        if len(users) > MAX_USES:
            message = f"{len(users)} environments promote from {home}; at most {MAX_USES} can"
            location = locate(layers, parse_path("spec.environments"))
            yield location.problem("bad-environment", message, "split the project")


def check_selected(project: ProjectManifest, environment: str) -> Iterator[Problem]:
    """Report an environment that is selected and not declared."""
    environments = project.spec.environments
    if environment and environments and environment not in environments:
        message = f"no environment is called {quote_value(environment)}"
        listed = f"There are: {', '.join(environments)}; declare more in spec.environments."
        cure = f"{suggest(environment, environments)} {listed}".strip()
        location = Location(printable(f"--env {environment}"))
        yield location.problem("unknown-environment", message, cure)


def check_lineage(
    project: ProjectManifest, manifest: RawManifest, models: Iterable[DeclaredModel]
) -> Iterator[Problem]:
    """Report a missing lineage if a provider is used that other projects can use as well."""
    if project.metadata.lineage:
        return
    providers = project.providers()
    used = {project.spec.provider, *(model.spec.provider for model in models)}
    shared = sorted(name for name in used if name in providers and _is_shared(providers[name]))
    if shared:
        message = (
            f"is missing, and other projects that are also called {project.metadata.name} can use"
            f" provider {shared[0]}"
        )
        cure = (
            f"add the line `lineage: {secrets.token_hex(6)}` to metadata; to take over the models"
            f" that it has already, add also `formerly: [{{project: {project.metadata.name},"
            " lineage: none}]`"
        )
        location = locate(manifest.layers, parse_path("metadata.lineage"))
        # A plan is refused for it; other commands work, such as `doctor`.
        yield location.problem(MISSING_LINEAGE, message, cure, Severity.WARNING)


def _is_shared(settings: AnyProvider) -> bool:
    if isinstance(settings, EmbeddedSettings):
        return False
    if settings.endpoint is None:
        return True
    # A service on this machine belongs to its user, as the store of `embedded` does.
    host = settings.endpoint.split("://", 1)[1].split("/")[0]
    return host not in _LOOPBACK and host.rsplit(":", 1)[0] not in _LOOPBACK


def check_former_names(models: Sequence[DeclaredModel], names: set[str]) -> Iterator[Problem]:
    """Report former names that are still declared, or that two models claim."""
    claimed: dict[str, str] = {}
    for model in models:
        for former in model.formerly:
            location = model.location_of("metadata.formerly")  # this parses the file again
            if former in names:
                message = f"{quote_value(former)} is still declared, so it is not a former name"
                yield location.problem("bad-formerly", message, "remove one of the two")
            elif claimed.setdefault(former, model.name) != model.name:
                message = f"{quote_value(former)} is also a former name of {claimed[former]}"
                yield location.problem("bad-formerly", message, "keep one of the two")


def check_former_projects(project: ProjectManifest, manifest: RawManifest) -> Iterator[Problem]:
    """Report the current identity of the project among its former ones."""
    current = (project.metadata.name, project.metadata.lineage or "none")
    if current in ((former.project, former.lineage) for former in project.metadata.formerly):
        location = locate(manifest.layers, parse_path("metadata.formerly"))
        message = "contains the current name and lineage of the project"
        yield location.problem("bad-formerly", message, "remove them")


class DeclaredEnvironment(NamedTuple):
    """The manifests of one environment."""

    name: str
    project: ProjectManifest
    models: Sequence[DeclaredModel]


def check_same_training(
    declared: DeclaredEnvironment, trained: DeclaredEnvironment
) -> Iterator[Problem]:
    """Report what differs from the environment that trains, except gates and lifecycles."""
    environment, home = declared.name, trained.name
    by_name = {model.name: model for model in trained.models}
    for model in declared.models:
        origin = by_name.get(model.name)
        if origin is None:
            message = f"is not declared in {home}, whose versions {environment} promotes"
            location = Location(model.file, model.line)
            yield location.problem("differs-from-home", message, f"declare it in {home} as well")
            continue
        for path in _differences(model, origin, declared.project, trained.project):
            message = f"differs from {home}, whose versions {environment} promotes"
            cure = f"set it for both, or remove promotesFrom of {environment}"
            yield model.location_of(path).problem("differs-from-home", message, cure)


def _differences(
    model: DeclaredModel,
    origin: DeclaredModel,
    project: ProjectManifest,
    home_project: ProjectManifest,
) -> Iterator[str]:
    provider = model.spec.provider or project.spec.provider
    home_provider = origin.spec.provider or home_project.spec.provider
    place = project.providers().get(provider)
    if (provider, place) != (home_provider, home_project.providers().get(home_provider)):
        yield "spec.provider"
    own, other = (each.spec.model_dump(by_alias=True) for each in (model, origin))
    own_parts = _OWN_PARTS if model.spec.sweep is None else {"lifecycle"}  # it scores a sweep
    for field, value in own.items():
        if field not in {*own_parts, "provider"} and value != other[field]:
            yield f"spec.{field}"
    if model.labels != origin.labels:
        yield "metadata.labels"


def is_declared(environment: str, project: RawManifest | None) -> bool:
    """Whether an environment needs no overlay: the Project declares it, or it is the default."""
    return environment in {"", DEFAULT_ENVIRONMENT, *declared_environments(project)}
