"""The table of the planner for one name without a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.history import History, history
from tunedmodels.plan.plan import Action, Change, Refusal
from tunedmodels.plan.safety import protected, protected_by_policy
from tunedmodels.schema.project import Policy


@dataclass(frozen=True, slots=True)
class Removal:
    """What becomes of a name that goes: deleted, refused or, so many versions, `retained`."""

    changes: tuple[Change, ...] = ()
    refusal: Refusal | None = None
    retained: int = 0


def remove(
    name: str, models: Sequence[ObservedModel], reason: str, want: Desired | None, policy: Policy
) -> Removal:
    """Decide what becomes of a name that is no longer declared.

    `want` is given when a declared name is destroyed: what it says counts as well as the stamps,
    which know it only after the next apply. Any version may protect or retain the whole name, since
    deleting too little can be mended. So may the policy.
    """
    models = [model for model in models if not model.is_record]  # there is nothing to remove
    lifecycle = want.lifecycle if want else None
    stamps = [model.stamp for model in models if model.stamp]
    if any(stamp.retain for stamp in stamps) or (lifecycle and lifecycle.on_removal == "retain"):
        return Removal(retained=len(models))
    past = history(models)
    if models and policy.protects(name):
        return Removal(refusal=protected_by_policy(name))
    if any(stamp.protect for stamp in stamps) or (lifecycle and lifecycle.protect):
        return Removal(refusal=protected(name, former=_former_protects(past, models)))
    going = [(Action.CANCEL, model) for model in past.running]
    # The serving version is worth the most and goes last, so that the name answers till the end.
    going += [(Action.DELETE, model) for model in (*past.broken, *past.rejected, *past.lost)]
    going += [(Action.DELETE, model) for model in past.beyond(0)]
    return Removal(
        changes=tuple(
            Change(name=name, action=action, reason=reason, before=past.version(model))
            for action, model in going
        )
    )


def _former_protects(past: History, models: Sequence[ObservedModel]) -> bool:
    others = (model for model in models if model is not past.serves)
    return any(
        model.stamp.protect for model in others if model.stamp and model.state is ModelState.READY
    )
