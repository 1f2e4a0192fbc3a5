"""What `evaluate` found, as text, and in one table every form of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from tunedmodels.evaluation.report import Report
from tunedmodels.render.evaluation_terms import (
    HIDDEN,
    NONE,
    Row,
    Section,
    against,
    gate,
    rows,
    sections,
    title,
    told,
)
from tunedmodels.render.layout import WIDTH, columns, padded, wrapped
from tunedmodels.render.problems import Style, plain
from tunedmodels.stamp import Decision

_ROLES: Final = {
    Decision.PASSED: "good",
    Decision.INCONCLUSIVE: "warning",
    Decision.REFUSED: "error",
}


def evaluation_text(report: Report, *, most: int = NONE, style: Style = plain) -> str:
    """Return the report for a terminal, no line wider than 100 columns."""
    blocks = [[style(title(report), "bold")], list(_table(report))]
    if report.verdict:
        first, *rest = wrapped(f"Gate: {gate(report)}", indent=0, hang=6, limit=1000)
        blocks.append([style(first, _ROLES[report.verdict.decision]), *rest])
    blocks.append(wrapped(report.tuning.words, indent=0, limit=1000))
    blocks += [[section.title, *_lines(section)] for section in sections(report, most)]
    if most != NONE and not report.shows_text:
        blocks.append(wrapped(f"Note: {HIDDEN}.", indent=0))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _table(report: Report) -> Iterator[str]:
    table = [Row("", "model", "score", against(report)), *rows(report)]
    widths = [
        max(columns(cell) for cell in column)
        for column in zip(*((row.who, row.model, row.score) for row in table), strict=True)
    ]
    for row in table:
        cells = [row.who, row.model, row.score]
        start = "  ".join(padded(cell, width) for cell, width in zip(cells, widths, strict=True))
        line = f"  {start}  {row.beside}".rstrip()
        if columns(line) <= WIDTH:
            yield line
        else:
            yield f"  {start}".rstrip()
            yield from wrapped(row.beside, indent=6)


def _lines(section: Section) -> Iterator[str]:
    places = max(columns(line.place) for line in section.lines)
    for line in section.lines:
        if line.more:
            yield f"  and {line.more:,} more (to see every one: --examples all)"
            continue
        start = f"{line.sign} {padded(line.place, places)}"
        yield from wrapped(f"{start}  {told(line)}".rstrip(), indent=2, hang=places + 4)


def _text(report: Report, most: int, style: Style) -> str:
    return evaluation_text(report, most=most, style=style)


def _json(report: Report, most: int, _style: Style) -> str:
    from tunedmodels.render.evaluation_json import evaluation_json  # noqa: PLC0415  # a form

    return evaluation_json(report, most=most)


def _markdown(report: Report, most: int, _style: Style) -> str:
    from tunedmodels.render.evaluation_markdown import evaluation_markdown  # noqa: PLC0415  # a form

    return evaluation_markdown(report, most=most)


def _html(report: Report, most: int, _style: Style) -> str:
    from tunedmodels.render.evaluation_page import evaluation_page  # noqa: PLC0415  # needs jinja2

    return evaluation_page(report, most=most)


EVALUATIONS: Final[Mapping[str, Callable[[Report, int, Style], str]]] = MappingProxyType(
    {"text": _text, "json": _json, "markdown": _markdown, "html": _html}
)
