"""A plan for people at a terminal: details first, the summary last, where the eye is.

Symbol, word and colour say the same, so that the text is whole without colour. Equal plans give
equal text: it knows no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from tunedmodels.datasets.compare import Comparison
from tunedmodels.plan.change import Action, Change, Plan
from tunedmodels.render.details import INDENT, details, hidden
from tunedmodels.render.problems import Style, plain
from tunedmodels.render.snippets import snippets
from tunedmodels.render.words import WIDTH, columns, cut, padded, wrapped

WARNINGS = 5  # the others are counted: a list that nobody reads helps nobody

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
}
_COUNTED = {
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
}
_SELF_EVIDENT = (Action.CREATE, Action.UPDATE)  # what stands below says why


def plan_text(
    plan: Plan, *, examples: Mapping[str, Comparison] | None = None, style: Style = plain
) -> str:
    """Return the plan as text of at most 100 columns, with a line end at its end.

    `examples` holds, by name, the training examples that were added and removed; give them only
    where everybody who reads the plan may read the dataset. `style` colours a text by its role: the
    value of an action, or bold, good, warning, error.
    """
    shown = examples or {}
    headings = _headings(plan, style)
    blocks = [
        [heading, *_below(change, shown.get(change.name))]
        for change, heading in zip(plan.changes, headings, strict=True)
    ]
    blocks += [_warnings(plan, style), list(_summary(plan, style)), list(_refusals(plan, style))]
    lines = ["\n".join(line.rstrip() for line in block) for block in blocks if block]
    return "\n\n".join(lines) + "\n"


def _headings(plan: Plan, style: Style) -> list[str]:
    """One aligned line per change: symbol, name, words, provider, and its cost or state."""
    table = [
        (cut(change.name, 31), _words(change), cut(_provider(change), 14))
        for change in plan.changes
    ]
    widths = [max(map(columns, column), default=0) for column in zip(*table, strict=True)]
    return [
        f"{style(padded(change.action.symbol, 4) + padded(row[0], widths[0]), change.action)}  "
        + "  ".join(padded(cell, width) for cell, width in zip(row[1:], widths[1:], strict=True))
        + f"  {_note(change)}"
        for change, row in zip(plan.changes, table, strict=True)
    ]


def _words(change: Change) -> str:
    is_rollback = change.action is Action.PROMOTE and change.before and change.before.promoted
    return "promote (go back to it)" if is_rollback else _WORDS[change.action]


def _provider(change: Change) -> str:
    about = change.after or change.before
    return about.provider if about else ""


def _note(change: Change) -> str:
    """Return the price of work, or the state of what is there."""
    if change.cost:
        return _price(change.cost.usd)
    if change.action in (Action.UPDATE, Action.PROMOTE):
        return "free"
    if change.before:
        return "serving" if change.before.serves else change.before.state.value
    return ""


def _price(usd: float | None) -> str:
    if usd is None:
        return "unknown"
    return f"${usd:,.2f}" if usd else "free"


def _below(change: Change, compared: Comparison | None) -> Iterator[str]:
    """Yield the lines below a heading: why, what differs, what becomes of it, what would help."""
    margin = " " * INDENT
    if change.action not in _SELF_EVIDENT:
        because = wrapped(f"because {change.reason}", indent=INDENT, hang=len("because "))
        if change.dataset and columns(because[-1]) + 22 <= WIDTH:
            because[-1] += "    forces replacement"
        yield from because
    yield from _dataset(change, compared)
    yield from details(change)
    if consequence := _consequence(change):
        yield f"{margin}{consequence}"
    if change.cure:
        yield from wrapped(f"To go on: {change.cure}", indent=INDENT, hang=len("To go on: "))


def _dataset(change: Change, compared: Comparison | None) -> Iterator[str]:
    dataset, after, margin = change.dataset, change.after, " " * (INDENT + 2)
    if dataset is None or after is None:
        return
    path = cut(after.dataset_path)
    yield f"{margin}{path}  sha256 {dataset.before[:8]} -> {dataset.after[:8]}"
    if dataset.reworded:
        yield f"{margin}{dataset.reworded} of them reworded: same input, other output"
    if compared:
        yield from snippets(compared, indent=len(margin) + 2)


def _consequence(change: Change) -> str:
    if change.action is Action.UPDATE:
        count = hidden(change)
        return f"({_number(count, 'unchanged field')} hidden)" if count else ""
    if change.action is Action.CANCEL:
        return "the work done so far is lost; the service may still bill it"
    if change.action is not Action.DELETE:
        return ""
    if change.before and change.before.serves:
        return f"it answers for {cut(change.name, 31)} now, and cannot be brought back"
    return "the model cannot be brought back"


def _warnings(plan: Plan, style: Style) -> list[str]:
    table = [(cut(change.name, 31), words) for change in plan.changes for words in change.warnings]
    table += [("", words) for words in plan.warnings]
    if not table:
        return []
    width = max(columns(name) for name, _ in table[:WARNINGS])
    lines = [style("Warnings", "bold")]
    for name, words in table[:WARNINGS]:
        first, *rest = wrapped(words, indent=width + 6)
        lines += [f"  {style('!', 'warning')} {padded(name, width)}  {first.strip()}", *rest]
    if table[WARNINGS:]:
        more = len(table) - WARNINGS
        lines.append(f"    and {more} more (to see them: tunedmodels plan --format json)")
    return lines


def _summary(plan: Plan, style: Style) -> Iterator[str]:
    """Yield the counts, which add up to the manifests and to what leaves; then the cost."""
    counts = Counter(change.action for change in plan.changes)
    retained = f" {plan.retained} retained without a manifest." if plan.retained else ""
    if not counts:
        if not plan.refusals:
            yield style("No changes.", "good") + _matching(plan.unchanged) + retained
        return
    rest = (f" {plan.unchanged} unchanged." if plan.unchanged else "") + retained
    if set(counts) == {Action.WAIT}:
        yield from _still_running(plan, rest)
        return
    parts = [f"{counts[action]} {words}" for action, words in _COUNTED.items() if counts[action]]
    for line in wrapped(f"Plan: {', '.join(parts)}.{rest}", indent=0, hang=len("Plan: ")):
        yield style(line, "bold")
    jobs = sum(change.action.trains for change in plan.changes)
    if jobs:
        usd = plan.cost_usd
        price = "price unknown" if usd is None else _price(usd)
        price = f"about {price} (an estimate, not a quote)" if usd else price
        yield f"Cost: {_number(jobs, 'tuning job')}, {price}."


def _matching(unchanged: int) -> str:
    if not unchanged:
        return ""
    match = "model matches" if unchanged == 1 else "models match"
    return f" {unchanged} {match} the manifests."


def _still_running(plan: Plan, rest: str) -> Iterator[str]:
    ids = [change.after.model_id for change in plan.changes if change.after]
    some = ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if ids[3:] else "")
    running = f"No changes, {_number(len(ids), 'job')} still running:"
    yield from wrapped(f"{running} {some}.{rest}", indent=0)
    name = f" {plan.changes[0].name}" if len(ids) == 1 else ""
    yield f"Watch {'it' if name else 'them'}: tunedmodels watch{name}"


def _refusals(plan: Plan, style: Style) -> Iterator[str]:
    for refusal in plan.refusals:
        first, *more = wrapped(f"Refused: {refusal.message}", indent=0)
        yield style(first, "error")
        yield from more
        yield from wrapped(f"To go on: {refusal.cure}", indent=0)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
