"""Render a plan as the comment of a pull request: the summary first, details folded.

The comment is edited in place, so equal plans give equal bytes: it contains dates but no durations.
If the plan is too large, whole levels of detail are left out; nothing is cut in the middle.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from tunedmodels import __version__
from tunedmodels.datasets.diff import Comparison
from tunedmodels.forges.plan_comment import Marker
from tunedmodels.plan.plan import Action, Change, DatasetChange, Plan
from tunedmodels.render.layout import cut
from tunedmodels.render.markup import (
    alert,
    code,
    code_block,
    footer,
    format_cure,
    heading,
    html_code,
    link,
    prose,
)
from tunedmodels.render.options import (
    DEFAULT_OPTIONS,
    DETAIL_LEVELS,
    NONE,
    DetailLevel,
    RenderOptions,
)
from tunedmodels.render.plan import phrases
from tunedmodels.render.plan.examples import snippet_lines
from tunedmodels.render.plan.phrases import COUNT_LABELS, MAX_LABELS, MAX_WARNINGS
from tunedmodels.render.plan.rows import LABEL_COLUMNS, DetailRow, detail_rows

_NO_COST: Final = "–"  # noqa: RUF001  # an en dash in an empty cell


@dataclass(frozen=True, slots=True)
class _Comment:
    """A comment at one level of detail, which is that of the options."""

    plan: Plan
    options: RenderOptions

    def has(self, level: DetailLevel) -> bool:
        """Return whether the comment shows what `level` shows."""
        return DETAIL_LEVELS.index(self.options.level) <= DETAIL_LEVELS.index(level)


def plan_markdown(plan: Plan, options: RenderOptions = DEFAULT_OPTIONS) -> str:
    """Return the comment with the most detail that fits into `options.max_bytes`.

    The smallest comment is returned even if a limit below 8 KiB is too small for it.
    """
    for level in DETAIL_LEVELS[DETAIL_LEVELS.index(options.level) :]:
        comment = _Comment(plan, replace(options, level=level))
        text = "\n".join(_lines(comment)) + "\n"
        if len(text.encode()) <= options.max_bytes:
            break
    return text


def _lines(comment: _Comment) -> Iterator[str]:
    plan, options = comment.plan, comment.options
    level = options.level
    marker = Marker(
        plan.environment, plan.digest, options.head, level, plan.project, folder=plan.folder
    )
    yield marker.format()
    yield heading(plan.environment, result_phrase(plan), plan.project, plan.folder)
    if not (plan.changes or plan.refusals or plan.warnings or plan.notes or plan.leaving):
        return
    yield from ["", _counts(plan)]
    yield from _refusals(plan)
    if comment.has("table") and plan.changes:
        yield from ["", *_table(plan)]
    yield from _warnings(plan)
    yield from _notes(plan)
    yield from _retirements(plan)
    if comment.has("no-fields"):
        for change in plan.changes:
            yield from _details(comment, change)
    yield from _ending(comment)


def result_phrase(plan: Plan) -> str:
    """Return the result of a plan in a few words."""
    if plan.refusals:
        return "refused"
    counts = {action: count for count, action in phrases.count_actions(plan)}
    waits, conflicts, failed, rejected = (
        counts.pop(action, 0)
        for action in (Action.WAIT, Action.CONFLICT, Action.FAILED, Action.REJECTED)
    )
    changes = sum(counts.values())
    parts = [phrases.quantity(changes, "change") if changes else "no changes"]
    parts += [f"{phrases.quantity(waits, 'job')} still running"] if waits else []
    parts += [f"{conflicts} in conflict"] if conflicts else []
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{rejected} not promoted"] if rejected else []
    if usd := plan.cost_usd:
        parts.append(f"about {phrases.price(usd)}")
    return ", ".join(parts)


def apply_command(plan: Plan) -> str:
    """Return the command that applies this plan and no other."""
    options = ["--env", plan.environment] if plan.environment else []
    for value in plan.sets:
        options += ["--set", value]
    return shlex.join(["tunedmodels", "apply", *plan.selection, *options, "--digest", plan.digest])


def _counts(plan: Plan) -> str:
    if plan.selection:
        return f"Only {phrases.selection_phrase(plan)}: {_count_all(plan)}"
    return _count_all(plan)


def _count_all(plan: Plan) -> str:
    parts = [f"**{count}** {COUNT_LABELS[action]}" for count, action in phrases.count_actions(plan)]
    if plan.unchanged:
        parts.append(f"{plan.unchanged} unchanged")
    if plan.retained:
        parts.append(f"{plan.retained} retained without a manifest")
    return " · ".join(parts) or "Nothing is declared."


def _refusals(plan: Plan) -> list[str]:
    if not plan.refusals:
        return []
    lines: list[str] = []
    for refusal in plan.refusals[:MAX_WARNINGS]:
        lines += [f"- Refused: {prose(refusal.message)}", f"  To fix: {format_cure(refusal.cure)}"]
    if more := len(plan.refusals) - MAX_WARNINGS:
        lines += [f"- and {more} more"] if more > 0 else []
    return alert("CAUTION", lines)


def _warnings(plan: Plan) -> list[str]:
    return _list("WARNING", phrases.warnings(plan))


def _notes(plan: Plan) -> list[str]:
    return _list("NOTE", [(note.name, note.words) for note in plan.notes])


def _list(kind: Literal["WARNING", "NOTE"], entries: Sequence[tuple[str, str]]) -> list[str]:
    if not entries:
        return []
    lines = [
        f"- {code(name, 31)}: {prose(text)}" if name else f"- {prose(text)}"
        for name, text in entries[:MAX_WARNINGS]
    ]
    if entries[MAX_WARNINGS:]:
        lines.append(f"- and {len(entries) - MAX_WARNINGS} more: `tunedmodels plan --format json`")
    return alert(kind, lines)


def _retirements(plan: Plan) -> list[str]:
    entries = phrases.retirement_phrases(plan)
    lines = [f"- {prose(text)}" for text in entries[:MAX_WARNINGS]]
    lines += [f"- and {len(entries) - MAX_WARNINGS} more"] if entries[MAX_WARNINGS:] else []
    return alert("NOTE", lines) if lines else []


def _table(plan: Plan) -> Iterator[str]:
    yield "| | Model | Action | Why | Cost |"
    yield "|:-:|---|---|---|--:|"
    for change in plan.changes:
        action = phrases.action_phrase(change)
        action = f"**{action}**" if change.action is Action.DELETE else action
        yield (
            f"| `{change.action.symbol}` | {code(change.name, 31, in_table=True)} | {action}"
            f" | {_why(change)} | {_cost(change)} |"
        )
    jobs = sum(change.jobs for change in plan.changes)
    if plan.cost_usd != 0 and jobs:
        tokens = plan.training_tokens
        total = f"{phrases.quantity(jobs, 'tuning job')}{f', {tokens:,} tokens' if tokens else ''}"
        yield f"| | | | **{total}** | **{phrases.cost_against_limit(plan)}** |"


def _why(change: Change) -> str:
    if change.action is Action.UPDATE and len(change.fields) == 1 and not change.drift:
        (row,) = detail_rows(change)
        return f"{row.label} {prose(row.before or '', 24)} → {prose(row.value, 24)}"
    reason = prose(change.reason, 200)
    is_removal = change.before and change.action in (Action.CANCEL, Action.DELETE)
    return f"{reason}; {phrases.price_or_state(change)}" if is_removal else reason


def _cost(change: Change) -> str:
    if change.cost or change.action in (Action.UPDATE, Action.PROMOTE):
        return phrases.price_or_state(change)
    return _NO_COST


def _details(comment: _Comment, change: Change) -> Iterator[str]:
    title = f"{html_code(change.name, 31)}: {phrases.action_phrase(change)}"
    yield from ["", f"<details><summary><b>{title}</b></summary>"]
    if not phrases.is_evident(change):
        yield from ["", f"Because {prose(change.reason)}."]
    if comment.has("no-snippets"):
        options = comment.options
        max_examples = options.max_examples if comment.has("full") else NONE
        comparison = options.dataset_diffs.get(change.name)
        if lines := list(_diff(change, comparison, max_examples)):
            yield from ["", *code_block(lines)]
        if change.dataset:
            yield from _dataset(change.dataset)
    if consequence := phrases.consequence(change):
        yield from ["", prose(phrases.sentence(consequence))]
    if change.cure:
        yield from ["", f"To fix: {format_cure(change.cure)}"]
    yield from ["", "</details>"]


def _diff(change: Change, comparison: Comparison | None, max_examples: int) -> Iterator[str]:
    """Yield the lines of a `diff` block; GitHub colours them by their first character."""
    dataset, after = change.dataset, change.after
    if dataset and after:
        label = "dataset".ljust(LABEL_COLUMNS)
        digests = f"{dataset.before[:8]} -> {dataset.after[:8]}"
        yield f"! {label}  {cut(after.dataset_path)}  {digests}    forces replacement"
        if comparison:
            for line in snippet_lines(comparison, max_examples, width=60, output_width=30):
                yield f"!{line[1:]}" if line[0] in "~ " else line
    table = detail_rows(change)
    width = max([LABEL_COLUMNS, *(len(row.label) for row in table)])
    label = ""
    for row in table:
        label = row.label or label  # a row without a label continues the one above
        value = cut(row.value)
        value = value if row.before is None else f"{cut(row.before)} -> {value}"
        note = f"    {row.note}" if row.note else ""
        yield f"{_sign(change, row, label)} {row.label:<{width}}  {value}{note}".rstrip()


def _sign(change: Change, row: DetailRow, label: str) -> str:
    if row.before is not None:
        return "!"
    if change.action in (Action.DELETE, Action.CANCEL) or label == "then delete":
        return "-"
    if label == "old model" and change.before in change.retires:
        return "-"
    return "+" if change.action is Action.CREATE or label == "new model" else " "


def _dataset(dataset: DatasetChange) -> Iterator[str]:
    for phrase in phrases.dataset_phrases(dataset):
        yield from ["", prose(phrases.sentence(phrase))]
    if dataset.labels:
        yield from ["", "| Output | before | after |", "|---|--:|--:|"]
        for row in dataset.labels[:MAX_LABELS]:
            yield f"| {code(row.label, in_table=True)} | {row.before:,} | {row.after:,} |"
        if more := dataset.labels[MAX_LABELS:]:
            yield f"| and {len(more)} more | | |"


def _ending(comment: _Comment) -> Iterator[str]:
    plan, options = comment.plan, comment.options
    url = options.full_url
    if options.level != "full":
        where = link("full plan", url) if url else "`tunedmodels plan`"
        yield from ["", f"This is not the whole plan, which is too long for a comment: {where}."]
    if plan.pending and not plan.refusals:
        yield from [
            "",
            f"**Merging this** runs {code(apply_command(plan), 2000)}.",
            "It is refused if a manifest, a dataset or a live model changes first.",
        ]
    yield from footer(
        [
            f"head {code(options.head, 40)}" if options.head else "",
            f"base {code(options.base, 60)}" if options.base else "",
            f"plan {plan.digest[:15]}",
            f"{date}, an estimate" if (date := phrases.price_date(plan)) else "",
            f"tunedmodels {__version__}",
            link("full plan", url) if url else "",
        ]
    )
