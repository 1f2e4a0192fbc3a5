"""Manifests plus datasets: what is declared, resolved, and everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from typing import Final

from tunedmodels.datasets.checks.leakage import Side, overlap
from tunedmodels.datasets.limits import Limits, limits_for, vertex_limits
from tunedmodels.datasets.scan import REJECTED_FIELD, Survey
from tunedmodels.datasets.scan_cache import Request, SurveyCache
from tunedmodels.datasets.source import Response, Source, responses
from tunedmodels.datasets.tokens import estimate
from tunedmodels.desired import Desired, DesiredDataset, DesiredEvaluation, DesiredSweep
from tunedmodels.errors import Problem, ProblemsFoundError, Severity
from tunedmodels.manifests.load import Declared
from tunedmodels.project.project import Project
from tunedmodels.project.remote import copy_of, is_remote
from tunedmodels.schema.base_models import BaseModels, DatasetLimits
from tunedmodels.schema.project import AnyProvider, VertexSettings
from tunedmodels.schema.tuned_model import Examples, GenerationConfig, Training, TunedModelSpec

FREE_VALIDATION: Final = 1000  # examples; beyond it there is a share of the training set


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
        rows = "example" if self.examples == 1 else "examples"
        return f"{self.manifests} {models} and {self.files} {sets} ({self.examples:,} {rows})"

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
    known = _known(desk, declared, base)
    limits = _limits(known, base)
    train = _side(desk, spec, spec.dataset)
    found = _survey(desk, declared, train, spec.dataset, limits, "dataset")
    problems = list(found.problems)
    validation = evaluation = None
    if spec.validation:
        side = _side(desk, spec, spec.validation)
        most = known.max_validation_examples if known else None
        watched = _survey(
            desk, declared, side, spec.validation, limits.for_validation(most), "validation"
        )
        problems += watched.problems
        problems += _too_much_held_out(declared, known, found, watched)
        problems += _overlap(desk, train, found, side, watched)
        validation = _dataset(side, spec.validation, watched)
    if spec.evaluation:
        side = _side(desk, spec, spec.evaluation)
        asked = _survey(desk, declared, side, spec.evaluation, limits.for_held_out(), "evaluation")
        problems += asked.problems
        problems += _overlap(desk, train, found, side, asked)
        evaluation = _evaluation(spec, side, asked)
    desk.problems += problems
    desk.advice[declared.name] = tuple(p for p in problems if p.severity is Severity.WARNING)
    parent = desk.desired.get(spec.tuned_model) if spec.tuned_model else None
    if found.is_usable and (parent or not spec.tuned_model):
        dataset = _dataset(train, spec.dataset, found, preamble=spec.dataset.preamble)
        made = _resolved(desk.project, declared, dataset, validation, parent)
        desk.desired[declared.name] = replace(made, evaluation=evaluation)


def _known(desk: _Desk, declared: Declared, base: str) -> DatasetLimits | None:
    """Return what is known of the base model where it is tuned, None where that is no Vertex AI."""
    settings = desk.project.providers.get(desk.project.provider_of(declared))
    if not isinstance(settings, VertexSettings):
        return None
    row = desk.table.find(settings.type, base)
    return (row and row.dataset) or DatasetLimits()


def _limits(known: DatasetLimits | None, base: str) -> Limits:
    """Return what the base model takes where it is tuned."""
    if known is None:
        return limits_for(base)
    return vertex_limits(
        max_bytes=known.max_bytes,
        max_examples=known.max_examples,
        max_tokens=known.max_tokens_per_example,
    )


def _overlap(
    desk: _Desk, train: Side, trained: Survey, side: Side, held_out: Survey
) -> tuple[Problem, ...]:
    if not (trained.is_usable and held_out.is_usable and trained.examples and held_out.examples):
        return ()
    return desk.cache.overlap(train, side) if desk.cache else overlap(train, side)


def _too_much_held_out(
    declared: Declared, known: DatasetLimits | None, trained: Survey, held_out: Survey
) -> Iterator[Problem]:
    percent = known.max_validation_percent if known else None
    if percent is None or held_out.examples <= FREE_VALIDATION:
        return
    most = max(trained.examples * percent // 100, FREE_VALIDATION)
    if held_out.examples > most:
        place = declared.place_of("spec.validation.path")
        message = f"holds {held_out.examples:,} examples; for {trained.examples:,} to train on, "
        message += f"at most {most:,} are allowed ({percent} %)"
        yield place.problem("too-many-examples", message, "hold out fewer of them")


def _survey(  # noqa: PLR0917  # one question, asked for each part of a manifest
    desk: _Desk, declared: Declared, side: Side, source: Examples, limits: Limits, part: str
) -> Survey:
    request = Request(
        side.file,
        source,
        written=side.written,
        limits=limits,
        preamble=declared.spec.dataset.preamble,
        task=declared.spec.task if part == "dataset" else None,
        rejected_field=rejected_field(source) if isinstance(side.source, Response) else None,
    )
    if is_remote(source.path) and not side.file.exists():
        return Survey("", 0, 0, (_not_fetched(declared, part),))
    made = desk.cache.survey(request) if desk.cache else request.answer()
    desk.datasets.add((source.path, made.digest))
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


def _not_fetched(declared: Declared, part: str) -> Problem:
    place = declared.place_of(f"spec.{part}.path")
    message = "lies in Cloud Storage and was not read: this is offline"
    problem = place.problem("not-fetched", message, "to read it: tunedmodels plan")
    return replace(problem, severity=Severity.WARNING)


def _side(desk: _Desk, spec: TunedModelSpec, source: Examples) -> Side:
    remote = is_remote(source.path)
    # Not relpath of the file: it asks for the working directory again for each of 10,000 models.
    written = source.path if remote else os.path.normpath(f"{desk.root}/{source.path}")
    file = copy_of(desk.project, source.path) if remote else desk.project.root / source.path
    read_as: Source = source
    if spec.method == "preference" and isinstance(source, Training):
        read_as, _ = responses(source, rejected_field(source))
    return Side(file, read_as, written)


def rejected_field(source: Examples) -> str:
    """Return the field of the worse response."""
    named = source.rejected_field if isinstance(source, Training) else None
    return named or REJECTED_FIELD


def _dataset(side: Side, source: Examples, found: Survey, *, preamble: str = "") -> DesiredDataset:
    return DesiredDataset(
        file=side.file,
        written=source.path,
        source=source,
        digest=found.digest,
        examples=found.examples,
        tokens=found.tokens + found.examples * estimate(preamble),
    )


def _evaluation(spec: TunedModelSpec, side: Side, found: Survey) -> DesiredEvaluation | None:
    if spec.evaluation is None or not found.is_usable:
        return None
    # Declared on the model itself, and so changed in place: the answers would change with them.
    own = {"top_p": spec.top_p, "top_k": spec.top_k}
    said = spec.evaluation.generation_config.model_dump(exclude_none=True)
    return DesiredEvaluation(
        file=side.file,
        written=spec.evaluation.path,
        rules=spec.evaluation,
        digest=found.digest,
        examples=found.examples,
        preamble=spec.dataset.preamble,
        as_system=spec.dataset.preamble_as == "systemInstruction",
        generation=GenerationConfig(**(own | said)),
    )


def _sweep(declared: Declared) -> DesiredSweep | None:
    spec = declared.spec
    if spec.sweep is None:
        return None
    place = declared.place_of("spec.sweep")
    return DesiredSweep(
        settings=spec.sweep.hyperparameters.settings(spec.hyperparameters),
        max_cost_usd=spec.sweep.max_cost_usd,
        place=f"{place.file}:{place.line}",
    )


def _resolved(
    project: Project,
    declared: Declared,
    dataset: DesiredDataset,
    validation: DesiredDataset | None,
    parent: Desired | None,
) -> Desired:
    spec = declared.spec
    settings = project.providers.get(project.provider_of(declared))
    return Desired(
        project=project.name,
        name=declared.name,
        provider=project.provider_of(declared),
        source=f"tunedModels/{parent.model_id}" if parent else spec.base_model or "",
        dataset=dataset,
        validation=validation,
        place=f"{declared.file}:{declared.line}",
        parent=parent.name if parent else None,
        preamble=spec.dataset.preamble,
        preamble_as=spec.dataset.preamble_as,
        method=spec.method,
        hyperparameters=spec.hyperparameters,
        sweep=_sweep(declared),
        service_account=_service_account(spec, settings),
        encryption_key=_encryption_key(spec, settings),
        last_checkpoint_only=spec.export_last_checkpoint_only,
        display_name=spec.display_name or declared.name,
        description=spec.description,
        temperature=spec.temperature,
        top_p=spec.top_p,
        top_k=spec.top_k,
        reader_project_numbers=spec.reader_project_numbers,
        labels=declared.labels,
        lifecycle=spec.lifecycle,
    )


def _service_account(spec: TunedModelSpec, settings: AnyProvider | None) -> str:
    of_all = settings.service_account if isinstance(settings, VertexSettings) else None
    return spec.service_account or of_all or ""


def _encryption_key(spec: TunedModelSpec, settings: AnyProvider | None) -> str:
    of_all = settings.encryption_spec if isinstance(settings, VertexSettings) else None
    encryption = spec.encryption_spec or of_all
    return encryption.kms_key_name if encryption else ""
