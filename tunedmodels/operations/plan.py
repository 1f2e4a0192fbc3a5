"""From an opened project to a plan: read, observe, compare, decide."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from tunedmodels import __version__
from tunedmodels.datasets.diff import Comparison
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.operations.connect import connect, fetch_all
from tunedmodels.operations.count_tokens import count
from tunedmodels.operations.dataset_diff import Compared, compare_all
from tunedmodels.plan.plan import Input, Note, Plan
from tunedmodels.plan.planner import Allowances, Remembered, make_plan
from tunedmodels.plan.sweep import resolved
from tunedmodels.project.base_models import Judged, judged
from tunedmodels.project.project import Project
from tunedmodels.project.resolve import Surveyed, survey
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


# FOLDED
# What the last training of a name teaches about epochs, said before the next is paid for.
# To read a curve takes up to a millisecond, and nobody reads a hundred notes.
_CURVES: Final = 100
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def epoch_notes(
    plan: Plan, desired: Mapping[str, Desired], observed: Sequence[ObservedModel]
) -> Iterator[Note]:
    """Yield a note for every name whose last curve recommends other epochs than are declared.

    At most 100 curves are read: those of what the plan trains first, then the others by name.
    """
    curves = _last_curves(plan.project, observed)
    trained = {change.name for change in plan.changes if change.action.trains}
    # A sweep finds out by itself, and what it chose was measured.
    fixed = {name for name, want in desired.items() if not want.sweep_digest}
    declared = sorted(fixed & curves.keys(), key=lambda name: (name not in trained, name))
    for name in declared[:_CURVES]:
        if words := _differing(desired[name], curves[name]):
            yield Note(name=name, words=words)


def _last_curves(project: str, observed: Sequence[ObservedModel]) -> dict[str, ObservedModel]:
    """Return, by name, the version of ours that was trained last, if it has a curve."""
    finished: dict[str, list[ObservedModel]] = defaultdict(list)
    for model in observed:
        is_ours = model.stamp is not None and model.stamp.project == project
        if is_ours and model.stamp and model.state is ModelState.READY and model.curve:
            finished[model.stamp.name].append(model)
    return {name: max(models, key=_age) for name, models in finished.items()}


def _age(model: ObservedModel) -> tuple[datetime, str]:
    return model.completed or model.created or _LONG_AGO, model.model_id


def _differing(want: Desired, last: ObservedModel) -> str:
    from tunedmodels.evaluation.curves import read_curve  # a first plan has no curve

    reading = read_curve(last.curve, epoch_count=last.used.epoch_count)
    declared = want.hyperparameters.epoch_count or last.used.epoch_count
    recommended = reading.recommended_epoch_count
    if recommended is None or declared is None or declared == recommended:
        return ""
    epochs = "1 epoch is" if declared == 1 else f"{declared} epochs are"
    said = "declared" if want.hyperparameters.epoch_count else "the default"
    return f"{epochs} {said}. In {last.model_id}: {reading.advice}"


# FOLDED
# What this machine remembers of its own applies: which version it was the last to promote.
#
# The journal is for people, and nothing is decided by it. It only tells a version that is gone
# from one that never was, so that a plan can say which it is; a machine without the journal says
# "new".
def remembered(journal: Path) -> Mapping[str, Remembered]:
    """Return by name what was promoted last from here and not deleted from here since."""
    last: dict[str, Remembered] = {}
    for line in _lines(journal):
        if '"Sent"' not in line:
            continue
        try:
            event = json.loads(line)
            name, model_id, call = event["name"], event["model_id"], event["call"]
            time = datetime.fromisoformat(event["time"])
        except (ValueError, TypeError, KeyError):
            continue  # another event, or the last line of a process that was killed
        if event["event"] != "Sent":
            continue
        if call == "promote":
            last[name] = Remembered(model_id, time)
        elif call == "delete" and name in last and last[name].model_id == model_id:
            del last[name]
    return last


def _lines(journal: Path) -> Iterator[str]:
    # Names begin with the time, so that their order is the order of the runs.
    for file in sorted(journal.glob("*.jsonl")):
        try:
            yield from file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
