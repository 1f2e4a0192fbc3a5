"""A plan as the comment of a pull request: the summary first, what stands behind it folded.

It is edited in place of being written again, so equal plans give equal bytes: it holds dates at
most, never a duration. What does not fit is left out by levels, never cut in the middle.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tunedmodels import __version__
from tunedmodels.datasets.diff import Comparison
from tunedmodels.plan.plan import Action, Change, DatasetChange, Plan
from tunedmodels.render.layout import cut
from tunedmodels.render.markup import (
    BUDGET,
    alert,
    code,
    cure,
    fenced,
    footer,
    heading,
    link,
    marker,
    prose,
    read_marker,
    tagged,
)
from tunedmodels.render.plan import phrases
from tunedmodels.render.plan.examples import FEW, NONE, snippet_lines
from tunedmodels.render.plan.phrases import COUNTED, LABELS, WARNINGS
from tunedmodels.render.plan.rows import Row, rows

__all__ = [
    "BUDGET",
    "LEVELS",
    "Level",
    "command",
    "marker",
    "plan_markdown",
    "read_marker",
    "result",
]


Level = Literal["full", "no-snippets", "no-fields", "table", "summary"]
LEVELS: tuple[Level, ...] = ("full", "no-snippets", "no-fields", "table", "summary")

_NONE = "–"  # noqa: RUF001  # a dash in a cell, as people set it


@dataclass(frozen=True, slots=True)
class _Page:
    """What one comment shows, and how much of it."""

    plan: Plan
    examples: Mapping[str, Comparison]
    most: int
    head: str
    base: str
    full_url: str
    level: Level

    def has(self, level: Level) -> bool:
        """Whether what is left out beyond `level` is shown."""
        return LEVELS.index(self.level) <= LEVELS.index(level)


def plan_markdown(
    plan: Plan,
    *,
    examples: Mapping[str, Comparison] | None = None,
    most: int = FEW,
    head: str = "",
    base: str = "",
    budget: int = BUDGET,
    level: Level | None = None,
    full_url: str = "",
) -> str:
    """Return the comment, of at most `budget` bytes of UTF-8, at the first level that fits.

    `examples` and `most` are as in `plan_text`. `head` and `base` are commits, or a branch and its
    commit, for the last line. `level` is the most to be shown; `full_url` is where the whole plan
    can be read. The smallest level is returned even if a budget of less than 8 KiB is too small.
    """
    levels = LEVELS[LEVELS.index(level) if level else 0 :]
    for shown in levels:
        page = _Page(plan, examples or {}, most, head, base, full_url, shown)
        text = "\n".join(_lines(page)) + "\n"
        if len(text.encode()) <= budget:
            break
    return text


def _lines(page: _Page) -> Iterator[str]:
    plan = page.plan
    yield marker(
        environment=plan.environment,
        digest=plan.digest,
        head=page.head,
        level=page.level,
        project=plan.project,
    )
    yield heading(plan.environment, result(plan))
    if not (plan.changes or plan.refusals or plan.warnings or plan.notes or plan.leaving):
        return
    yield from ["", _counts(plan)]
    yield from _refusals(plan)
    if page.has("table") and plan.changes:
        yield from ["", *_table(plan)]
    yield from _warnings(plan)
    yield from _notes(plan)
    yield from _later(plan)
    if page.has("no-fields"):
        for change in plan.changes:
            yield from _folded(page, change)
    yield from _ending(page)


def result(plan: Plan) -> str:
    """Say in a few words what comes of a plan."""
    if plan.refusals:
        return "refused"
    counted = {action: count for count, action in phrases.counts(plan)}
    waits, conflicts, failed, rejected = (
        counted.pop(action, 0)
        for action in (Action.WAIT, Action.CONFLICT, Action.FAILED, Action.REJECTED)
    )
    changes = sum(counted.values())
    words = [phrases.number(changes, "change") if changes else "no changes"]
    words += [f"{phrases.number(waits, 'job')} still running"] if waits else []
    words += [f"{conflicts} in conflict"] if conflicts else []
    words += [f"{failed} failed"] if failed else []
    words += [f"{rejected} not promoted"] if rejected else []
    if usd := plan.cost_usd:
        words.append(f"about {phrases.price(usd)}")
    return ", ".join(words)


def _counts(plan: Plan) -> str:
    parts = [f"**{count}** {COUNTED[action]}" for count, action in phrases.counts(plan)]
    if plan.unchanged:
        parts.append(f"{plan.unchanged} unchanged")
    if plan.retained:
        parts.append(f"{plan.retained} retained without a manifest")
    return " · ".join(parts) or "Nothing is declared."


def _refusals(plan: Plan) -> list[str]:
    if not plan.refusals:
        return []
    lines: list[str] = []
    for refusal in plan.refusals[:WARNINGS]:
        lines += [f"- Refused: {prose(refusal.message)}", f"  To go on: {cure(refusal.cure)}"]
    if more := len(plan.refusals) - WARNINGS:
        lines += [f"- and {more} more"] if more > 0 else []
    return alert("CAUTION", lines)


def _warnings(plan: Plan) -> list[str]:
    return _listed("WARNING", phrases.warnings(plan))


def _notes(plan: Plan) -> list[str]:
    return _listed("NOTE", [(note.name, note.words) for note in plan.notes])


def _listed(kind: Literal["WARNING", "NOTE"], said: Sequence[tuple[str, str]]) -> list[str]:
    if not said:
        return []
    lines = [f"- {code(name, 31)}: {prose(words)}" if name else f"- {prose(words)}"
             for name, words in said[:WARNINGS]]  # fmt: skip
    if said[WARNINGS:]:
        lines.append(f"- and {len(said) - WARNINGS} more: `tunedmodels plan --format json`")
    return alert(kind, lines)


def _later(plan: Plan) -> list[str]:
    said = phrases.later(plan)
    lines = [f"- {prose(words)}" for words in said[:WARNINGS]]
    lines += [f"- and {len(said) - WARNINGS} more"] if said[WARNINGS:] else []
    return alert("NOTE", lines) if lines else []


def _table(plan: Plan) -> Iterator[str]:
    yield "| | Model | Action | Why | Cost |"
    yield "|:-:|---|---|---|--:|"
    for change in plan.changes:
        action = phrases.words(change)
        action = f"**{action}**" if change.action is Action.DELETE else action
        yield (
            f"| `{change.action.symbol}` | {code(change.name, 31, in_table=True)} | {action}"
            f" | {_why(change)} | {_cost(change)} |"
        )
    jobs = sum(change.jobs for change in plan.changes)
    if plan.cost_usd != 0 and jobs:
        tokens = plan.training_tokens
        work = f"{phrases.number(jobs, 'tuning job')}{f', {tokens:,} tokens' if tokens else ''}"
        yield f"| | | | **{work}** | **{phrases.limited(plan)}** |"


def _why(change: Change) -> str:
    if change.action is Action.UPDATE and len(change.fields) == 1 and not change.drift:
        (row,) = rows(change)
        return f"{row.label} {prose(row.before or '', 24)} → {prose(row.value, 24)}"
    words = prose(change.reason, 200)
    state = change.before and change.action in (Action.CANCEL, Action.DELETE)
    return f"{words}; {phrases.note(change)}" if state else words


def _cost(change: Change) -> str:
    if change.cost or change.action in (Action.UPDATE, Action.PROMOTE):
        return phrases.note(change)
    return _NONE


def _folded(page: _Page, change: Change) -> Iterator[str]:
    sign = f"{tagged(change.name, 31)}: {phrases.words(change)}"
    yield from ["", f"<details><summary><b>{sign}</b></summary>"]
    if not phrases.is_evident(change):
        yield from ["", f"Because {prose(change.reason)}."]
    if page.has("no-snippets"):
        most = page.most if page.has("full") else NONE
        if lines := list(_diff(change, page.examples.get(change.name), most)):
            yield from ["", *fenced(lines)]
        if change.dataset:
            yield from _dataset(change.dataset)
    if words := phrases.consequence(change):
        yield from ["", _sentence(words)]
    if change.cure:
        yield from ["", f"To go on: {cure(change.cure)}"]
    yield from ["", "</details>"]


def _sentence(words: str) -> str:
    return prose(words[0].upper() + words[1:]) + ("" if words.endswith(")") else ".")


def _diff(change: Change, compared: Comparison | None, most: int) -> Iterator[str]:
    """Yield lines whose first sign GitHub colours: what comes, what goes, what differs."""
    dataset, after = change.dataset, change.after
    if dataset and after:
        label = "dataset".ljust(11)
        digests = f"{dataset.before[:8]} -> {dataset.after[:8]}"
        yield f"! {label}  {cut(after.dataset_path)}  {digests}    forces replacement"
        if compared:
            for line in snippet_lines(compared, most=most, width=60, output_width=30):
                yield f"!{line[1:]}" if line[0] in "~ " else line
    table = rows(change)
    width = max([11, *(len(row.label) for row in table)])
    for row in table:
        value = cut(row.value)
        value = value if row.before is None else f"{cut(row.before)} -> {value}"
        note = f"    {row.note}" if row.note else ""
        yield f"{_sign(change, row)} {row.label:<{width}}  {value}{note}".rstrip()


def _sign(change: Change, row: Row) -> str:
    if row.before is not None:
        return "!"
    if change.action in (Action.DELETE, Action.CANCEL) or row.label in ("then delete", ""):
        return "-"
    if row.label == "old model" and change.before in change.retires:
        return "-"
    return "+" if change.action is Action.CREATE or row.label == "new model" else " "


def _dataset(dataset: DatasetChange) -> Iterator[str]:
    for words in phrases.rewordings(dataset):
        yield from ["", _sentence(words)]
    if dataset.labels:
        yield from ["", "| Output | before | after |", "|---|--:|--:|"]
        for row in dataset.labels[:LABELS]:
            yield f"| {code(row.label, in_table=True)} | {row.before:,} | {row.after:,} |"
        if more := dataset.labels[LABELS:]:
            yield f"| and {len(more)} more | | |"


def _ending(page: _Page) -> Iterator[str]:
    plan = page.plan
    if page.level != "full":
        whole = link("here is all of it", page.full_url) if page.full_url else "`tunedmodels plan`"
        yield from ["", f"This is not the whole plan, which is too long for a comment: {whole}."]
    if plan.pending and not plan.refusals:
        yield from [
            "",
            f"**Merging this** runs {code(command(plan), 2000)}.",
            "It is refused if a manifest, a dataset or a live model changes first.",
        ]
    yield from footer(
        [
            f"head {code(page.head, 40)}" if page.head else "",
            f"base {code(page.base, 60)}" if page.base else "",
            f"plan {plan.digest[:15]}",
            f"{dated}, an estimate" if (dated := phrases.prices(plan)) else "",
            f"tunedmodels {__version__}",
            link("full plan", page.full_url) if page.full_url else "",
        ]
    )


def command(plan: Plan) -> str:
    """Return the command that carries out this plan and no other."""
    options = ["--env", plan.environment] if plan.environment else []
    for value in plan.sets:
        options += ["--set", value]
    return shlex.join(["tunedmodels", "apply", *options, "--digest", plan.digest])
