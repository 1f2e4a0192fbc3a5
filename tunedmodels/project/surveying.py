"""Manifests plus datasets: what is declared, resolved, and everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from pathlib import Path

from tunedmodels.capabilities.rows import DatasetLimits
from tunedmodels.capabilities.table import BaseModels
from tunedmodels.datasets.cache import Request, SurveyCache
from tunedmodels.datasets.limits import Limits, limits_for, vertex_limits
from tunedmodels.datasets.overlap import Side, overlap
from tunedmodels.datasets.survey import Survey
from tunedmodels.datasets.tokens import estimate
from tunedmodels.desired import Desired, DesiredDataset
from tunedmodels.errors import Problem, ProblemsFoundError, Severity
from tunedmodels.manifests.loader import Declared
from tunedmodels.project.opened import Project
from tunedmodels.settings import AnyProvider, VertexSettings
from tunedmodels.spec import Examples, TunedModelSpec


@dataclass(frozen=True, slots=True)
class Surveyed:
    """All declared models, parents before their children, and every problem found.

    A model is missing from `desired` when its dataset cannot be used. `advice` holds the warnings
    about the data of each model, by name. `datasets` are the files, as the manifests write them,
    with the digest of their examples.
    """

    desired: tuple[Desired, ...]
    problems: tuple[Problem, ...]
    advice: Mapping[str, tuple[Problem, ...]]
    manifests: int
    files: int
    examples: int
    datasets: frozenset[tuple[str, str]]

    @property
    def counted(self) -> str:
        """What was looked at, in words."""
        models = "model" if self.manifests == 1 else "models"
        sets = "dataset" if self.files == 1 else "datasets"
        return f"{self.manifests} {models} and {self.files} {sets} ({self.examples:,} examples)"

    def checked(self) -> tuple[Desired, ...]:
        """Return what is declared. Raises ProblemsFoundError when anything is wrong with it."""
        if any(problem.severity is Severity.ERROR for problem in self.problems):
            raise ProblemsFoundError(self.problems)
        return self.desired


@dataclass(slots=True)
class _Desk:
    """What is gathered on the way through the models."""

    project: Project
    cache: SurveyCache | None
    root: str  # as the person would type it
    table: BaseModels
    bases: dict[str, str] = field(default_factory=dict)  # name -> base model at its root
    desired: dict[str, Desired] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    advice: dict[str, tuple[Problem, ...]] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    examples: int = 0
    datasets: set[tuple[str, str]] = field(default_factory=set)


def survey(project: Project, *, use_cache: bool) -> Surveyed:
    """Read every dataset, check it for the base model it is for, and resolve every model.

    With `use_cache` a file that looks unchanged since the last time is not read again.
    """
    cache = SurveyCache(project.state / "surveys") if use_cache else None
    table = BaseModels(project.manifest.spec.base_models)
    desk = _Desk(project, cache, os.path.relpath(project.root), table)
    for declared in _parents_first(project.declared):
        _one(desk, declared)
    if desk.cache:
        project.claim_state()
        desk.cache.save()
    return Surveyed(
        desired=tuple(desk.desired.values()),
        problems=tuple(sorted(dict.fromkeys((*project.warnings, *desk.problems)))),
        advice=desk.advice,
        manifests=len(project.declared),
        files=len(desk.files),
        examples=desk.examples,
        datasets=frozenset(desk.datasets),
    )


def _parents_first(declared: Iterable[Declared]) -> list[Declared]:
    models = {model.name: model for model in declared}
    parents = {
        name: {model.spec.tuned_model} & models.keys() if model.spec.tuned_model else set()
        for name, model in sorted(models.items())
    }
    return [models[name] for name in TopologicalSorter(parents).static_order()]


def _one(desk: _Desk, declared: Declared) -> None:
    spec = declared.spec
    base = spec.base_model or desk.bases.get(spec.tuned_model or "", "")
    desk.bases[declared.name] = base
    limits = _limits(desk, declared, base)
    train = _side(desk, spec.dataset)
    found = _survey(desk, declared, train, limits, "dataset")
    problems = list(found.problems)
    desk.datasets.add((spec.dataset.path, found.digest))
    if spec.evaluation:
        test = _side(desk, spec.evaluation)
        held_out = _survey(desk, declared, test, limits.for_held_out(), "evaluation")
        desk.datasets.add((spec.evaluation.path, held_out.digest))
        problems += held_out.problems
        if found.is_usable and held_out.is_usable:
            ask = desk.cache.overlap if desk.cache else overlap
            problems += ask(train, test)
    desk.problems += problems
    desk.advice[declared.name] = tuple(p for p in problems if p.severity is Severity.WARNING)
    parent = desk.desired.get(spec.tuned_model) if spec.tuned_model else None
    if found.is_usable and (parent or not spec.tuned_model):
        desk.desired[declared.name] = _resolved(desk.project, declared, train.file, found, parent)


def _limits(desk: _Desk, declared: Declared, base: str) -> Limits:
    """Return what the base model takes where it is tuned."""
    settings = desk.project.providers.get(desk.project.provider_of(declared))
    if not isinstance(settings, VertexSettings):
        return limits_for(base)
    row = desk.table.find(settings.type, base)
    known = (row and row.dataset) or DatasetLimits()
    return vertex_limits(
        max_bytes=known.max_bytes,
        max_examples=known.max_examples,
        max_tokens=known.max_tokens_per_example,
    )


def _survey(desk: _Desk, declared: Declared, side: Side, limits: Limits, part: str) -> Survey:
    request = Request(
        side.file,
        side.source,
        written=side.written,
        limits=limits,
        preamble=declared.spec.dataset.preamble,
        task=declared.spec.task if part == "dataset" else None,
    )
    made = desk.cache.survey(request) if desk.cache else request.answer()
    if side.written not in desk.files:
        desk.files.add(side.written)
        desk.examples += made.examples
    if made.examples:
        return made
    # Nothing was found in the file, perhaps not even a file: the manifest is the place to look at.
    place = declared.place_of(f"spec.{part}.path")
    moved = tuple(
        replace(
            problem,
            file=place.file,
            line=place.line,
            path=f"spec.{part}.path",
            message=f"{side.written} {problem.message}",
        )
        if not problem.line
        else problem
        for problem in made.problems
    )
    return replace(made, problems=moved)


def _side(desk: _Desk, source: Examples) -> Side:
    # Not relpath of the file: it asks for the working directory again for each of 10,000 models.
    written = os.path.normpath(f"{desk.root}/{source.path}")
    return Side(desk.project.root / source.path, source, written)


def _resolved(
    project: Project, declared: Declared, file: Path, found: Survey, parent: Desired | None
) -> Desired:
    spec = declared.spec
    settings = project.providers.get(project.provider_of(declared))
    return Desired(
        project=project.name,
        name=declared.name,
        provider=project.provider_of(declared),
        source=f"tunedModels/{parent.model_id}" if parent else spec.base_model or "",
        dataset=DesiredDataset(
            file=file,
            written=spec.dataset.path,
            source=spec.dataset,
            digest=found.digest,
            examples=found.examples,
            tokens=found.tokens + found.examples * estimate(spec.dataset.preamble),
        ),
        place=f"{declared.file}:{declared.line}",
        parent=parent.name if parent else None,
        preamble=spec.dataset.preamble,
        preamble_as=spec.dataset.preamble_as,
        method=spec.method,
        hyperparameters=spec.hyperparameters,
        service_account=_service_account(spec, settings),
        encryption_key=_encryption_key(spec, settings),
        last_checkpoint_only=spec.export_last_checkpoint_only,
        display_name=spec.display_name or declared.name,
        description=spec.description,
        temperature=spec.temperature,
        top_p=spec.top_p,
        top_k=spec.top_k,
        reader_project_numbers=spec.reader_project_numbers,
        lifecycle=spec.lifecycle,
    )


def _service_account(spec: TunedModelSpec, settings: AnyProvider | None) -> str:
    of_all = settings.service_account if isinstance(settings, VertexSettings) else None
    return spec.service_account or of_all or ""


def _encryption_key(spec: TunedModelSpec, settings: AnyProvider | None) -> str:
    of_all = settings.encryption_spec if isinstance(settings, VertexSettings) else None
    encryption = spec.encryption_spec or of_all
    return encryption.kms_key_name if encryption else ""
