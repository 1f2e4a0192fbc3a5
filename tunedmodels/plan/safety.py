"""The conditions under which a whole plan is refused, and the flag or edit that allows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Action, Change, FieldChange, Refusal
from tunedmodels.schema.project import Blackout, Policy
from tunedmodels.text import join

_ANSWER_FIELDS: Final = {"temperature", "topP", "topK", "readerProjectNumbers"}


@dataclass(frozen=True, slots=True)
class Allowances:
    """The limits that the user lifts for one run."""

    delete: int = 0  #: number of ready versions that may be deleted
    empty: bool = False  #: no manifest needs to exist


def no_manifests(manifests: int, allowances: Allowances) -> Iterator[Refusal]:
    """Refuse if no model is declared, since a wrong directory looks the same."""
    if not manifests and not allowances.empty:
        yield Refusal(
            code="no-manifests",
            message="no TunedModel is declared, so every model of this project would be deleted.",
            cure="tunedmodels plan --allow-empty",
        )


def too_many_deletes(
    removed: Sequence[Change], ready: int, policy: Policy, allowances: Allowances
) -> Iterator[Refusal]:
    """Refuse to delete too large a share of the ready versions because of missing manifests."""
    count = ready_deletions(removed)
    limit = policy.max_delete_percent
    if count > allowances.delete and 100 * count > limit * ready:
        yield Refusal(
            code="too-many-deletes",
            message=f"this plan would delete {count} of {ready} ready models (limit is {limit} %).",
            cure=f"tunedmodels plan --allow-delete {count}",
        )


def ready_deletions(removed: Sequence[Change]) -> int:
    """Return how many ready versions are deleted, or released while they serve."""
    return sum(
        change.action in {Action.DELETE, Action.RELEASE}
        and change.before is not None
        and change.before.state is ModelState.READY
        for change in removed
    )


def over_budget(changes: Sequence[Change], policy: Policy) -> Iterator[Refusal]:
    """Refuse to spend more than the policy allows, or an unknown amount."""
    limit = policy.max_cost_usd
    if limit is None:
        return
    unknown = [change for change in changes if change.cost and change.cost.usd is None]
    if unknown:
        names = ", ".join(sorted(change.name for change in unknown))
        yield Refusal(
            code="over-budget",
            message=f"the cost of {names} is unknown (limit is ${limit:,.2f}).",
            cure=_cure_unknown_cost(unknown, "spec.policy.maxCostUsd"),
        )
    usd = sum(change.cost.usd or 0 for change in changes if change.cost)
    if usd > limit:
        yield Refusal(
            code="over-budget",
            message=f"this plan would cost about ${usd:,.2f} (limit is ${limit:,.2f}).",
            cure="Train less at once, or raise spec.policy.maxCostUsd in the Project manifest.",
        )


def sweep_over_budget(change: Change) -> Iterator[Refusal]:
    """Refuse to spend more on the candidates of a sweep than it allows, or an unknown amount."""
    sweep, cost = change.sweep, change.cost
    if sweep is None or cost is None or sweep.max_cost_usd is None:
        return
    limit = f"its maxCostUsd is ${sweep.max_cost_usd:,.2f}"
    if cost.usd is None:
        yield Refusal(
            code="over-budget",
            message=f"the cost of the sweep of {change.name} is unknown ({limit}).",
            cure=_cure_unknown_cost([change], f"spec.sweep.maxCostUsd in {sweep.place}"),
        )
    elif cost.usd > sweep.max_cost_usd:
        jobs = f"{change.jobs} jobs" if change.jobs > 1 else "1 job"
        yield Refusal(
            code="over-budget",
            message=f"the sweep of {change.name} would cost about ${cost.usd:,.2f} for {jobs}"
            f" ({limit}).",
            cure=f"Try fewer values, or raise spec.sweep.maxCostUsd in {sweep.place}.",
        )


def _cure_unknown_cost(unknown: Sequence[Change], limit: str) -> str:
    costs = [change.cost for change in unknown if change.cost]
    steps = []
    if any(cost.epochs is None for cost in costs):
        steps.append("set hyperparameters.epochCount")
    if any(cost.usd_per_million_tokens is None for cost in costs):
        steps.append("set the price of the base model in spec.baseModels of the Project")
    remove = f"remove {limit}"
    text = f"{' and '.join(steps)}, or {remove}" if steps else remove
    return f"{text[0].upper()}{text[1:]}."


def held_fields(
    model_id: str, environments: Sequence[str], fields: Sequence[FieldChange]
) -> Iterator[Refusal]:
    """Refuse to change how a version answers while another environment uses it."""
    paths = [field.path for field in fields if field.path in _ANSWER_FIELDS]
    if paths:
        users = join(environments)
        yield Refusal(
            code="held",
            message=f"{model_id} is held by {users}, so its {join(paths)} cannot be changed.",
            cure=f"Wait until {users} serves another version, or train one with other values.",
        )


def other_owner(model_ids: Sequence[str]) -> Refusal:
    """Refuse if every model with the stamp of the project belongs to a user who is not an owner."""
    return Refusal(
        code="other-owner",
        message=f"{join(model_ids[:5])} {'have' if model_ids[1:] else 'has'} the stamp of this"
        " project, but the models belong to a user who is not one of its owners.",
        cure="Add that user to owners of the provider in the Project manifest; where apply runs,"
        " `tunedmodels doctor` prints the line to add.",
    )


NO_ETAGS: Final = Refusal(
    code="no-etags",
    message="the service sends no ETag, so two environments cannot share a version safely.",
    cure="Remove promotesFrom, so that each environment trains its own versions.",
)


def protected(name: str, *, has_protected_former: bool) -> Refusal:
    """Refuse to delete a protected name.

    An update reaches the declared version only, so that former versions with a protected stamp have
    to go first.
    """
    lifecycle = "protect: false, keep: 0" if has_protected_former else "protect: false"
    return Refusal(
        code="protected",
        message=f"{name} is protected, so its models are not deleted.",
        cure=f"Declare it with lifecycle: {{{lifecycle}}}, apply, and then remove it.",
    )


def protected_by_policy(name: str) -> Refusal:
    """Refuse to delete a name that the Project protects, regardless of its manifest and stamps."""
    return Refusal(
        code="protected",
        message=f"{name} is in spec.policy.protectedNames, so its models are not deleted.",
        cure="Remove it from there first, in a separate change, or restore its manifest.",
    )


def describe_blackout(blackout: Blackout) -> str:
    """Return when apply is refused; every plan contains it, on any date."""
    text = f"No applies from {blackout.first} to {blackout.last} (UTC)"
    return f"{text}: {blackout.reason}" if blackout.reason else f"{text}."


def active_blackout(policy: Policy, today: date) -> Blackout | None:
    """Return the blackout that forbids an apply on a date, or None."""
    return next((b for b in policy.blackouts if b.first <= today <= b.last), None)


def base_not_allowed(name: str, base_model: str, policy: Policy) -> Iterator[Refusal]:
    """Refuse to tune a base model that the policy does not list."""
    allowed = policy.allowed_base_models
    if allowed is None or base_model.removeprefix("models/") in {
        other.removeprefix("models/") for other in allowed
    }:
        return
    yield Refusal(
        code="base-not-allowed",
        message=f"{name} would tune {base_model}, which is not in spec.policy.allowedBaseModels.",
        cure=f"Add it there, or set baseModel to one of: {', '.join(allowed) or '(none)'}.",
    )
