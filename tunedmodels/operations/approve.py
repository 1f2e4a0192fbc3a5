"""Check that an apply would do what was approved: by digest, or change by change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tunedmodels.errors import RefusedError
from tunedmodels.operations.plan import EVERYTHING, PlanResult, plan
from tunedmodels.plan.plan import Plan
from tunedmodels.plan.staleness import check_staleness
from tunedmodels.project.project import Project

_MIN_DIGEST_LENGTH = 8  # hex digits: as many as the rendered plan shows
_CURE = "Make a new plan and have it approved: tunedmodels plan --out plan.json"

StaleChanges = Mapping[str, Sequence[str]]  # by name: the reasons why its changes are stale


async def plan_again(
    project: Project, saved: Plan, *, use_cache: bool, keep_going: bool = False
) -> tuple[PlanResult, StaleChanges]:
    """Plan again, and return the changes of `saved` that still hold and the stale ones.

    Raises RefusedError with the reasons when a change is stale, unless `keep_going` is set; and for
    a plan that is refused or belongs to another project.
    """
    if (saved.project, saved.lineage) != (project.name, project.ownership.lineage):
        raise RefusedError(
            f"The plan belongs to project {_identity(saved.project, saved.lineage)}, this is"
            f" project {_identity(project.name, project.ownership.lineage)}.",
            cure="Name the directory of its Project file with -C DIR, or make a new plan here.",
        )
    _require_unrefused(saved)
    # Time alone does not make a plan stale: grace is evaluated at the time of the approved plan.
    again = await plan(
        project, EVERYTHING, use_cache=use_cache, with_inputs=True, moment=saved.moment
    )
    _require_unrefused(again.plan)
    report = check_staleness(saved, again.plan, again.desired, again.observed, again.ownership)
    if report.stale and not keep_going:
        lines = [f"  {name}: {'; '.join(reasons)}" for name, reasons in report.stale.items()]
        files = _changed_files(saved, again.plan)
        raise RefusedError(
            "\n".join(
                ["The plan is stale; nothing was changed. Changes since it was made:", *lines]
            )
            + (f"\nFiles that changed: {files}" if files else ""),
            cure=f"{_CURE}\nTo apply only the changes that still hold, pass --keep-going.",
        )
    still_valid = again.plan.model_copy(update={"changes": report.valid})
    return replace(again, plan=still_valid), report.stale


def _identity(project: str, lineage: str) -> str:
    return f"{project} (lineage {lineage})" if lineage else project


def require_digest(plan: Plan, digest: str) -> None:
    """Raise RefusedError unless `plan` has this digest, of which 8 or more digits may be given."""
    if not matches(plan, digest):
        raise RefusedError(
            f"The plan is stale: the current plan has the digest {plan.digest}."
            " Nothing was changed.",
            cure=_CURE,
        )


def matches(plan: Plan, digest: str) -> bool:
    """Return whether `plan` has this digest, of which 8 or more digits may be given."""
    digits = digest.removeprefix("sha256:")
    is_long_enough = len(digits) >= _MIN_DIGEST_LENGTH
    return is_long_enough and plan.digest.removeprefix("sha256:").startswith(digits)


def _require_unrefused(plan: Plan) -> None:
    for refusal in plan.refusals:
        raise RefusedError(refusal.message, cure=refusal.cure)


def _changed_files(saved: Plan, current: Plan) -> str:
    """Name the input files that differ; a plan may hold although some of its files changed."""
    before, after = ({(i.kind, i.path, i.digest) for i in plan.inputs} for plan in (saved, current))
    return ", ".join(sorted({path for _, path, _ in before ^ after}))
