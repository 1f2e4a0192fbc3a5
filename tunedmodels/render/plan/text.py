"""A plan for people at a terminal: details first, the summary last, where the eye is.

Symbol, word and colour say the same, so that the text is whole without colour. Equal plans give
equal text: it knows no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tunedmodels.datasets.diff import Comparison
from tunedmodels.plan.plan import Action, Change, LabelChange, Plan
from tunedmodels.render.layout import WIDTH, Style, columns, cut, padded, plain, wrapped
from tunedmodels.render.plan import phrases, rows
from tunedmodels.render.plan.examples import FEW, snippet_lines
from tunedmodels.render.plan.phrases import COUNTED, LABELS, WARNINGS
from tunedmodels.render.plan.rows import INDENT, details


def plan_text(
    plan: Plan,
    *,
    examples: Mapping[str, Comparison] | None = None,
    most: int = FEW,
    style: Style = plain,
) -> str:
    """Return the plan as text of at most 100 columns, with a line end at its end.

    `examples` holds, by name, the training examples that were added and removed; give them only
    where everybody who reads the plan may read the dataset. `most` of each kind are written out.
    `style` colours a text by its role: the
    value of an action, or bold, good, warning, error.
    """
    shown = examples or {}
    headings = _headings(plan, style)
    blocks = [
        [heading, *_below(change, shown.get(change.name), most)]
        for change, heading in zip(plan.changes, headings, strict=True)
    ]
    blocks += [_warnings(plan, style), _notes(plan, style), _later(plan)]
    blocks += [list(_summary(plan, style)), list(_refusals(plan, style))]
    lines = ["\n".join(line.rstrip() for line in block) for block in blocks if block]
    return "\n\n".join(lines) + "\n"


def _headings(plan: Plan, style: Style) -> list[str]:
    """One aligned line per change: symbol, name, words, provider, and its cost or state."""
    table = [
        (cut(change.name, 31), phrases.words(change), cut(phrases.provider(change), 14))
        for change in plan.changes
    ]
    widths = [max(map(columns, column), default=0) for column in zip(*table, strict=True)]
    return [
        f"{style(padded(change.action.symbol, 4) + padded(row[0], widths[0]), change.action)}  "
        + "  ".join(padded(cell, width) for cell, width in zip(row[1:], widths[1:], strict=True))
        + f"  {phrases.note(change)}"
        for change, row in zip(plan.changes, table, strict=True)
    ]


def _below(change: Change, compared: Comparison | None, most: int) -> Iterator[str]:
    """Yield the lines below a heading: why, what differs, what becomes of it, what would help."""
    margin = " " * INDENT
    if not phrases.is_evident(change):
        because = wrapped(f"because {change.reason}", indent=INDENT, hang=len("because "))
        if change.dataset and columns(because[-1]) + 22 <= WIDTH:
            because[-1] += "    forces replacement"
        yield from because
    yield from _dataset(change, compared, most)
    yield from details(change)
    if consequence := phrases.consequence(change):
        yield f"{margin}{consequence}"
    if change.cure:
        yield from wrapped(f"To go on: {change.cure}", indent=INDENT, hang=len("To go on: "))


def _dataset(change: Change, compared: Comparison | None, most: int) -> Iterator[str]:
    dataset, after, margin = change.dataset, change.after, " " * (INDENT + 2)
    if dataset is None or after is None:
        return
    path = cut(after.dataset_path)
    yield f"{margin}{path}  sha256 {dataset.before[:8]} -> {dataset.after[:8]}"
    for words in phrases.rewordings(dataset):
        yield from wrapped(words, indent=len(margin), hang=2)
    if dataset.labels:
        yield from wrapped(f"labels: {_labels(dataset.labels)}", indent=len(margin), hang=8)
    if compared:
        lines = list(snippet_lines(compared, most=most))
        hidden = [number for number, line in enumerate(lines) if line.endswith(" more")]
        for number, line in enumerate(lines):
            hint = (
                "    (to see every one: --examples all)" if hidden and number == hidden[-1] else ""
            )
            yield f"{margin}  {line}{hint}"


def _labels(labels: Sequence[LabelChange]) -> str:
    moved = [row for row in labels if row.before != row.after]
    parts = [f"{cut(row.label, 20)} {row.before} -> {row.after}" for row in moved[:LABELS]]
    parts += [f"{len(moved) - LABELS} more"] if moved[LABELS:] else []
    parts += [f"{len(labels) - len(moved)} as before"] if len(labels) > len(moved) else []
    return ", ".join(parts)


def _warnings(plan: Plan, style: Style) -> list[str]:
    return _listed("Warnings", style("!", "warning"), phrases.warnings(plan), style)


def _notes(plan: Plan, style: Style) -> list[str]:
    return _listed("Notes", "i", [(note.name, note.words) for note in plan.notes], style)


def _listed(title: str, sign: str, said: Sequence[tuple[str, str]], style: Style) -> list[str]:
    if not said:
        return []
    table = [(cut(name, 31), words) for name, words in said]
    width = max(columns(name) for name, _ in table[:WARNINGS])
    column = width + len("  ") if width else 0  # warnings about the plan as a whole have no name
    lines = [style(title, "bold")]
    for name, words in table[:WARNINGS]:
        first, *rest = wrapped(words, indent=len("  ! ") + column)
        lines += [f"  {sign} {padded(name, column)}{first.strip()}", *rest]
    if table[WARNINGS:]:
        more = len(table) - WARNINGS
        lines.append(f"    and {more} more (to see them: tunedmodels plan --format json)")
    return lines


def _later(plan: Plan) -> list[str]:
    said = phrases.later(plan)
    lines = [line for words in said[:WARNINGS] for line in wrapped(words, indent=2, hang=2)]
    lines += [f"  and {len(said) - WARNINGS} more"] if said[WARNINGS:] else []
    return ["Later", *lines] if lines else []


def _summary(plan: Plan, style: Style) -> Iterator[str]:
    """Yield the counts, which add up to the manifests and to what leaves; then the cost."""
    counts = phrases.counts(plan)
    retained = f" {plan.retained} retained without a manifest." if plan.retained else ""
    if not counts:
        if not plan.refusals:
            yield style("No changes.", "good") + phrases.matching(plan.unchanged) + retained
        return
    rest = (f" {plan.unchanged} unchanged." if plan.unchanged else "") + retained
    if [action for _, action in counts] == [Action.WAIT]:
        yield from _still_running(plan, rest)
        return
    parts = [f"{count} {COUNTED[action]}" for count, action in counts]
    for line in wrapped(f"Plan: {', '.join(parts)}.{rest}", indent=0, hang=len("Plan: ")):
        yield style(line, "bold")
    if cost := phrases.cost(plan):
        yield from wrapped(f"Cost: {cost}.", indent=0, hang=len("Cost: "))


def _still_running(plan: Plan, rest: str) -> Iterator[str]:
    ids = [model_id for change in plan.changes for model_id in rows.running(change)]
    some = ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if ids[3:] else "")
    running = f"No changes, {phrases.number(len(ids), 'job')} still running:"
    yield from wrapped(f"{running} {some}.{rest}", indent=0)
    name = f" {plan.changes[0].name}" if len(plan.changes) == 1 else ""
    yield f"Watch {'it' if len(ids) == 1 else 'them'}: tunedmodels watch{name}"


def _refusals(plan: Plan, style: Style) -> Iterator[str]:
    for refusal in plan.refusals:
        first, *more = wrapped(f"Refused: {refusal.message}", indent=0)
        yield style(first, "error")
        yield from more
        yield from wrapped(f"To go on: {refusal.cure}", indent=0)
