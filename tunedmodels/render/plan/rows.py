"""What stands below the heading of one change in a plan: rows of label, value and note."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pydantic import JsonValue

from tunedmodels.datasets.tokens import ERROR
from tunedmodels.observed import ModelState
from tunedmodels.plan.gate import terms_of
from tunedmodels.plan.plan import (
    Action,
    Candidate,
    Change,
    Cost,
    FieldChange,
    Sweep,
    Version,
    Wanted,
)
from tunedmodels.render.layout import WIDTH, columns, cut, padded

INDENT = 6

_LABELS = {
    "baseModel": "base",
    "tunedModel": "continues",
    "hyperparameters.epochCount": "epochs",
    "hyperparameters.batchSize": "batch size",
    "hyperparameters.learningRate": "learning rate",
    "hyperparameters.learningRateMultiplier": "rate factor",
}
_FREE_TEXT = ("displayName", "description")


class Row(NamedTuple):
    """One line of details; `before` is the old value of a field that differs."""

    label: str
    value: str
    note: str = ""
    before: str | None = None


def rows(change: Change) -> list[Row]:
    """Return what is to be said of a change, as rows; values are not cut yet."""
    if change.sweep and change.after:
        tried = _tried(change, change.after, change.sweep)
        return [*tried, *_gated(change), *_cost(change.cost), *_retired(change)]
    return [*_rows(change), *_gated(change), *_cost(change.cost), *_retired(change)]


def details(change: Change) -> list[str]:
    """Return the rows of a change as lines of at most 100 columns, labels and values aligned."""
    table = rows(change)
    width = max([11, *(len(row.label) for row in table)])
    lines = []
    for row in table:
        start = f"{'':{INDENT}}{row.label:<{width}}  "
        note = f"    {row.note}" if row.note else ""
        room = WIDTH - len(start) - len(note)
        value = _value(row, room)
        lines.append(f"{start}{value}{note}")
    return lines


def hidden(change: Change) -> int:
    """Count the fields that could be updated in place and need not be."""
    after = change.after
    if after is None:
        return 0
    optional = (after.temperature, after.top_p, after.top_k, after.reader_project_numbers)
    managed = 3 + bool(after.display_name) + sum(value is not None for value in optional)
    return managed - len(change.fields)  # 3: description, protect and onRemoval always are


def _value(row: Row, room: int) -> str:
    if row.before is None:
        return cut(row.value, room)
    room -= len(" -> ")  # and what one of the two does not need, the other may take
    after = cut(row.value, min(60, max(room // 2, room - columns(cut(row.before)))))
    return f"{cut(row.before, min(60, room - columns(after)))} -> {after}"


def _rows(change: Change) -> Iterator[Row]:
    before, after = change.before, change.after
    match change.action:
        case Action.CREATE if after:
            yield from _declaration(after)
            yield Row("new model", after.model_id)
        case Action.REPLACE if before and after:
            yield from map(_field, (f for f in change.fields if f.path != "dataset"))
            yield Row("new model", after.model_id)
            yield Row("old model", before.model_id, _fate(change, before))
        case Action.UPDATE:
            yield from map(_field, change.fields)
        case Action.CONFLICT | Action.FAILED | Action.REJECTED:
            return
        case _:
            if about := after or before:
                yield Row("model", about.model_id)
            yield from map(_field, change.fields)


def _tried(change: Change, after: Wanted, sweep: Sweep) -> Iterator[Row]:
    if change.action is Action.CREATE:
        yield from _declaration(after)
    yield from map(_field, (f for f in change.fields if f.path != "dataset"))
    for number, (settings, state) in enumerate(table(after, sweep)):
        yield Row("" if number else "candidates", settings, state)
    if not change.action.is_pending:
        return
    if change.before:
        yield Row("old model", change.before.model_id, _fate(change, change.before))
    yield Row("promotes", outcome(sweep))


def _declaration(after: Wanted) -> Iterator[Row]:
    yield (
        Row("continues", after.parent, f"({after.source})")
        if after.parent
        else Row("base", after.source.removeprefix("models/"))
    )
    yield Row("dataset", f"{after.dataset_path}, {after.examples} examples")
    if after.preamble:
        yield Row("preamble", _written("preamble", after.preamble))
    for name, value in after.hyperparameters.items():
        path = f"hyperparameters.{name}"
        yield Row(_LABELS.get(path, path), _written(path, value))


def _cost(cost: Cost | None) -> Iterator[Row]:
    """Yield how the price of a training comes about, unless it is free."""
    if cost is None or (cost.tokens is None and cost.usd_per_million_tokens is None):
        return
    tokens = "unknown tokens"
    if cost.tokens is not None:
        known = "counted" if cost.is_counted else f"+/- {round(100 * ERROR)} %"
        tokens = f"{cost.tokens:,} tokens ({known})"
    epochs = "unknown epochs"
    if cost.epochs is not None:
        epochs = f"{cost.epochs} epoch{'' if cost.epochs == 1 else 's'}"
    each = cost.usd_per_million_tokens
    price = (
        f"${each:,.2f} per 1M" if each else "free of charge" if cost.usd == 0 else "unknown price"
    )
    yield Row("cost", f"{tokens} x {epochs} x {price}")


def _field(field: FieldChange) -> Row:
    return Row(
        label=_LABELS.get(field.path, field.path),
        before=_written(field.path, field.before),
        value=_written(field.path, field.after),
        note="forces replacement"
        if field.forces_replacement
        else "changed outside"
        if field.drift
        else "",
    )


def _written(path: str, value: JsonValue) -> str:
    if value is None:
        return "none" if path == "preamble" else "unset"
    if isinstance(value, str):
        return f'"{cut(value, 58)}"' if path in _FREE_TEXT else value.removeprefix("models/")
    return json.dumps(value)


def _fate(change: Change, before: Version) -> str:
    if before in change.retires:
        return "deleted once the new one serves"
    if before.state is ModelState.READY:
        return "kept, so that going back needs no training"
    return before.state.value


def _gated(change: Change) -> Iterator[Row]:
    # What a gate asked of a version that it rejected stands in the reason.
    if change.gate and change.action is not Action.REJECTED:
        for number, term in enumerate(terms_of(change.gate)):
            yield Row("and" if number else "serves if", term)


def _retired(change: Change) -> Iterable[Row]:
    # The old model of a replacement says by itself that it is deleted.
    shown = change.before if change.action is Action.REPLACE else None
    others = [version for version in change.retires if version != shown]
    return [Row("" if i else "then delete", other.model_id) for i, other in enumerate(others)]


# FOLDED
# The candidates of a sweep in a plan: settings, state and cost of each, and what follows.
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
