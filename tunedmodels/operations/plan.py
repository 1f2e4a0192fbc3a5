"""Make a plan for an opened project: resolve, observe, compare, decide."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from tunedmodels import __version__
from tunedmodels.aio import gather
from tunedmodels.datasets.diff import Comparison
from tunedmodels.desired import Desired
from tunedmodels.errors import TunedModelsError
from tunedmodels.manifests.unread import UNREAD_CODES
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.operations.connect import connect, fetch_all
from tunedmodels.operations.count_tokens import count_dataset_tokens
from tunedmodels.operations.curves import with_whole_curves
from tunedmodels.operations.dataset_diff import DatasetDiffs, compare_datasets
from tunedmodels.operations.git_facts import GitAnswers, ask_git
from tunedmodels.operations.successors import with_retraining_costs
from tunedmodels.ownership import Ownership
from tunedmodels.plan.history import history
from tunedmodels.plan.plan import Input, Note, Plan
from tunedmodels.plan.planner import Allowances, PlanInputs, PlanOptions, make_plan
from tunedmodels.plan.sweep import resolve_sweeps
from tunedmodels.plan.unread import NO_GIT
from tunedmodels.project.base_models import BaseModelReport, base_model_report
from tunedmodels.project.project import Project
from tunedmodels.project.resolve import Resolution, resolve
from tunedmodels.providers.provider import Provider
from tunedmodels.render.problems import problems_text
from tunedmodels.text import plural, suggest

EVERYTHING = Allowances(delete=2**31, empty=True)


@dataclass(frozen=True, slots=True)
class PlanResult:
    """A plan and the state that it was made from."""

    # Without repr: asyncio.run makes the repr of its result, which takes long for large plans.
    plan: Plan = field(repr=False)
    desired: Mapping[str, Desired] = field(repr=False)  #: by name; empty if all are destroyed
    observed: Sequence[ObservedModel] = field(repr=False)
    ownership: Ownership = field(repr=False)
    summary: str  #: warnings, and what was read, for the user
    examples: Mapping[str, Comparison] = field(default_factory=dict)
    """The examples that replacements add and remove, by name; only of datasets that git tracks,
    since every reader of the plan may read those."""


async def plan(
    project: Project,
    allowances: Allowances,
    *,
    use_cache: bool,
    destroying: bool = False,
    with_inputs: bool = False,
    moment: str = "",
    count_tokens: bool = False,
    today: date | None = None,
) -> PlanResult:
    """Observe every provider and make a plan; nothing is changed.

    `count_tokens` asks the service to count tokens, which are estimated otherwise. `today` (UTC)
    decides which base models have retired. `with_inputs` adds the digests of all files, for a plan
    that is saved. `moment` is the time for grace periods: that of the saved plan, or empty for now.
    Raises ProblemsFoundError if the declared models have errors, and ProviderError if a provider
    does not answer.
    """
    await fetch_all(project)
    resolution = resolve(project, use_cache=use_cache)
    declared = resolution.desired_or_raise()
    report = base_model_report(project, today)
    async with connect(project) as providers:
        ownership = project.ownership.with_desired(declared)
        observed = await observe(providers)
        desired: Sequence[Desired] = resolve_sweeps(declared, observed, ownership)
        desired = with_live_parents(desired, ownership.versions(observed))
        lacks_etags = await _lacks_etags(providers, observed, ownership)
        tunable = await _tunable(providers, desired, observed)
        if count_tokens:
            desired = await count_dataset_tokens(project, desired, observed, providers)
    _require_known(project, observed)
    diffs, answers = _comparisons(project, desired, observed, ownership, destroying=destroying)
    facts = replace(report.facts(), tunable=tunable)
    inputs = PlanInputs(
        ownership=ownership,
        owner_warnings=[each.owner_warning for each in providers.values() if each.owner_warning],
        lacks_etags=lacks_etags,
        missing_lineage=project.missing_lineage,
        desired=desired,
        observed=observed,
        dataset_changes=diffs.changes,
        base_models=with_retraining_costs(facts, report, desired, ownership.versions(observed)),
        training_warnings=_training_warnings(resolution, report),
        now=datetime.fromisoformat(moment) if moment else datetime.now(UTC),
        git=answers.facts,
    )
    result = make_plan(inputs, _options(project, allowances, destroying=destroying))
    by_name = {} if destroying else {model.name: model for model in desired}
    files = tuple(_input_files(project, resolution)) if with_inputs else ()
    epochs = await _epoch_notes(project, result, by_name, observed, ownership)
    return PlanResult(
        plan=result.model_copy(update=_details(project, result, answers, files, epochs)),
        desired=by_name,
        observed=observed,
        ownership=ownership,
        summary=_summary(project, resolution, len(observed)),
        examples=diffs.examples,
    )


def _comparisons(
    project: Project,
    desired: Sequence[Desired],
    observed: Sequence[ObservedModel],
    ownership: Ownership,
    *,
    destroying: bool,
) -> tuple[DatasetDiffs, GitAnswers]:
    """Return what changed in the datasets and what git says; nothing if all are destroyed."""
    if destroying:
        return DatasetDiffs(), GitAnswers(NO_GIT)
    diffs = compare_datasets(project, desired, observed, ownership)
    return diffs, ask_git(project, desired, observed)


def _options(project: Project, allowances: Allowances, *, destroying: bool) -> PlanOptions:
    return PlanOptions(
        policy=project.manifest.spec.policy,
        allowances=allowances,
        environment=project.environment,
        destroying=destroying,
        selection=project.selection,
    )


def _details(
    project: Project,
    plan: Plan,
    answers: GitAnswers,
    files: tuple[Input, ...],
    epochs: Sequence[Note],
) -> dict[str, object]:
    """Return the fields of a plan that do not decide its outcome."""
    return {
        "tool": __version__,
        "sets": project.sets,
        "folder": project.folder,
        "inputs": files,
        "warnings": (*plan.warnings, *answers.warnings),
        "notes": (*plan.notes, *epochs, *answers.notes),
    }


def _require_known(project: Project, observed: Sequence[ObservedModel]) -> None:
    """Raise TunedModelsError if a selected name is neither declared nor live."""
    live = project.ownership.versions(observed)
    known = {model.name for model in project.declared} | live.keys()
    for name in project.selection:
        if name not in known:
            raise TunedModelsError(
                f"Unknown model {name!r}: it is neither declared nor live",
                cure=suggest(name, {*project.names, *live}) or "To list all: tunedmodels status",
            )


async def observe(providers: Mapping[str, Provider]) -> list[ObservedModel]:
    """Return the live models of all providers, observed concurrently. Raises ProviderError."""
    lists = await gather(provider.observe() for provider in providers.values())
    return [model for models in lists for model in models]


def with_live_parents(
    desired: Sequence[Desired], versions: Mapping[str, Sequence[ObservedModel]]
) -> list[Desired]:
    """Return the desired models with the live ids of the versions that they continue from.

    A version that was moved or adopted has another id than a new one would get.
    """
    by_name = {model.name: model for model in desired}

    def with_live_parent(model: Desired) -> Desired:
        parent = by_name.get(model.parent) if model.parent else None
        if parent is None:
            return model
        live = history(
            versions.get(parent.name, ()), provider=parent.provider, fingerprint=parent.fingerprint
        ).declared
        if live is None or live.state is ModelState.FAILED:
            return model
        source = f"tunedModels/{live.model_id}"
        if source == model.inputs.source:
            return model
        return replace(model, inputs=replace(model.inputs, source=source))

    return [with_live_parent(model) for model in desired]


async def _lacks_etags(
    providers: Mapping[str, Provider], observed: Sequence[ObservedModel], ownership: Ownership
) -> bool:
    """Whether the environment promotes versions of a service that sends no ETag."""
    if not ownership.is_promoting:
        return False
    for versions in ownership.versions(observed).values():
        ready = (version for version in versions if version.state is ModelState.READY)
        for version in ready:
            model = await providers[version.provider].get(version.model_id)
            if model is not None:
                return not model.etag
    return False


async def _tunable(
    providers: Mapping[str, Provider], desired: Iterable[Desired], observed: Iterable[ObservedModel]
) -> dict[str, frozenset[str]]:
    """Return the tunable base models of each provider with a declared version that is not ready.

    A service without a list of its models is left out.
    """
    ready = {(m.provider, m.fingerprint) for m in observed if m.state is ModelState.READY}
    names = {m.provider for m in desired if (m.provider, m.fingerprint) not in ready}
    listed = {name: await providers[name].base_models() for name in sorted(names)}
    return {
        name: frozenset(model.name for model in models if model.is_tunable)
        for name, models in listed.items()
        if models
    }


def _training_warnings(resolution: Resolution, report: BaseModelReport) -> dict[str, list[str]]:
    return {
        name: [
            *(f"{problem.location}: {problem.message}" for problem in problems),
            *report.training_warnings.get(name, ()),
        ]
        for name, problems in resolution.data_warnings.items()
    }


def _input_files(project: Project, resolution: Resolution) -> Iterator[Input]:
    for file in project.sources:
        path = Path(os.path.relpath(file, project.root)).as_posix()
        try:
            digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        except OSError:  # deleted since it was read
            digest = ""
        yield Input(kind="manifest", path=path, digest=digest)
    for path, digest in sorted(resolution.datasets):
        yield Input(kind="dataset", path=path, digest=digest)


def _summary(project: Project, resolution: Resolution, live: int) -> str:
    # The plan itself has the warnings about files that were not read.
    warnings = problems_text([p for p in project.warnings if p.code not in UNREAD_CODES])
    return f"{warnings}Read {resolution.summary}, {live} live {plural(live, 'model')}.\n\n"


_MAX_CURVES: Final = 100  # reading one takes up to a millisecond
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


async def _epoch_notes(
    project: Project,
    plan: Plan,
    desired: Mapping[str, Desired],
    observed: Iterable[ObservedModel],
    ownership: Ownership,
) -> list[Note]:
    """Return the notes of `epoch_notes`, made from the whole curves of these models."""
    finished = _models_of_notes(plan, desired, observed, ownership)
    models = [model for versions in finished.values() for model in versions]
    whole = iter(await with_whole_curves(project, models))
    complete = {name: [next(whole) for _ in versions] for name, versions in finished.items()}
    return list(_notes(desired, complete))


def epoch_notes(
    plan: Plan,
    desired: Mapping[str, Desired],
    observed: Iterable[ObservedModel],
    ownership: Ownership,
) -> Iterator[Note]:
    """Yield a note for every name whose last loss curve recommends another number of epochs.

    A curve says something about the settings that it was trained with only: a name whose base
    model, epochs, batch size or learning rate differ from them gets no note. Neither does one with
    another version that has already tried what its last curve recommends.

    At most 100 curves are read: those of names that the plan trains first, then others by name.
    """
    yield from _notes(desired, _models_of_notes(plan, desired, observed, ownership))


def _models_of_notes(
    plan: Plan,
    desired: Mapping[str, Desired],
    observed: Iterable[ObservedModel],
    ownership: Ownership,
) -> dict[str, list[ObservedModel]]:
    versions = _trained_versions(ownership, observed)
    trained = {change.name for change in plan.changes if change.action.trains}
    # Without sweeps: they measure the best number of epochs.
    names = {name for name, model in desired.items() if not model.sweep_digest} & versions.keys()
    first = sorted(names, key=lambda name: (name not in trained, name))[:_MAX_CURVES]
    return {name: versions[name] for name in first}


def _notes(
    desired: Mapping[str, Desired], finished: Mapping[str, Sequence[ObservedModel]]
) -> Iterator[Note]:
    for name, versions in finished.items():
        if text := _epoch_note(desired[name], versions):
            yield Note(name=name, words=text)


def _trained_versions(
    ownership: Ownership, observed: Iterable[ObservedModel]
) -> dict[str, list[ObservedModel]]:
    """Return the ready versions of each name that have a curve, in the order of their training."""
    finished = (m for m in observed if m.state is ModelState.READY and m.curve)
    return {
        name: sorted(models, key=_completion_order)
        for name, models in ownership.versions(finished).items()
    }


def _completion_order(model: ObservedModel) -> tuple[datetime, str]:
    return model.completed or model.created or _LONG_AGO, model.model_id


def _epoch_note(desired: Desired, versions: Sequence[ObservedModel]) -> str:
    from tunedmodels.evaluation.curves import read_curve  # start-up: a first plan has no curve

    *former, last = versions
    if not _is_trained_as_declared(desired, last):
        return ""
    reading = read_curve(last.curve, epoch_count=last.used.epoch_count)
    recommended, current = reading.recommended_epoch_count, last.used.epoch_count
    if recommended is None or current is None or current == recommended:
        return ""
    if any(_has_tried(version, current, recommended, last.source) for version in former):
        return ""
    epochs = "1 epoch is" if current == 1 else f"{current} epochs are"
    origin = "declared" if desired.inputs.hyperparameters.epoch_count else "the default"
    return f"{epochs} {origin}. In {last.model_id}: {reading.advice}"


def _is_trained_as_declared(desired: Desired, version: ObservedModel) -> bool:
    """Return whether a version has the declared base model and hyperparameters.

    A hyperparameter that is not declared, or that the service does not report, does not differ.
    """
    used = version.used
    declared = desired.inputs.hyperparameters.model_dump(exclude_none=True)
    differing = (
        name
        for name, value in declared.items()
        if (reported := getattr(used, name)) is not None and not _is_same(value, reported)
    )
    return version.source == desired.inputs.source and not any(differing)


def _is_same(declared: object, reported: object) -> bool:
    if isinstance(declared, float) and isinstance(reported, float):
        return math.isclose(declared, reported, rel_tol=1e-6)  # the API has 32-bit numbers
    return declared == reported


def _has_tried(version: ObservedModel, current: int, recommended: int, source: str) -> bool:
    """Return whether a version of the same source has gone as far as the recommendation."""
    epochs = version.used.epoch_count
    if epochs is None or version.source != source:
        return False
    return epochs >= recommended if recommended > current else epochs <= recommended
