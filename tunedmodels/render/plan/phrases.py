"""The phrases of a plan that all renderers share: actions, prices, counts and consequences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from tunedmodels.plan.plan import Action, Change, DatasetChange, Plan, PlannedSweep
from tunedmodels.render.layout import cut
from tunedmodels.text import join, plural, utc_minute

MAX_WARNINGS: Final = 5  # more are counted
_MAX_SELECTED: Final = 5  # names; more are counted
MAX_LABELS: Final = 12  # of a dataset; more are counted

_ACTION_PHRASES: Final = {
    Action.CREATE: "create",
    Action.REPLACE: "replace (new one is trained first)",
    Action.WAIT: "wait for its job",
    Action.RETRY: "retry (train again)",
    Action.PROMOTE: "promote",
    Action.UPDATE: "update in place",
    Action.MOVE: "move (nothing is trained)",
    Action.RELEASE: "release (stop using it)",
    Action.CANCEL: "cancel, then delete",
    Action.DELETE: "delete",
    Action.CONFLICT: "conflict, nothing is done",
    Action.FAILED: "failed, nothing is done",
    Action.REJECTED: "not promoted, nothing is done",
}
_NO_WAY_BACK: Final = "the model cannot be restored"
_CONSEQUENCES: Final = {
    Action.CANCEL: "the work done so far is lost; the service may still bill it",
    Action.REJECTED: "nothing is trained, and the serving version does not change",
}
#: In the order in which the summary lists them.
COUNT_LABELS: Final = {
    Action.CREATE: "to create",
    Action.REPLACE: "to replace",
    Action.RETRY: "to retry",
    Action.WAIT: "to wait for",
    Action.PROMOTE: "to promote",
    Action.UPDATE: "to update",
    Action.MOVE: "to move",
    Action.RELEASE: "to release",
    Action.CANCEL: "to cancel",
    Action.DELETE: "to delete",
    Action.CONFLICT: "in conflict",
    Action.FAILED: "failed",
    Action.REJECTED: "not promoted",
}


def is_evident(change: Change) -> bool:
    """Return whether the details of a change show its reason; never true for drift."""
    return change.action in (Action.CREATE, Action.UPDATE) and not change.drift


def action_phrase(change: Change) -> str:
    """Return what is done."""
    if change.sweep and change.action.is_pending:
        return _sweep_action_phrase(change, change.sweep)
    if change.action is Action.PROMOTE and change.gate:
        return "promote if its gate passes"
    is_rollback = change.action is Action.PROMOTE and change.before and change.before.promoted
    return "promote (rollback)" if is_rollback else _ACTION_PHRASES[change.action]


def provider(change: Change) -> str:
    """Return the name of the provider of a change."""
    version = change.after or change.before
    return version.provider if version else ""


def price_or_state(change: Change) -> str:
    """Return the price of the change, or the state of the live version if it costs nothing."""
    if change.cost:
        return price(change.cost.usd)
    if change.action in (Action.UPDATE, Action.PROMOTE):
        return "free"
    if before := change.before:
        state = "rejected" if before.rejected else before.state.value
        return "serving" if before.serves else state
    return ""


def price(usd: float | None) -> str:
    """Return a price in US dollars; None is unknown."""
    if usd is None:
        return "unknown"
    return f"${usd:,.2f}" if usd else "free"


def consequence(change: Change) -> str:
    """Return what cannot be undone, or what the change leaves unchanged."""
    if change.action is Action.UPDATE:
        count = _count_unchanged_fields(change)
        return f"({quantity(count, 'unchanged field')} hidden)" if count else ""
    if change.action in _CONSEQUENCES:
        return _CONSEQUENCES[change.action]
    is_serving = change.before is not None and change.before.serves
    name = cut(change.name, 31)
    if change.action is Action.RELEASE:
        return f"it serves {name} in this environment now" if is_serving else ""
    if change.action is not Action.DELETE:
        return ""
    return f"it serves {name} now, and cannot be restored" if is_serving else _NO_WAY_BACK


def dataset_phrases(dataset: DatasetChange) -> Iterator[str]:
    """Yield how many examples changed in part, or why that is unknown."""
    if dataset.reworded:
        yield f"{dataset.reworded} of them relabeled: same input, different output"
    if dataset.edited:
        yield f"{dataset.edited} of them edited: similar input"
    if dataset.unknown:
        yield f"only counts are known: {dataset.unknown}"


def count_actions(plan: Plan) -> list[tuple[int, Action]]:
    """Return the number of changes by action, in the order of the summary."""
    counts = Counter(change.action for change in plan.changes)
    return [(counts[action], action) for action in COUNT_LABELS if counts[action]]


def warnings(plan: Plan) -> list[tuple[str, str]]:
    """Return all warnings as (name, text); the name is empty for the plan as a whole."""
    by_name = [(change.name, text) for change in plan.changes for text in change.warnings]
    return by_name + [("", text) for text in plan.warnings]


def total_cost_phrase(plan: Plan) -> str:
    """Return the cost of the whole plan, or nothing if it trains nothing."""
    jobs = sum(change.jobs for change in plan.changes)
    if not jobs:
        return ""
    parts = [quantity(jobs, "tuning job")]
    if tokens := plan.training_tokens:
        parts.append(f"{tokens:,} training tokens")
    parts.append(_total_price(plan))
    return f"{', '.join(parts)}{_estimate_note(plan)}"


def cost_against_limit(plan: Plan) -> str:
    """Return the total price and the limit of the policy, as far as they are known."""
    limit = plan.max_cost_usd
    return f"{price(plan.cost_usd)}{f' of ${limit:,.2f}' if limit is not None else ''}"


def price_date(plan: Plan) -> str:
    """Return the date of the oldest price, or nothing if no price has a date."""
    costs = [change.cost for change in plan.changes if change.cost and change.cost.prices_of]
    if not costs:
        return ""
    kind = "prices" if all(cost.is_official for cost in costs) else "unofficial prices"
    return f"{kind} of {min(cost.prices_of for cost in costs)}"


def retirement_phrases(plan: Plan) -> list[str]:
    """Return which former versions a later apply deletes, and when."""
    return [
        f"{cut(version.model_id, 40)} is deleted by the first apply after"
        f" {_minute(version.until)} (lifecycle.grace: {version.grace})"
        if version.until
        else f"{cut(version.model_id, 40)} is deleted {version.grace} after it stops serving"
        " (lifecycle.grace)"
        for version in plan.leaving
    ]


def selection_phrase(plan: Plan) -> str:
    """Return the selected names, to which a plan is limited."""
    names = [cut(name, 31) for name in plan.selection[:_MAX_SELECTED]]
    more = len(plan.selection) - len(names)
    return join([*names, *([f"{more} more"] if more else [])])


def unchanged_phrase(unchanged: int) -> str:
    """Return how many models match the manifests."""
    if not unchanged:
        return ""
    match = plural(unchanged, "model matches", "models match")
    return f" {unchanged} {match} the manifests."


def sweep_outcome_phrase(sweep: PlannedSweep) -> str:
    """Return which candidate is promoted, and what happens to the others."""
    return f"the best by {sweep.metric} on {sweep.path} ({sweep.examples}); the others are deleted"


def quantity(count: int, noun: str) -> str:
    """Return a count with its noun: `1 job`, `2 jobs`."""
    return f"{count} {plural(count, noun)}"


def sentence(phrase: str) -> str:
    """Return a phrase as a sentence; one in parentheses gets no full stop."""
    return phrase[:1].upper() + phrase[1:] + ("" if phrase.endswith(")") or not phrase else ".")


def _sweep_action_phrase(change: Change, sweep: PlannedSweep) -> str:
    count = len(sweep.candidates)
    if change.action is Action.CREATE:
        return f"create (sweep of {count})"
    if change.action is Action.REPLACE:
        return f"replace (sweep of {count}, trained first)"
    return "wait for its sweep" if change.action is Action.WAIT else "choose, then promote"


def _count_unchanged_fields(change: Change) -> int:
    """Count the managed fields that an update in place leaves unchanged; each label is a field."""
    if change.after is None:
        return 0
    values = change.after.fields.values()
    labels = values.pop("labels", {})
    lifecycle = ("protect", "onRemoval")
    return len(values) + len(labels) + len(lifecycle) - len(change.fields)


def _estimate_note(plan: Plan) -> str:
    """Return that the price is an estimate, or nothing if there is no price."""
    if not any(change.cost and change.cost.usd for change in plan.changes):
        return ""
    date = price_date(plan)
    return f" ({date}; an estimate, not a quote)" if date else " (an estimate, not a quote)"


def _total_price(plan: Plan) -> str:
    usd = plan.cost_usd
    if usd is not None:
        limit = plan.max_cost_usd
        share = f" of the ${limit:,.2f} limit" if usd and limit is not None else ""
        return f"{'about ' if usd else ''}{price(usd)}{share}"
    costs = [change.cost.usd for change in plan.changes if change.cost]
    known = sum(usd for usd in costs if usd is not None)
    if not known:
        return "price unknown"
    unknown = costs.count(None)
    prices = plural(unknown, "price of 1 of them is", f"prices of {unknown} of them are")
    return f"at least {price(known)}; the {prices} unknown"


def _minute(time: str) -> str:
    """Return a time of a plan to the minute, rounded up, so that it has passed by then."""
    return utc_minute(datetime.fromisoformat(time) + timedelta(seconds=59, microseconds=999_999))
