"""From a folder to declared models, with every problem of every file in one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path, PurePath
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tunedmodels.errors import Problem, ProblemsFoundError
from tunedmodels.manifests import checks
from tunedmodels.manifests.collect import Gathered, Manifest, Mapping, Part, gather
from tunedmodels.manifests.declaration import Declared
from tunedmodels.manifests.discover import as_typed, find_project
from tunedmodels.manifests.location import Place
from tunedmodels.manifests.overlays import Patches, merge
from tunedmodels.manifests.provider_support import honoured
from tunedmodels.manifests.validation_errors import explain
from tunedmodels.schema.project import ProjectManifest
from tunedmodels.schema.tuned_model import TunedModelManifest

__all__ = ["Declared", "Loaded", "find_project", "load"]

_Kind = TypeVar("_Kind", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A project, and those of its models that could be read, in the order of files.

    `root` is the folder of the Project file; `files` counts the files that hold manifests, and
    `sources` are those that were used, overlays among them. Whoever
    goes on to change anything raises ProblemsFoundError(problems) first if one is an error.
    """

    project: ProjectManifest
    root: Path
    models: tuple[Declared, ...]
    problems: tuple[Problem, ...]
    files: int
    sources: tuple[str, ...] = ()


def load(directory: Path, *, environment: str = "", sets: Sequence[str] = ()) -> Loaded:
    """Read all manifests in the folder of a Project file.

    `environment` names an overlay, `sets` are `NAME.PATH=VALUE`; the order is defaults of the
    schema, of the Project, manifest, overlay, sets. Problems of single manifests are returned.
    Raises ProblemsFoundError, with all problems of all files, when there is no usable Project:
    nothing is safe to do without the owner's name.
    """
    gathered = gather(directory)
    problems = gathered.problems
    models = [m for m in gathered.manifests if m.kind == "TunedModel"]
    project_manifest = _one_project(directory, gathered)
    patches = _patches(directory, environment, sets, project_manifest)
    patches.apply(gathered.manifests)
    problems += patches.problems
    layers = (layer for manifest in gathered.manifests for layer in manifest.layers)
    sources = tuple(sorted({layer.source.file for layer in layers} - {""}))
    problems += checks.duplicates(models)

    project: ProjectManifest | None = None
    defaults: list[Part] = []
    if project_manifest:
        project = _validated(ProjectManifest, project_manifest, problems)
        defaults = _defaults(project_manifest)
    declared: list[Declared] = []
    seen: set[str] = set()
    for model in models:
        model.parts[:0] = defaults
        valid = _validated(TunedModelManifest, model, problems)
        if valid and model.name not in seen:
            seen.add(model.name)
            declared.append(_declared(model, valid))
        model.parts.clear()  # 10,000 manifests weigh 30 MB as plain values
    problems += checks.parents(declared, {model.name for model in models})
    problems += checks.paths(directory, declared)
    if not project or not project_manifest:
        raise ProblemsFoundError(tuple(set(problems)))
    problems += checks.providers(project, project_manifest, declared)
    problems += checks.places(project, declared)
    problems += checks.policy(project, declared)
    problems += honoured(project, declared)
    problems += checks.sweep_problems(declared)
    # A mistake in the defaults shows in every model, but it is one.
    found = tuple(sorted(set(problems)))
    return Loaded(project, directory, tuple(declared), found, gathered.files, sources)


def _one_project(directory: Path, gathered: Gathered) -> Manifest | None:
    """Return the Project; a further one, one in a folder below or none at all is a problem."""
    projects = [m for m in gathered.manifests if m.kind == "Project"]
    for further in projects[1:]:
        first = projects[0]
        message = f"is a second Project; the first is in {first.file}:{first.line}"
        cure = "keep one; every project has a folder of its own"
        place = Place(further.file, further.line)
        gathered.problems.append(place.problem("two-projects", message, cure))
    if projects and PurePath(projects[0].file).parent != PurePath(as_typed(directory)):
        place = Place(projects[0].file, projects[0].line)
        message = f"is the Project file, but not in {as_typed(directory)}, the folder you named"
        cure = f"name its own folder: -C {PurePath(projects[0].file).parent}"
        gathered.problems.append(place.problem("project-elsewhere", message, cure))
    if not projects and not gathered.problems:
        message = "holds no Project" if gathered.manifests else "holds no manifest"
        cure = "name the folder of the Project file with -C DIR, or run: tunedmodels init"
        gathered.problems.append(Place(as_typed(directory)).problem("no-project", message, cure))
    return projects[0] if projects else None


def _patches(
    directory: Path, environment: str, sets: Sequence[str], project: Manifest | None
) -> Patches:
    patches = Patches()
    if environment:
        patches.read_overlay(directory, environment)
    for option in sets:
        patches.read_option(option, project.name if project else "")
    return patches


def _validated(model: type[_Kind], manifest: Manifest, problems: list[Problem]) -> _Kind | None:
    nothing: Mapping = {}
    written = reduce(merge, (value for value, _ in manifest.parts), nothing)
    try:
        return model.model_validate(written, by_alias=True, by_name=False)
    except ValidationError as error:
        problems += explain(model, error, written, manifest.layers)
        return None


def _declared(model: Manifest, valid: TunedModelManifest) -> Declared:
    labels = valid.metadata.labels
    return Declared(model.name, valid.spec, model.file, model.line, labels, model.layers)


def _defaults(project: Manifest) -> list[Part]:
    """Return the Project's defaults as parts of every model, one for each place they stand in."""
    parts: list[Part] = []
    for value, layer in project.parts:
        spec = value.get("spec")
        written = spec.get("defaults") if isinstance(spec, dict) else None
        if isinstance(written, dict):
            moved = replace(layer, above=("spec",), inner=("spec", "defaults"))
            parts.append(({"spec": written}, moved))
    return parts
