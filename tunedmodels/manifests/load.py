"""Load the manifests of a project directory, and report all problems of all files at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from tunedmodels.errors import Problem, ProblemsFoundError
from tunedmodels.manifests import checks, environments
from tunedmodels.manifests.collect import (
    Collected,
    ManifestPart,
    RawManifest,
    YamlMapping,
    collect,
)
from tunedmodels.manifests.declaration import DeclaredModel, Layer
from tunedmodels.manifests.discover import display_path, find_project
from tunedmodels.manifests.location import Location
from tunedmodels.manifests.overlays import Patches, merge
from tunedmodels.manifests.provider_support import check_provider_support
from tunedmodels.manifests.validation_errors import explain
from tunedmodels.schema.project import ProjectManifest
from tunedmodels.schema.tuned_model import TunedModelManifest

if TYPE_CHECKING:  # msgspec takes 10 ms
    from tunedmodels.manifests.reading_cache import ReadingCache

__all__ = ["DeclaredModel", "LoadResult", "find_project", "load"]

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A project and its valid models.

    A command that changes anything must first raise ProblemsFoundError(problems) if one of them is
    an error.
    """

    project: ProjectManifest
    root: Path
    """The directory of the Project file."""
    models: tuple[DeclaredModel, ...]
    """In the order of the files."""
    problems: tuple[Problem, ...]
    files: int
    """The number of files that contain manifests."""
    sources: tuple[str, ...] = ()
    """The paths of all files that were used, including overlays."""
    layers: Mapping[tuple[str, str], tuple[Layer, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )
    """The documents of each manifest, valid or not, by kind and name."""


def load(
    directory: Path,
    *,
    environment: str = "",
    sets: Sequence[str] = (),
    cache: ReadingCache | None = None,
    accepts_undeclared: bool = False,
) -> LoadResult:
    """Read all manifests in the directory of a Project file.

    `environment` is the name of an environment, whose overlay may be missing if the Project
    declares it; with `accepts_undeclared` it need not be declared either. `sets` are
    `NAME.PATH=VALUE`. The layers are, from the weakest: defaults of the schema, defaults of the
    Project, manifest, overlay, `sets`. Problems of single manifests are returned. Raises
    ProblemsFoundError, with all problems of all files, if the Project is missing or invalid,
    because no command is safe without the name of the owner.
    """
    collected = collect(directory, cache)
    problems = collected.problems
    models = [manifest for manifest in collected.manifests if manifest.kind == "TunedModel"]
    project_manifest = _find_single_project(directory, collected)
    needs_overlay = not (
        accepts_undeclared or environments.is_declared(environment, project_manifest)
    )
    patches = _read_patches(
        directory, environment, sets, project_manifest, needs_overlay=needs_overlay
    )
    patches.apply(collected.manifests)
    problems += patches.problems
    layers = _layers(collected)
    files = {layer.source.file for group in layers.values() for layer in group}
    sources = tuple(sorted(files - {""}))
    problems += checks.check_names(models)

    project: ProjectManifest | None = None
    defaults: list[ManifestPart] = []
    if project_manifest:
        project = _validate(ProjectManifest, project_manifest, problems)
        defaults = _default_parts(project_manifest)
    declared = _validate_models(models, defaults, problems)
    names = {model.name for model in models}
    problems += checks.check_parents(declared, names)
    problems += environments.check_former_names(declared, names)
    problems += checks.check_paths(directory, declared)
    if not project or not project_manifest:
        raise ProblemsFoundError(tuple(set(problems)))
    problems += checks.check_providers(project, project_manifest, declared)
    problems += environments.check_environments(project, project_manifest)
    if not accepts_undeclared:
        problems += environments.check_selected(project, environment)
        problems += environments.check_lineage(project, project_manifest, declared)
        problems += _check_home(directory, environment, sets, project, declared)
    problems += environments.check_former_projects(project, project_manifest)
    problems += checks.check_parent_providers(project, declared)
    problems += checks.check_policy(project, declared)
    problems += check_provider_support(project, declared)
    problems += checks.check_sweeps(declared)
    # One mistake in the defaults is found in every model.
    unique = tuple(sorted(set(problems)))
    return LoadResult(project, directory, declared, unique, collected.files, sources, layers)


def _layers(collected: Collected) -> dict[tuple[str, str], tuple[Layer, ...]]:
    """Return the documents of each manifest, by kind and name."""
    layers: dict[tuple[str, str], tuple[Layer, ...]] = {}
    for manifest in collected.manifests:
        key = manifest.kind, manifest.name
        layers[key] = (*layers.get(key, ()), *manifest.layers)
    return layers


def _check_home(
    directory: Path,
    environment: str,
    sets: Sequence[str],
    project: ProjectManifest,
    declared: Sequence[DeclaredModel],
) -> Sequence[Problem]:
    """Compare an environment that promotes with the one that trains."""
    home = environments.home_of(project.spec.environments, environment)
    if home == environment:
        return ()
    try:
        origin = load(directory, environment=home, sets=sets)
    except ProblemsFoundError as error:
        return error.problems
    return tuple(
        environments.check_same_training(
            environments.DeclaredEnvironment(environment, project, declared),
            environments.DeclaredEnvironment(home, origin.project, origin.models),
        )
    )


def _find_single_project(directory: Path, collected: Collected) -> RawManifest | None:
    """Return the Project; report further ones, one in a subdirectory, and a missing one."""
    projects = [manifest for manifest in collected.manifests if manifest.kind == "Project"]
    for further in projects[1:]:
        first = projects[0]
        message = f"is a second Project; the first is in {first.file}:{first.line}"
        cure = "keep one; every project has its own directory"
        location = Location(further.file, further.line)
        collected.problems.append(location.problem("two-projects", message, cure))
    if projects and PurePath(projects[0].file).parent != PurePath(display_path(directory)):
        location = Location(projects[0].file, projects[0].line)
        message = f"is the Project file, but not in the given directory {display_path(directory)}"
        cure = f"name its own directory: -C {PurePath(projects[0].file).parent}"
        collected.problems.append(location.problem("project-elsewhere", message, cure))
    if not projects and not collected.problems:
        message = "contains no Project" if collected.manifests else "contains no manifest"
        cure = "name the directory of the Project file with -C DIR, or run: tunedmodels init"
        location = Location(display_path(directory))
        collected.problems.append(location.problem("no-project", message, cure))
    return projects[0] if projects else None


def _read_patches(
    directory: Path,
    environment: str,
    sets: Sequence[str],
    project: RawManifest | None,
    *,
    needs_overlay: bool,
) -> Patches:
    patches = Patches()
    if environment:
        patches.read_overlay(directory, environment, is_required=needs_overlay)
    for option in sets:
        patches.read_option(option, project.name if project else "")
    return patches


def _default_parts(project: RawManifest) -> list[ManifestPart]:
    """Return the Project's defaults as parts of every model, one per layer that contains some."""
    parts: list[ManifestPart] = []
    for value, document_layer in project.parts:
        spec = value.get("spec")
        defaults = spec.get("defaults") if isinstance(spec, dict) else None
        if isinstance(defaults, dict):
            inner = ("spec", "defaults")
            layer = replace(document_layer, manifest_prefix=("spec",), document_prefix=inner)
            parts.append(({"spec": defaults}, layer))
    return parts


def _validate_models(
    models: Sequence[RawManifest], defaults: Sequence[ManifestPart], problems: list[Problem]
) -> tuple[DeclaredModel, ...]:
    """Return the valid models, the first of each name; this empties the parts of `models`."""
    declared: dict[str, DeclaredModel] = {}
    for model in models:
        model.parts[:0] = defaults
        valid = _validate(TunedModelManifest, model, problems)
        if valid and model.name not in declared:
            declared[model.name] = DeclaredModel(
                model.name,
                valid.spec,
                model.file,
                model.line,
                valid.metadata.labels,
                model.layers,
                valid.metadata.formerly,
            )
        model.parts.clear()  # 10,000 manifests take 30 MB as plain values
    return tuple(declared.values())


def _validate(model: type[_Model], manifest: RawManifest, problems: list[Problem]) -> _Model | None:
    empty: YamlMapping = {}
    merged = reduce(merge, (value for value, _ in manifest.parts), empty)
    try:
        return model.model_validate(merged, by_alias=True, by_name=False)
    except ValidationError as error:
        problems += explain(model, error, merged, manifest.layers)
        return None
