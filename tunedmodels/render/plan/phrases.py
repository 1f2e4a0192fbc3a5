"""The words of a plan, the same in every format: what is done, what it costs, what comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from tunedmodels.plan.plan import Action, Change, DatasetChange, Plan
from tunedmodels.render.layout import cut
from tunedmodels.render.plan import rows
from tunedmodels.render.plan.rows import hidden

WARNINGS = 5  # the others are counted: a list that nobody reads helps nobody
LABELS = 12  # of a dataset, written out

_WORDS = {
    Action.CREATE: "create",
    Action.REPLACE: "replace (new one is trained first)",
    Action.WAIT: "wait for its job",
    Action.RETRY: "retry (it is trained again)",
    Action.PROMOTE: "promote",
    Action.UPDATE: "update in place",
    Action.CANCEL: "cancel, then delete",
    Action.DELETE: "delete",
    Action.CONFLICT: "conflict, nothing is done",
    Action.FAILED: "failed, nothing is done",
    Action.REJECTED: "not promoted, nothing is done",
}
COUNTED = {
    Action.CREATE: "to create",
    Action.REPLACE: "to replace",
    Action.RETRY: "to retry",
    Action.WAIT: "to wait for",
    Action.PROMOTE: "to promote",
    Action.UPDATE: "to update",
    Action.CANCEL: "to cancel",
    Action.DELETE: "to delete",
    Action.CONFLICT: "in conflict",
    Action.FAILED: "failed",
    Action.REJECTED: "not promoted",
}


def is_evident(change: Change) -> bool:
    """Whether what stands below a change says why; never, when the cause came from outside."""
    return change.action in (Action.CREATE, Action.UPDATE) and not change.drift


def words(change: Change) -> str:
    """Say what is done."""
    if change.sweep and change.action.is_pending:
        return rows.words(change, change.sweep)
    if change.action is Action.PROMOTE and change.gate:
        return "promote if its gate passes"
    is_rollback = change.action is Action.PROMOTE and change.before and change.before.promoted
    return "promote (go back to it)" if is_rollback else _WORDS[change.action]


def provider(change: Change) -> str:
    """Return the name of the provider that a change is about."""
    about = change.after or change.before
    return about.provider if about else ""


def note(change: Change) -> str:
    """Return the price of work, or the state of what is there."""
    if change.cost:
        return price(change.cost.usd)
    if change.action in (Action.UPDATE, Action.PROMOTE):
        return "free"
    if before := change.before:
        own = "rejected" if before.rejected else before.state.value
        return "serving" if before.serves else own
    return ""


def price(usd: float | None) -> str:
    """Return a price in US dollars; None is unknown."""
    if usd is None:
        return "unknown"
    return f"${usd:,.2f}" if usd else "free"


def consequence(change: Change) -> str:
    """Say what cannot be undone, and what an update leaves alone."""
    if change.action is Action.UPDATE:
        count = hidden(change)
        return f"({number(count, 'unchanged field')} hidden)" if count else ""
    if change.action is Action.CANCEL:
        return "the work done so far is lost; the service may still bill it"
    if change.action is Action.REJECTED:
        return "nothing that serves is touched, and nothing is trained"
    if change.action is not Action.DELETE:
        return ""
    if change.before and change.before.serves:
        return f"it answers for {cut(change.name, 31)} now, and cannot be brought back"
    return "the model cannot be brought back"


def rewordings(dataset: DatasetChange) -> Iterator[str]:
    """Say how many examples only changed, or why nobody knows."""
    if dataset.reworded:
        yield f"{dataset.reworded} of them reworded: same input, other output"
    if dataset.edited:
        yield f"{dataset.edited} of them edited: nearly the same input"
    if dataset.unknown:
        yield f"only counts are known: {dataset.unknown}"


def counts(plan: Plan) -> list[tuple[int, Action]]:
    """Count the changes by action, in the order in which people read them."""
    counted = Counter(change.action for change in plan.changes)
    return [(counted[action], action) for action in COUNTED if counted[action]]


def warnings(plan: Plan) -> list[tuple[str, str]]:
    """Return all warnings as (name, words); those of the plan as a whole have no name."""
    own = [(change.name, said) for change in plan.changes for said in change.warnings]
    return own + [("", said) for said in plan.warnings]


def cost(plan: Plan) -> str:
    """Say what all of it costs, or nothing where nothing is trained."""
    jobs = sum(change.jobs for change in plan.changes)
    if not jobs:
        return ""
    parts = [number(jobs, "tuning job")]
    if tokens := plan.training_tokens:
        parts.append(f"{tokens:,} training tokens")
    parts.append(_sum(plan))
    return f"{', '.join(parts)}{estimated(plan)}"


def limited(plan: Plan) -> str:
    """Return the sum beside the limit of the policy, as far as both are there."""
    limit = plan.max_cost_usd
    return f"{price(plan.cost_usd)}{f' of ${limit:,.2f}' if limit is not None else ''}"


def prices(plan: Plan) -> str:
    """Say of which day the prices are, the oldest of them, or nothing where none is dated."""
    costs = [change.cost for change in plan.changes if change.cost and change.cost.prices_of]
    if not costs:
        return ""
    kind = "prices" if all(cost.is_official for cost in costs) else "unofficial prices"
    return f"{kind} of {min(cost.prices_of for cost in costs)}"


def estimated(plan: Plan) -> str:
    """Say that a sum is no bill; nothing where there is none."""
    if not any(change.cost and change.cost.usd for change in plan.changes):
        return ""
    dated = prices(plan)
    return f" ({dated}; an estimate, not a quote)" if dated else " (an estimate, not a quote)"


def _sum(plan: Plan) -> str:
    usd = plan.cost_usd
    if usd is not None:
        limit = plan.max_cost_usd
        of = f" of the ${limit:,.2f} limit" if usd and limit is not None else ""
        return f"{'about ' if usd else ''}{price(usd)}{of}"
    costs = [change.cost.usd for change in plan.changes if change.cost]
    known = sum(usd for usd in costs if usd is not None)
    if not known:
        return "price unknown"
    return f"at least {price(known)}: what {costs.count(None)} of them costs is unknown"


def later(plan: Plan) -> list[str]:
    """Say which former versions go with a later apply, and when."""
    return [
        f"{cut(version.model_id, 40)} goes with the first apply after {_minute(version.until)}"
        f" (lifecycle.grace: {version.grace})"
        if version.until
        else f"{cut(version.model_id, 40)} goes {version.grace} after it stops serving"
        " (lifecycle.grace)"
        for version in plan.leaving
    ]


def _minute(time: str) -> str:
    """Return a moment of a plan to the minute, rounded up: what is said to be over is over."""
    moment = datetime.fromisoformat(time) + timedelta(seconds=59, microseconds=999_999)
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def matching(unchanged: int) -> str:
    """Say how many models are as declared."""
    if not unchanged:
        return ""
    match = "model matches" if unchanged == 1 else "models match"
    return f" {unchanged} {match} the manifests."


def number(count: int, noun: str) -> str:
    """Count things in words."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
