"""A plan as one HTML file, for a person with a browser: nothing is loaded, nothing runs.

Text from outside is cleaned (`words.cut`) and escaped by the template; were that not enough, the
page's own policy (Content-Security-Policy) allows its style sheet and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tunedmodels import __version__
from tunedmodels.datasets.diff import Comparison
from tunedmodels.errors import Problem, Severity
from tunedmodels.plan.plan import Change, LabelChange, Plan
from tunedmodels.render.layout import cut
from tunedmodels.render.plan import phrases
from tunedmodels.render.plan.examples import FEW, Snippet, snippets
from tunedmodels.render.plan.markdown import command, result
from tunedmodels.render.plan.phrases import COUNTED, LABELS
from tunedmodels.render.plan.rows import rows
from tunedmodels.render.problems import counted

_OPEN = 12  # changes that are unfolded from the beginning; more of them are a list first
_KINDS = {"+": "added", "-": "removed", "~": "changed", " ": "former"}
_BOXES = {
    Severity.ERROR: "Errors",
    Severity.WARNING: "Warnings",
    Severity.ADVICE: "Advice",
}


@dataclass(frozen=True, slots=True)
class _Count:
    number: int
    words: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    words: str
    about: str = ""
    cure: str = ""


@dataclass(frozen=True, slots=True)
class _Box:
    kind: str
    title: str
    lines: Sequence[_Line]


def plan_page(
    plan: Plan,
    *,
    examples: Mapping[str, Comparison] | None = None,
    most: int = FEW,
    head: str = "",
    base: str = "",
) -> str:
    """Return the page; the arguments are those of `plan_markdown`. Equal plans give equal bytes."""
    shown = examples or {}
    counts = [
        _Count(count, COUNTED[action], action.value) for count, action in phrases.counts(plan)
    ]
    counts += [_Count(plan.unchanged, "unchanged")] if plan.unchanged else []
    counts += [_Count(plan.retained, "retained without a manifest")] if plan.retained else []
    return framed(
        "page.html",
        path=(plan.project, plan.environment),
        result=result(plan),
        counts=counts,
        boxes=list(_boxes(plan)),
        cards=[_card(change, shown.get(change.name), most) for change in plan.changes],
        is_open=len(plan.changes) <= _OPEN,
        command=cut(command(plan), 2000) if plan.pending and not plan.refusals else "",
        footer=[
            f"head {cut(head, 40)}" if head else "",
            f"base {cut(base)}" if base else "",
            f"plan {plan.digest[:15]}",
            phrases.cost(plan) if phrases.prices(plan) else "",
        ],
    )


def problems_page(
    problems: Iterable[Problem], *, environment: str = "", project: str = "", head: str = ""
) -> str:
    """Return a page of what is wrong with the manifests and datasets."""
    found = sorted(problems, key=lambda problem: (list(Severity).index(problem.severity), problem))
    boxes = [
        _Box(
            severity.value,
            _BOXES[severity],
            [
                _Line(cut(one.message, 400), cut(one.place, 200), cut(one.cure, 400))
                for one in of_kind
            ],
        )
        for severity, of_kind in groupby(found, key=lambda problem: problem.severity)
    ]
    return framed(
        "page.html",
        path=(project, environment),
        result=counted(found),
        counts=[],
        boxes=boxes,
        cards=[],
        is_open=True,
        command="",
        footer=[f"head {cut(head, 40)}" if head else ""],
    )


def framed(
    template: str, *, path: Sequence[str], result: str, footer: Sequence[str], **values: object
) -> str:
    """Return a page in the frame of all of them: the style sheet inside, and a policy against more.

    `path` leads from the project to what the page is about. `values` are those of the template.
    """
    style = files("tunedmodels.render").joinpath("templates/page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    there = [cut(part, 40) for part in path if part]
    environment = Environment(
        loader=PackageLoader("tunedmodels.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return (
        environment.get_template(template).render(
            title=" · ".join(["tunedmodels", *there, result]),
            style=style,
            style_hash=f"sha256-{digest}",
            path=there,
            result=result[0].upper() + result[1:],
            footer=[part for part in (*footer, f"tunedmodels {__version__}") if part],
            **values,
        )
        + "\n"
    )


def _boxes(plan: Plan) -> Iterator[_Box]:
    if plan.refusals:
        lines = [_Line(cut(one.message, 400), cure=cut(one.cure, 400)) for one in plan.refusals]
        yield _Box("error", "Refused", lines)
    if said := phrases.warnings(plan):
        lines = [_Line(cut(words, 400), cut(name, 31)) for name, words in said]
        yield _Box("warning", "Warnings", lines)
    if plan.notes:
        lines = [_Line(cut(note.words, 400), cut(note.name, 31)) for note in plan.notes]
        yield _Box("advice", "Notes", lines)
    if later := phrases.later(plan):
        yield _Box("advice", "Later", [_Line(words) for words in later])


def _card(change: Change, compared: Comparison | None, most: int) -> dict[str, Any]:
    return {
        "kind": change.action.value,
        "symbol": change.action.symbol,
        "name": cut(change.name, 31),
        "words": phrases.words(change),
        "note": phrases.note(change),
        "because": "" if phrases.is_evident(change) else cut(change.reason, 400),
        "dataset": _dataset(change, compared, most),
        "rows": [
            {
                "label": row.label,
                "value": cut(row.value),
                "note": row.note,
                "before": None if row.before is None else cut(row.before),
            }
            for row in rows(change)
        ],
        "consequence": _sentence(phrases.consequence(change)),
        "cure": cut(change.cure, 400),
    }


def _dataset(change: Change, compared: Comparison | None, most: int) -> dict[str, Any] | None:
    dataset, after = change.dataset, change.after
    if dataset is None or after is None:
        return None
    shown = snippets(compared, most=most, width=120, output_width=40) if compared else ()
    return {
        "path": cut(after.dataset_path, 120),
        "before": dataset.before[:8],
        "after": dataset.after[:8],
        "notes": list(map(_sentence, phrases.rewordings(dataset))),
        "snippets": [_snippet(row) for row in shown],
        "labels": _labels(dataset.labels),
        "more_labels": max(0, len(dataset.labels) - LABELS),
    }


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(")") or not words else ".")


def _snippet(row: Snippet) -> dict[str, Any]:
    place = f"was {row.place}" if row.sign == " " else row.place
    return row._asdict() | {"kind": _KINDS[row.sign], "place": place}


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
        for row in labels[:LABELS]
    ]
