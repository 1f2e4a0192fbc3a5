"""Render a plan for a terminal: details first, the summary last, where the user looks first.

Symbol, word and colour have the same meaning, so the text is complete without colour. Equal plans
give equal text: it does not depend on the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tunedmodels.plan.plan import Action, Change, LabelChange, Plan
from tunedmodels.render.layout import Style, columns, cut, pad, text_width, wrap
from tunedmodels.render.options import DEFAULT_OPTIONS, RenderOptions
from tunedmodels.render.plan import phrases, rows
from tunedmodels.render.plan.examples import snippet_lines
from tunedmodels.render.plan.phrases import COUNT_LABELS, MAX_LABELS, MAX_WARNINGS
from tunedmodels.render.plan.rows import INDENT, detail_lines

_FIX: Final = "To fix: "


def plan_text(plan: Plan, options: RenderOptions = DEFAULT_OPTIONS) -> str:
    """Return the plan as text of at most 100 columns, with a line end."""
    style = options.style
    blocks = [
        [heading, *_details(change, options)]
        for change, heading in zip(plan.changes, _headings(plan, style), strict=True)
    ]
    blocks += [_warnings(plan, style), _notes(plan, style), _retirements(plan)]
    blocks += [[*_selection(plan), *_summary(plan, style)], list(_refusals(plan, style))]
    texts = ["\n".join(line.rstrip() for line in block) for block in blocks if block]
    return "\n\n".join(texts) + "\n"


def _headings(plan: Plan, style: Style) -> list[str]:
    """Return an aligned line per change: symbol, name, action, provider, and cost or state."""
    table = [
        (cut(change.name, 31), phrases.action_phrase(change), cut(phrases.provider(change), 14))
        for change in plan.changes
    ]
    widths = [max(map(columns, column), default=0) for column in zip(*table, strict=True)]
    return [
        f"{style(pad(change.action.symbol, 4) + pad(row[0], widths[0]), change.action)}  "
        + "  ".join(pad(cell, width) for cell, width in zip(row[1:], widths[1:], strict=True))
        + f"  {phrases.price_or_state(change)}"
        for change, row in zip(plan.changes, table, strict=True)
    ]


def _details(change: Change, options: RenderOptions) -> Iterator[str]:
    """Yield the lines below a heading: the reason, the differences, the result and the cure."""
    margin = " " * INDENT
    if not phrases.is_evident(change):
        reason = wrap(f"because {change.reason}", indent=INDENT, hang=len("because "))
        note = "    forces replacement"
        if change.dataset and columns(reason[-1]) + len(note) <= text_width():
            reason[-1] += note
        yield from reason
    yield from _dataset(change, options)
    yield from detail_lines(change)
    if consequence := phrases.consequence(change):
        yield f"{margin}{consequence}"
    if change.cure:
        yield from wrap(f"{_FIX}{change.cure}", indent=INDENT, hang=len(_FIX))


def _dataset(change: Change, options: RenderOptions) -> Iterator[str]:
    dataset, after, margin = change.dataset, change.after, " " * (INDENT + 2)
    if dataset is None or after is None:
        return
    path = cut(after.dataset_path)
    yield f"{margin}{path}  sha256 {dataset.before[:8]} -> {dataset.after[:8]}"
    for phrase in phrases.dataset_phrases(dataset):
        yield from wrap(phrase, indent=len(margin), hang=2)
    if dataset.labels:
        yield from wrap(f"labels: {_labels(dataset.labels)}", indent=len(margin), hang=8)
    if comparison := options.dataset_diffs.get(change.name):
        hint = "    (to show all: --examples all)"
        for line in snippet_lines(comparison, options.max_examples, hint=hint):
            yield f"{margin}  {line}"


def _labels(labels: Sequence[LabelChange]) -> str:
    changed = [row for row in labels if row.before != row.after]
    unchanged = len(labels) - len(changed)
    parts = [f"{cut(row.label, 20)} {row.before} -> {row.after}" for row in changed[:MAX_LABELS]]
    parts += [f"{len(changed) - MAX_LABELS} more"] if changed[MAX_LABELS:] else []
    parts += [f"{unchanged} unchanged"] if unchanged else []
    return ", ".join(parts)


def _warnings(plan: Plan, style: Style) -> list[str]:
    return _list("Warnings", style("!", "warning"), phrases.warnings(plan), style)


def _notes(plan: Plan, style: Style) -> list[str]:
    return _list("Notes", "i", [(note.name, note.words) for note in plan.notes], style)


def _list(title: str, sign: str, entries: Sequence[tuple[str, str]], style: Style) -> list[str]:
    if not entries:
        return []
    table = [(cut(name, 31), text) for name, text in entries]
    width = max(columns(name) for name, _ in table[:MAX_WARNINGS])
    column = width + len("  ") if width else 0  # warnings about the whole plan have no name
    lines = [style(title, "bold")]
    for name, text in table[:MAX_WARNINGS]:
        first, *rest = wrap(text, indent=len("  ! ") + column)
        lines += [f"  {sign} {pad(name, column)}{first.strip()}", *rest]
    if table[MAX_WARNINGS:]:
        more = len(table) - MAX_WARNINGS
        lines.append(f"    and {more} more (to show all: tunedmodels plan --format json)")
    return lines


def _retirements(plan: Plan) -> list[str]:
    entries = phrases.retirement_phrases(plan)
    lines = [line for text in entries[:MAX_WARNINGS] for line in wrap(text, indent=2, hang=2)]
    lines += [f"  and {len(entries) - MAX_WARNINGS} more"] if entries[MAX_WARNINGS:] else []
    return ["Later", *lines] if lines else []


def _selection(plan: Plan) -> Iterator[str]:
    """Yield the selection of a plan that judged nothing else."""
    if plan.selection:
        names = phrases.selection_phrase(plan)
        yield from wrap(f"Only {names}, and the models that they continue from.", indent=0)


def _summary(plan: Plan, style: Style) -> Iterator[str]:
    """Yield the counts of all changes, and then the cost."""
    counts = phrases.count_actions(plan)
    retained = f" {plan.retained} retained without a manifest." if plan.retained else ""
    if not counts:
        if not plan.refusals:
            yield style("No changes.", "good") + phrases.unchanged_phrase(plan.unchanged) + retained
        return
    rest = (f" {plan.unchanged} unchanged." if plan.unchanged else "") + retained
    if [action for _, action in counts] == [Action.WAIT]:
        yield from _still_running(plan, rest)
        return
    parts = [f"{count} {COUNT_LABELS[action]}" for count, action in counts]
    for line in wrap(f"Plan: {', '.join(parts)}.{rest}", indent=0, hang=len("Plan: ")):
        yield style(line, "bold")
    if cost := phrases.total_cost_phrase(plan):
        yield from wrap(f"Cost: {cost}.", indent=0, hang=len("Cost: "))


def _still_running(plan: Plan, rest: str) -> Iterator[str]:
    ids = [model_id for change in plan.changes for model_id in rows.running_job_ids(change)]
    some = ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if ids[3:] else "")
    running = f"No changes, {phrases.quantity(len(ids), 'job')} still running:"
    yield from wrap(f"{running} {some}.{rest}", indent=0)
    name = f" {plan.changes[0].name}" if len(plan.changes) == 1 else ""
    yield f"Watch {'it' if len(ids) == 1 else 'them'}: tunedmodels watch{name}"


def _refusals(plan: Plan, style: Style) -> Iterator[str]:
    for refusal in plan.refusals:
        first, *more = wrap(f"Refused: {refusal.message}", indent=0)
        yield style(first, "error")
        yield from more
        yield from wrap(f"{_FIX}{refusal.cure}", indent=0)
