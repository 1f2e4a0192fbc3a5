"""The candidates of a sweep in a plan: settings, state and cost of each, and what follows."""

from __future__ import annotations

from collections.abc import Iterator

from tunedmodels.observed import ModelState
from tunedmodels.plan.candidates import Candidate, Sweep
from tunedmodels.plan.plan import Action, Change, Cost, Wanted
from tunedmodels.render.layout import columns, padded

SHORT = {
    "epochCount": "epochs",
    "batchSize": "batch size",
    "learningRate": "learning rate",
    "learningRateMultiplier": "rate factor",
    "adapterSize": "adapter size",
}
_STATES = {
    Action.CREATE: "to be trained",
    Action.RETRY: "to be trained again",
    Action.FAILED: "given up",
}


def table(shared: Wanted, sweep: Sweep) -> Iterator[tuple[str, str]]:
    """Yield per candidate its settings with its id, aligned, and its state with its cost."""
    cells = [_settings(shared, candidate) for candidate in sweep.candidates]
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    for candidate, row in zip(sweep.candidates, cells, strict=True):
        settings = [padded(cell, width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join([*settings, candidate.model_id]), _state(candidate)


def outcome(sweep: Sweep) -> str:
    """Say which candidate is promoted, and what becomes of the others."""
    return f"the best by {sweep.metric} on {sweep.path} ({sweep.examples}); the others are deleted"


def words(change: Change, sweep: Sweep) -> str:
    """Say what is done for a name with a sweep."""
    count = len(sweep.candidates)
    if change.action is Action.CREATE:
        return f"create (sweep of {count})"
    if change.action is Action.REPLACE:
        return f"replace (sweep of {count}, trained first)"
    return "wait for its sweep" if change.action is Action.WAIT else "choose, then promote"


def running(change: Change) -> list[str]:
    """Return the ids of the jobs that a change waits for."""
    if change.sweep:
        waits = [each for each in change.sweep.candidates if each.action is Action.WAIT]
        return [candidate.model_id for candidate in waits]
    return [change.after.model_id] if change.after else []


def _settings(shared: Wanted, candidate: Candidate) -> list[str]:
    own = {
        name: value
        for name, value in candidate.hyperparameters.items()
        if name not in shared.hyperparameters
    }
    return [f"{SHORT.get(name, name)} {value}" for name, value in own.items()]


def _state(candidate: Candidate) -> str:
    before = candidate.before
    if candidate.action in _STATES:
        state = _STATES[candidate.action]
    elif before and before.serves:
        state = "serving"
    else:
        state = before.state.value if before else ModelState.READY.value
    return f"{state}, {_price(candidate.cost)}" if candidate.cost else state


def _price(cost: Cost) -> str:
    if cost.usd is None:
        return "price unknown"
    return f"${cost.usd:,.2f}" if cost.usd else "free"
