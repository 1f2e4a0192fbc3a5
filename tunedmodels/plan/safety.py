"""When a plan as a whole is refused, and the exact flag or edit that allows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Action, Change, Refusal
from tunedmodels.schema.project import Blackout, Policy


@dataclass(frozen=True, slots=True)
class Allowances:
    """What a person allows for one run: `delete` ready versions, and no manifests at all."""

    delete: int = 0
    empty: bool = False


def too_empty(manifests: int, allowances: Allowances) -> Iterator[Refusal]:
    """Refuse when nothing is declared: a wrong folder looks exactly like that."""
    if not manifests and not allowances.empty:
        yield Refusal(
            code="no-manifests",
            message="no TunedModel is declared, so every model of this project would be deleted.",
            cure="tunedmodels plan --allow-empty",
        )


def too_many_deletes(
    removed: Sequence[Change], ready: int, policy: Policy, allowances: Allowances
) -> Iterator[Refusal]:
    """Refuse to delete too large a share of the `ready` versions because their manifests went."""
    count = sum(
        change.action is Action.DELETE
        and change.before is not None
        and change.before.state is ModelState.READY
        for change in removed
    )
    limit = policy.max_delete_percent
    if count > allowances.delete and 100 * count > limit * ready:
        yield Refusal(
            code="too-many-deletes",
            message=f"this plan would delete {count} of {ready} ready models (limit is {limit} %).",
            cure=f"tunedmodels plan --allow-delete {count}",
        )


def too_dear(changes: Sequence[Change], policy: Policy) -> Iterator[Refusal]:
    """Refuse to spend more than the policy allows, or an amount that nobody knows."""
    limit = policy.max_cost_usd
    if limit is None:
        return
    cure = "Train less at once, or raise spec.policy.maxCostUsd in the Project manifest."
    unknown = [change for change in changes if change.cost and change.cost.usd is None]
    if unknown:
        # A limit that lets through what nobody can count is none.
        names = ", ".join(sorted(change.name for change in unknown))
        message = f"what {names} would cost is unknown (limit is ${limit:,.2f})."
        yield Refusal(code="over-budget", message=message, cure=_how_to_know(unknown))
    usd = sum(change.cost.usd or 0 for change in changes if change.cost)
    if usd > limit:
        message = f"this plan would cost about ${usd:,.2f} (limit is ${limit:,.2f})."
        yield Refusal(code="over-budget", message=message, cure=cure)


def _how_to_know(unknown: Sequence[Change], limit: str = "spec.policy.maxCostUsd") -> str:
    costs = [change.cost for change in unknown if change.cost]
    ways = []
    if any(cost.epochs is None for cost in costs):
        ways.append("set hyperparameters.epochCount")
    if any(cost.usd_per_million_tokens is None for cost in costs):
        ways.append("say the price of the base model in spec.baseModels of the Project")
    ways.append(f"leave out {limit}")
    words = f"{' and '.join(ways[:-1])}, or {ways[-1]}" if ways[1:] else ways[0]
    return f"{words[0].upper()}{words[1:]}."


def sweep_too_dear(change: Change) -> Iterator[Refusal]:
    """Refuse to spend more on the candidates of a sweep than it says, or what nobody knows."""
    sweep, cost = change.sweep, change.cost
    if sweep is None or cost is None or sweep.max_cost_usd is None:
        return
    limit = f"its maxCostUsd is ${sweep.max_cost_usd:,.2f}"
    cure = f"Try fewer values, or raise spec.sweep.maxCostUsd in {sweep.place}."
    if cost.usd is None:
        message = f"what the sweep of {change.name} would cost is unknown ({limit})."
        cure = _how_to_know([change], f"spec.sweep.maxCostUsd in {sweep.place}")
        yield Refusal(code="over-budget", message=message, cure=cure)
    elif cost.usd > sweep.max_cost_usd:
        jobs = f"{change.jobs} jobs" if change.jobs > 1 else "1 job"
        message = (
            f"the sweep of {change.name} would cost about ${cost.usd:,.2f} for {jobs} ({limit})."
        )
        yield Refusal(code="over-budget", message=message, cure=cure)


def protected(name: str, *, former: bool) -> Refusal:
    """Refuse to delete a name that is protected; `former` says that an older version is, too.

    An update reaches the declared version only, so older ones that are marked must go first.
    """
    lifecycle = "protect: false, keep: 0" if former else "protect: false"
    return Refusal(
        code="protected",
        message=f"{name} is protected, so its models are not deleted.",
        cure=f"Declare it with lifecycle: {{{lifecycle}}}, apply, and remove it after that.",
    )


def protected_by_policy(name: str) -> Refusal:
    """Refuse to delete a name that the Project protects, whatever its manifest and stamps say."""
    return Refusal(
        code="protected",
        message=f"{name} is in spec.policy.protectedNames, so its models are not deleted.",
        cure="Take it out of there first, in a change of its own, or bring its manifest back.",
    )


def rule(blackout: Blackout) -> str:
    """Say when nothing may be applied; a plan says it whatever the day is."""
    words = f"No applies from {blackout.first} to {blackout.last} (UTC)"
    return f"{words}: {blackout.reason}" if blackout.reason else f"{words}."


def blacked_out(policy: Policy, today: date) -> Blackout | None:
    """Return the rule that forbids to apply on a day, or None."""
    return next((b for b in policy.blackouts if b.first <= today <= b.last), None)


def base_not_allowed(name: str, base: str, policy: Policy) -> Iterator[Refusal]:
    """Refuse to tune a base model that the policy does not name."""
    allowed = policy.allowed_base_models
    if allowed is None or base.removeprefix("models/") in {
        other.removeprefix("models/") for other in allowed
    }:
        return
    yield Refusal(
        code="base-not-allowed",
        message=f"{name} would tune {base}, which is not in spec.policy.allowedBaseModels.",
        cure=f"Add it there, or set baseModel to one of: {', '.join(allowed) or '(none)'}.",
    )
