"""From an opened project to a plan: read, observe, compare, decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tunedmodels.datasets.compare import Comparison
from tunedmodels.desired import Desired
from tunedmodels.errors import RefusedError
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.change import Plan
from tunedmodels.plan.planner import Allowances, make_plan
from tunedmodels.project.comparing import Compared, compare_all
from tunedmodels.project.connecting import connect
from tunedmodels.project.opened import Project
from tunedmodels.project.surveying import Surveyed, survey
from tunedmodels.providers.provider import Provider
from tunedmodels.render.problems import problems_text

_ENOUGH = 8  # hex digits: as many as the plan shows
EVERYTHING = Allowances(delete=2**31, empty=True)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what it rests on.

    `read` says in a line what was looked at. `examples` holds, by name, the examples that a
    replacement adds and removes, of datasets that git tracks: others are not for every reader of
    the plan.
    """

    # No part of a repr: asyncio.run makes one of what it returns, to throw it away.
    plan: Plan = field(repr=False)
    desired: Mapping[str, Desired] = field(repr=False)
    read: str
    examples: Mapping[str, Comparison] = field(default_factory=dict)


async def plan(
    project: Project,
    allowances: Allowances,
    *,
    use_cache: bool,
    destroying: bool = False,
) -> Planned:
    """Observe every provider and plan; changes nothing.

    Raises ProblemsFoundError when what is declared cannot be used, and ProviderError when a
    provider does not answer.
    """
    surveyed = survey(project, use_cache=use_cache)
    desired = surveyed.checked()
    async with connect(project) as providers:
        observed = await observe(providers)
        tunable = await _tunable(providers, desired, observed)
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
        advice={
            name: [f"{problem.place}: {problem.message}" for problem in problems]
            for name, problems in surveyed.advice.items()
        },
        destroying=destroying,
    )
    return Planned(
        plan=made.model_copy(update={"sets": project.sets}),
        desired={} if destroying else {want.name: want for want in desired},
        read=_read(project, surveyed, len(observed)),
        examples=compared.examples,
    )


async def approved(project: Project, saved: Plan, *, use_cache: bool) -> Planned:
    """Plan again, as `saved` was planned, and refuse unless the same would happen.

    Raises RefusedError, saying what moved.
    """
    for refusal in saved.refusals:
        raise RefusedError(refusal.message, cure=refusal.cure)
    again = await plan(project, EVERYTHING, use_cache=use_cache)
    require(again.plan, saved.digest, _moved(saved, again.plan))
    return again


def require(made: Plan, digest: str, moved: Sequence[str] = ()) -> None:
    """Raise RefusedError unless `made` has this digest, of which 8 or more digits may be given."""
    wanted = digest.removeprefix("sha256:")
    if len(wanted) >= _ENOUGH and made.digest.removeprefix("sha256:").startswith(wanted):
        return
    words = "; ".join(moved) or f"what apply would do now has the digest {made.digest}"
    raise RefusedError(
        f"The plan is stale: {words}. Nothing was changed.",
        cure="Make a new plan, and have it approved: tunedmodels plan --out plan.json",
    )


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
    """Ask for the tunable base models, where a version is declared that is not ready yet."""
    ready = {(m.provider, m.fingerprint) for m in observed if m.state is ModelState.READY}
    asked = {want.provider for want in desired if (want.provider, want.fingerprint) not in ready}
    return {
        name: frozenset(
            base.name for base in await providers[name].base_models() if base.is_tunable
        )
        for name in sorted(asked)
    }


def _moved(saved: Plan, now: Plan) -> list[str]:
    """Say which names are planned otherwise than in `saved`."""
    before = {change.key: change for change in saved.changes}
    after = {change.key: change for change in now.changes}
    moved = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is None and new is not None:
            moved.append(f"{key[0]}: now planned to {new.action} ({new.reason})")
        elif new is None and old is not None:
            moved.append(f"{key[0]}: was planned to {old.action}, and nothing is to do now")
        elif old and new and old.action is not new.action:
            moved.append(f"{key[0]}: was planned to {old.action}, now to {new.action}")
        elif (
            old
            and new
            and (old.before, old.after, old.retires)
            != (
                new.before,
                new.after,
                new.retires,
            )
        ):
            moved.append(f"{key[0]}: the manifest or the live model is no longer as planned")
    if saved.project != now.project:
        moved.append(f"the plan is of project {saved.project}, this is {now.project}")
    return moved


def _read(project: Project, surveyed: Surveyed, live: int) -> str:
    models = "model" if live == 1 else "models"
    warnings = problems_text(project.warnings)
    return f"{warnings}Read {surveyed.counted}, {live} live {models}.\n\n"
