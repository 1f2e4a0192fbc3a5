"""Whether what would be done now is what was approved: by digest, or change by change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tunedmodels.errors import RefusedError
from tunedmodels.operations.plan import EVERYTHING, Planned, plan
from tunedmodels.plan.plan import Plan
from tunedmodels.plan.staleness import review
from tunedmodels.project.project import Project

_ENOUGH = 8  # hex digits: as many as the plan shows
_CURE = "Make a new plan, and have it approved: tunedmodels plan --out plan.json"

Moved = Mapping[str, Sequence[str]]  # by name, what is no longer as planned


async def approved(
    project: Project, saved: Plan, *, use_cache: bool, keep_going: bool = False
) -> tuple[Planned, Moved]:
    """Plan again, and return what still holds of `saved`, with what does not.

    Raises RefusedError, saying what moved, unless all of it holds or `keep_going` is set; and for
    a plan that is refused, or of another project.
    """
    if saved.project != project.name:
        raise RefusedError(
            f"the plan is of project {saved.project}, this is {project.name}.",
            cure="Name the folder of its Project file with -C DIR, or make a new plan here.",
        )
    _require_unrefused(saved)
    # Time alone makes no plan stale: grace is judged for the moment for which it was approved.
    again = await plan(
        project, EVERYTHING, use_cache=use_cache, with_inputs=True, moment=saved.moment
    )
    _require_unrefused(again.plan)
    found = review(saved, again.plan, again.desired, again.observed)
    if found.moved and not keep_going:
        lines = [f"  {name}: {'; '.join(words)}" for name, words in found.moved.items()]
        files = _files(saved, again.plan)
        raise RefusedError(
            "\n".join(["The plan is stale, and nothing was changed. Since it was made:", *lines])
            + (f"\nFiles that changed: {files}" if files else ""),
            cure=f"{_CURE}\nTo run what still holds all the same: --keep-going",
        )
    held = again.plan.model_copy(update={"changes": found.holds})
    return replace(again, plan=held), found.moved


def require(made: Plan, digest: str) -> None:
    """Raise RefusedError unless `made` has this digest, of which 8 or more digits may be given."""
    if not matches(made, digest):
        raise RefusedError(
            f"The plan is stale: what apply would do now has the digest {made.digest}."
            " Nothing was changed.",
            cure=_CURE,
        )


def matches(made: Plan, digest: str) -> bool:
    """Whether a plan has this digest, of which 8 or more digits may be given."""
    wanted = digest.removeprefix("sha256:")
    return len(wanted) >= _ENOUGH and made.digest.removeprefix("sha256:").startswith(wanted)


def _require_unrefused(made: Plan) -> None:
    for refusal in made.refusals:
        raise RefusedError(refusal.message, cure=refusal.cure)


def _files(saved: Plan, now: Plan) -> str:
    """Name the files that the plan rests on and that differ; a plan may hold in spite of it."""
    before, after = ({(i.kind, i.path, i.digest) for i in plan.inputs} for plan in (saved, now))
    return ", ".join(sorted({path for _, path, _ in before ^ after}))
