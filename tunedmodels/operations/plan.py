"""From an opened project to a plan: read, observe, compare, decide."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from tunedmodels import __version__
from tunedmodels.datasets.diff import Comparison
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.operations.connect import connect
from tunedmodels.operations.count_tokens import count
from tunedmodels.operations.dataset_diff import Compared, compare_all
from tunedmodels.plan.chosen import resolved
from tunedmodels.plan.plan import Input, Plan
from tunedmodels.plan.planner import Allowances, Remembered, make_plan
from tunedmodels.project.advising import epoch_notes
from tunedmodels.project.project import Project
from tunedmodels.project.remembering import remembered
from tunedmodels.project.remote import fetch_all
from tunedmodels.project.resolve import Surveyed, survey
from tunedmodels.project.tunability import Judged, judged
from tunedmodels.providers.provider import Provider
from tunedmodels.render.problems import problems_text

EVERYTHING = Allowances(delete=2**31, empty=True)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what it rests on.

    `desired` and `observed` are what it was made from. `read` says in a line what was looked at.
    `examples` holds, by name, the examples that a
    replacement adds and removes, of datasets that git tracks: others are not for every reader of
    the plan.
    """

    # No part of a repr: asyncio.run makes one of what it returns, to throw it away.
    plan: Plan = field(repr=False)
    desired: Mapping[str, Desired] = field(repr=False)
    observed: Sequence[ObservedModel] = field(repr=False)
    read: str
    examples: Mapping[str, Comparison] = field(default_factory=dict)


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
) -> Planned:
    """Observe every provider and plan; changes nothing.

    With `count_tokens` the service counts what it would bill, instead of an estimate of ours.
    `today` (in UTC, by the clock unless it is given) decides which base models have retired.
    `with_inputs` digests every file that the plan rests on, for a plan that is to be saved.
    `moment` is the one of a saved plan, for which grace was judged; else it is now.
    Raises ProblemsFoundError when what is declared cannot be used, and ProviderError when a
    provider does not answer.
    """
    await fetch_all(project)
    surveyed = survey(project, use_cache=use_cache)
    declared = surveyed.checked()
    known = judged(project, today)
    async with connect(project) as providers:
        observed = await observe(providers)
        desired: Sequence[Desired] = resolved(declared, observed, project.name)
        tunable = await _tunable(providers, desired, observed)
        if count_tokens:
            desired = await count(project, desired, observed, providers)
    compared = Compared() if destroying else compare_all(project, desired, observed)
    made = make_plan(
        desired,
        observed,
        project=project.name,
        policy=project.manifest.spec.policy,
        environment=project.environment,
        allowances=allowances,
        tunable=tunable,
        differences=compared.counts,
        advice=_advice(surveyed, known),
        remembered=_remembered(project, desired, observed),
        bases=known.bases(),
        destroying=destroying,
        now=datetime.fromisoformat(moment) if moment else datetime.now(UTC),
    )
    by_name = {} if destroying else {want.name: want for want in desired}
    said = {
        "tool": __version__,
        "sets": project.sets,
        "inputs": tuple(_inputs(project, surveyed)) if with_inputs else (),
        "notes": tuple(epoch_notes(made, by_name, observed)),
    }
    return Planned(
        plan=made.model_copy(update=said),
        desired=by_name,
        observed=observed,
        read=_read(project, surveyed, len(observed)),
        examples=compared.examples,
    )


def _advice(surveyed: Surveyed, known: Judged) -> dict[str, list[str]]:
    about_data = {
        name: [f"{problem.place}: {problem.message}" for problem in problems]
        for name, problems in surveyed.advice.items()
    }
    return {name: [*words, *known.advice.get(name, ())] for name, words in about_data.items()}


async def observe(providers: Mapping[str, Provider]) -> list[ObservedModel]:
    """Return the live models of all providers, asked at once. Raises ProviderError."""
    import asyncio

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(provider.observe()) for provider in providers.values()]
    except ExceptionGroup as failed:
        # Whoever mends the first provider hears of the next one.
        raise failed.exceptions[0] from failed
    return [model for task in tasks for model in task.result()]


async def _tunable(
    providers: Mapping[str, Provider], desired: Sequence[Desired], observed: Sequence[ObservedModel]
) -> dict[str, frozenset[str]]:
    """Ask for the tunable base models, where a version is declared that is not ready yet.

    A service that has no list of its models says nothing about them, and is left out.
    """
    ready = {(m.provider, m.fingerprint) for m in observed if m.state is ModelState.READY}
    asked = {want.provider for want in desired if (want.provider, want.fingerprint) not in ready}
    listed = {name: await providers[name].base_models() for name in sorted(asked)}
    return {
        name: frozenset(base.name for base in bases if base.is_tunable)
        for name, bases in listed.items()
        if bases
    }


def _remembered(
    project: Project, desired: Sequence[Desired], observed: Sequence[ObservedModel]
) -> Mapping[str, Remembered]:
    """Read the journal, which may be long, where a declared version is not there."""
    there = {(model.provider, model.fingerprint) for model in observed}
    if all((want.provider, want.fingerprint) in there for want in desired):
        return {}
    return remembered(project.state / "journal")


def _inputs(project: Project, surveyed: Surveyed) -> Iterator[Input]:
    """Yield every file that the plan rests on, by path; datasets by what stands in them."""
    for file in project.sources:
        path = Path(os.path.relpath(file, project.root)).as_posix()
        try:
            digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        except OSError:  # it was there a moment ago, and the plan rests on what it said then
            digest = ""
        yield Input(kind="manifest", path=path, digest=digest)
    for path, digest in sorted(surveyed.datasets):
        yield Input(kind="dataset", path=path, digest=digest)


def _read(project: Project, surveyed: Surveyed, live: int) -> str:
    models = "model" if live == 1 else "models"
    warnings = problems_text(project.warnings)
    return f"{warnings}Read {surveyed.counted}, {live} live {models}.\n\n"
