"""Render a plan, or the problems that prevent one, as one HTML file that loads and runs nothing.

Text from outside is cut (`layout.cut`) and escaped by the template. As a second protection, the
Content-Security-Policy of the page allows only its style sheet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from tunedmodels.errors import Problem, Severity
from tunedmodels.plan.plan import Change, LabelChange, Plan
from tunedmodels.render.html import render_page
from tunedmodels.render.layout import cut
from tunedmodels.render.options import DEFAULT_OPTIONS, RenderOptions
from tunedmodels.render.plan import phrases
from tunedmodels.render.plan.examples import Snippet, snippets
from tunedmodels.render.plan.markdown import apply_command, result_phrase
from tunedmodels.render.plan.phrases import COUNT_LABELS, MAX_LABELS
from tunedmodels.render.plan.rows import detail_rows
from tunedmodels.render.problems import count_phrase

_MAX_OPEN: Final = 12  # if there are more changes, all are folded
_SIGN_CLASSES: Final = {"+": "added", "-": "removed", "~": "changed", " ": "former"}
_BOX_TITLES: Final = {
    Severity.ERROR: "Errors",
    Severity.WARNING: "Warnings",
    Severity.ADVICE: "Advice",
}


@dataclass(frozen=True, slots=True)
class _Count:
    number: int
    label: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class _BoxLine:
    text: str
    subject: str = ""
    cure: str = ""


@dataclass(frozen=True, slots=True)
class _Box:
    kind: str
    title: str
    lines: Sequence[_BoxLine]


def plan_html(plan: Plan, options: RenderOptions = DEFAULT_OPTIONS) -> str:
    """Return a page with the plan. Equal plans give equal bytes."""
    counts = [
        _Count(count, COUNT_LABELS[action], action.value)
        for count, action in phrases.count_actions(plan)
    ]
    counts += [_Count(plan.unchanged, "unchanged")] if plan.unchanged else []
    counts += [_Count(plan.retained, "retained without a manifest")] if plan.retained else []
    return render_page(
        "page.html",
        path=(plan.project, plan.folder.removeprefix("."), plan.environment),
        result=result_phrase(plan),
        counts=counts,
        boxes=list(_boxes(plan)),
        cards=[_card(change, options) for change in plan.changes],
        is_open=len(plan.changes) <= _MAX_OPEN,
        command=cut(apply_command(plan), 2000) if plan.pending and not plan.refusals else "",
        footer=[
            f"head {cut(options.head, 40)}" if options.head else "",
            f"base {cut(options.base)}" if options.base else "",
            f"plan {plan.digest[:15]}",
            phrases.total_cost_phrase(plan) if phrases.price_date(plan) else "",
        ],
    )


def problems_html(
    problems: Iterable[Problem], *, environment: str = "", project: str = "", head: str = ""
) -> str:
    """Return a page with the problems of the manifests and datasets."""
    severities = list(Severity)
    in_order = sorted(problems, key=lambda problem: (severities.index(problem.severity), problem))
    return render_page(
        "page.html",
        path=(project, environment),
        result=count_phrase(in_order),
        counts=[],
        boxes=[
            _Box(severity.value, _BOX_TITLES[severity], list(map(_problem_line, of_severity)))
            for severity, of_severity in groupby(in_order, key=lambda problem: problem.severity)
        ],
        cards=[],
        is_open=True,
        command="",
        footer=[f"head {cut(head, 40)}" if head else ""],
    )


def _problem_line(problem: Problem) -> _BoxLine:
    return _BoxLine(cut(problem.message, 400), cut(problem.location, 200), cut(problem.cure, 400))


def _boxes(plan: Plan) -> Iterator[_Box]:
    if plan.refusals:
        lines = [
            _BoxLine(cut(refusal.message, 400), cure=cut(refusal.cure, 400))
            for refusal in plan.refusals
        ]
        yield _Box("error", "Refused", lines)
    if plan.selection:
        names = phrases.selection_phrase(plan)
        yield _Box("advice", "Selection", [_BoxLine(f"Only {names}; nothing else was judged.")])
    if warnings := phrases.warnings(plan):
        lines = [_BoxLine(cut(text, 400), cut(name, 31)) for name, text in warnings]
        yield _Box("warning", "Warnings", lines)
    if plan.notes:
        lines = [_BoxLine(cut(note.words, 400), cut(note.name, 31)) for note in plan.notes]
        yield _Box("advice", "Notes", lines)
    if retirements := phrases.retirement_phrases(plan):
        yield _Box("advice", "Later", list(map(_BoxLine, retirements)))


def _card(change: Change, options: RenderOptions) -> dict[str, Any]:
    return {
        "kind": change.action.value,
        "symbol": change.action.symbol,
        "name": cut(change.name, 31),
        "action": phrases.action_phrase(change),
        "note": phrases.price_or_state(change),
        "reason": "" if phrases.is_evident(change) else cut(change.reason, 400),
        "dataset": _dataset(change, options),
        "rows": [
            {
                "label": row.label,
                "value": cut(row.value),
                "note": row.note,
                "before": None if row.before is None else cut(row.before),
            }
            for row in detail_rows(change)
        ],
        "consequence": phrases.sentence(phrases.consequence(change)),
        "cure": cut(change.cure, 400),
    }


def _dataset(change: Change, options: RenderOptions) -> dict[str, Any] | None:
    dataset, after = change.dataset, change.after
    if dataset is None or after is None:
        return None
    comparison = options.dataset_diffs.get(change.name)
    shown = (
        snippets(comparison, options.max_examples, width=120, output_width=40) if comparison else ()
    )
    return {
        "path": cut(after.dataset_path, 120),
        "before": dataset.before[:8],
        "after": dataset.after[:8],
        "notes": list(map(phrases.sentence, phrases.dataset_phrases(dataset))),
        "snippets": list(map(_snippet, shown)),
        "labels": _labels(dataset.labels),
        "more_labels": max(0, len(dataset.labels) - MAX_LABELS),
    }


def _snippet(snippet: Snippet) -> dict[str, Any]:
    return snippet._asdict() | {"kind": _SIGN_CLASSES[snippet.sign]}


def _labels(labels: Sequence[LabelChange]) -> list[dict[str, Any]]:
    top = max((max(row.before, row.after) for row in labels), default=0) or 1
    return [
        {
            "label": cut(row.label),
            "before": f"{row.before:,}",
            "after": f"{row.after:,}",
            "before_share": round(100 * row.before / top, 1),
            "after_share": round(100 * row.after / top, 1),
        }
        for row in labels[:MAX_LABELS]
    ]
