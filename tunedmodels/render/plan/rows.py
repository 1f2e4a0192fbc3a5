"""The details of one change in a plan: rows of label, value and note."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pydantic import JsonValue

from tunedmodels.datasets.tokens import RELATIVE_ERROR
from tunedmodels.observed import ModelState
from tunedmodels.plan.gate import describe_conditions
from tunedmodels.plan.plan import (
    Action,
    Candidate,
    Change,
    Cost,
    DesiredVersion,
    FieldChange,
    LiveVersion,
    PlannedSweep,
)
from tunedmodels.render.layout import columns, cut, pad, text_width
from tunedmodels.render.plan.phrases import price, quantity, sweep_outcome_phrase
from tunedmodels.schema.base_models import is_open_model

INDENT: Final = 6
LABEL_COLUMNS: Final = 11  # at least

_HYPERPARAMETER_LABELS: Final = {
    "epochCount": "epochs",
    "batchSize": "batch size",
    "learningRate": "learning rate",
    "learningRateMultiplier": "rate factor",
    "adapterSize": "adapter size",
}
_LABELS: Final = {
    "baseModel": "base",
    "tunedModel": "continues",
    "hyperparameters.epochCount": "epochs",
    "hyperparameters.batchSize": "batch size",
    "hyperparameters.learningRate": "learning rate",
    "hyperparameters.learningRateMultiplier": "rate factor",
}
_CANDIDATE_STATES: Final = {
    Action.CREATE: "to be trained",
    Action.RETRY: "to be trained again",
    Action.FAILED: "given up",
}
_FREE_TEXT: Final = ("displayName", "description")


class DetailRow(NamedTuple):
    """One fact about a change."""

    label: str
    value: str
    note: str = ""
    before: str | None = None  #: the old value of a field that changes


def detail_rows(change: Change) -> list[DetailRow]:
    """Return the facts about a change; values are not cut yet."""
    if change.sweep and change.after:
        main = _sweep_rows(change, change.after, change.sweep)
    else:
        main = _version_rows(change)
    return [*main, *_gate_rows(change), *_cost_rows(change.cost), *_retirement_rows(change)]


def detail_lines(change: Change) -> list[str]:
    """Return the facts as lines of at most 100 columns, labels and values aligned."""
    rows = detail_rows(change)
    width = max([LABEL_COLUMNS, *(len(row.label) for row in rows)])
    lines = []
    for row in rows:
        start = f"{'':{INDENT}}{row.label:<{width}}  "
        note = f"    {row.note}" if row.note else ""
        value = _fit_value(row, text_width() - len(start) - len(note))
        lines.append(f"{start}{value}{note}")
    return lines


def running_job_ids(change: Change) -> list[str]:
    """Return the ids of the jobs that a change waits for."""
    if change.sweep:
        candidates = change.sweep.candidates
        return [each.model_id for each in candidates if each.action is Action.WAIT]
    return [change.after.model_id] if change.after else []


def _fit_value(row: DetailRow, width: int) -> str:
    """Cut the value of a row; the old and the new value share the width."""
    if row.before is None:
        return cut(row.value, width)
    width -= len(" -> ")
    # At least half for the new value, and more if the old one is short.
    after = cut(row.value, min(60, max(width // 2, width - columns(cut(row.before)))))
    return f"{cut(row.before, min(60, width - columns(after)))} -> {after}"


def _version_rows(change: Change) -> Iterator[DetailRow]:
    before, after = change.before, change.after
    match change.action:
        case Action.CREATE if after:
            yield from _declaration_rows(after)
            yield DetailRow("new model", after.model_id)
            yield from _serving_rows(after)
        case Action.REPLACE if before and after:
            yield from _field_rows(change, without="dataset")
            yield DetailRow("new model", after.model_id)
            yield from _serving_rows(after)
            yield DetailRow("old model", before.model_id, _outcome(change, before))
        case Action.UPDATE:
            yield from _field_rows(change)
        case Action.CONFLICT | Action.FAILED | Action.REJECTED:
            return
        case _:
            if version := after or before:
                yield DetailRow("model", version.model_id)
            yield from _field_rows(change)


def _sweep_rows(change: Change, after: DesiredVersion, sweep: PlannedSweep) -> Iterator[DetailRow]:
    if change.action is Action.CREATE:
        yield from _declaration_rows(after)
    yield from _field_rows(change, without="dataset")
    for number, (settings, state) in enumerate(_candidates(after, sweep)):
        yield DetailRow("" if number else "candidates", settings, state)
    if not change.action.is_pending:
        return
    if change.before:
        yield DetailRow("old model", change.before.model_id, _outcome(change, change.before))
    yield DetailRow("promotes", sweep_outcome_phrase(sweep))


def _serving_rows(after: DesiredVersion) -> Iterator[DetailRow]:
    if is_open_model(after.source):
        yield DetailRow("serves", "only after you deploy it; `tunedmodels outputs` prints how")


def _declaration_rows(after: DesiredVersion) -> Iterator[DetailRow]:
    yield (
        DetailRow("continues", after.parent, f"({after.source})")
        if after.parent
        else DetailRow("base", after.source.removeprefix("models/"))
    )
    yield DetailRow("dataset", f"{after.dataset_path}, {after.examples} examples")
    if after.tuning_mode:
        yield DetailRow("tuningMode", after.tuning_mode)
    if after.preamble:
        yield DetailRow("preamble", _format_value("preamble", after.preamble))
    for name, value in after.hyperparameters.items():
        path = f"hyperparameters.{name}"
        yield DetailRow(_LABELS.get(path, path), _format_value(path, value))


def _field_rows(change: Change, *, without: str = "") -> Iterator[DetailRow]:
    return (_field_row(field) for field in change.fields if field.path != without)


def _field_row(field: FieldChange) -> DetailRow:
    note = "changed outside" if field.drift else ""
    return DetailRow(
        label=_LABELS.get(field.path, field.path),
        before=_format_value(field.path, field.before),
        value=_format_value(field.path, field.after),
        note="forces replacement" if field.forces_replacement else note,
    )


def _format_value(path: str, value: JsonValue) -> str:
    if value is None:
        return "none" if path == "preamble" else "unset"
    if isinstance(value, str):
        return f'"{cut(value, 58)}"' if path in _FREE_TEXT else value.removeprefix("models/")
    return json.dumps(value)


def _outcome(change: Change, before: LiveVersion) -> str:
    """Return what happens to the live version of a replacement."""
    if before in change.retires:
        return "deleted once the new one serves"
    if before.state is ModelState.READY:
        return "kept for a rollback without training"
    return before.state.value


def _gate_rows(change: Change) -> Iterator[DetailRow]:
    # The reason of a rejected version names the conditions already.
    if change.gate and change.action is not Action.REJECTED:
        for number, condition in enumerate(describe_conditions(change.gate)):
            yield DetailRow("and" if number else "serves if", condition)


def _cost_rows(cost: Cost | None) -> Iterator[DetailRow]:
    """Yield the calculation of a price, unless it is free."""
    if cost is None or (cost.tokens is None and cost.usd_per_million_tokens is None):
        return
    tokens = "unknown tokens"
    if cost.tokens is not None:
        accuracy = "counted" if cost.is_counted else f"+/- {round(100 * RELATIVE_ERROR)} %"
        tokens = f"{cost.tokens:,} tokens ({accuracy})"
    epochs = "unknown epochs" if cost.epochs is None else quantity(cost.epochs, "epoch")
    if cost.usd_per_million_tokens:
        rate = f"${cost.usd_per_million_tokens:,.2f} per 1M"
    else:
        rate = "free of charge" if cost.usd == 0 else "unknown price"
    yield DetailRow("cost", f"{tokens} x {epochs} x {rate}")


def _retirement_rows(change: Change) -> Iterable[DetailRow]:
    # The old model of a replacement has a row already, which says that it is deleted.
    shown = change.before if change.action is Action.REPLACE else None
    others = [version for version in change.retires if version != shown]
    return [DetailRow("" if i else "then delete", other.model_id) for i, other in enumerate(others)]


def _candidates(shared: DesiredVersion, sweep: PlannedSweep) -> Iterator[tuple[str, str]]:
    """Yield per candidate its settings with its id, aligned, and its state with its price."""
    cells = [_settings(shared, candidate) for candidate in sweep.candidates]
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    for candidate, row in zip(sweep.candidates, cells, strict=True):
        settings = [pad(cell, width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join([*settings, candidate.model_id]), _candidate_state(candidate)


def _settings(shared: DesiredVersion, candidate: Candidate) -> list[str]:
    return [
        f"{_HYPERPARAMETER_LABELS.get(name, name)} {value}"
        for name, value in candidate.hyperparameters.items()
        if name not in shared.hyperparameters
    ]


def _candidate_state(candidate: Candidate) -> str:
    before = candidate.before
    if candidate.action in _CANDIDATE_STATES:
        state = _CANDIDATE_STATES[candidate.action]
    elif before and before.serves:
        state = "serving"
    else:
        state = before.state.value if before else ModelState.READY.value
    if candidate.cost is None:
        return state
    usd = candidate.cost.usd
    return f"{state}, {'price unknown' if usd is None else price(usd)}"
