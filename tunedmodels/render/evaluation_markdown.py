"""What `evaluate` found, for a comment or a job's summary: nothing in anybody's text acts in it."""

from __future__ import annotations

from collections.abc import Iterator

from tunedmodels import __version__
from tunedmodels.evaluation.report import Report
from tunedmodels.render.evaluation_terms import (
    HIDDEN,
    NONE,
    Section,
    against,
    gate,
    rows,
    sections,
    title,
    told,
)
from tunedmodels.render.frame import alert, footer
from tunedmodels.render.markup import code, fenced, prose
from tunedmodels.stamp import Decision

_LONGEST = 1000  # of a sentence with its numbers


def evaluation_markdown(report: Report, *, most: int = NONE) -> str:
    """Return the report as GitHub and GitLab read Markdown; `most` examples of each kind."""
    return "\n".join(_lines(report, most)) + "\n"


def _lines(report: Report, most: int) -> Iterator[str]:
    yield f"### {prose(title(report), 200)}"
    yield from ["", f"| | model | score | {against(report)} |", "| --- | --- | --- | --- |"]
    for row in rows(report):
        model = code(row.model, in_table=True)
        yield f"| {row.who} | {model} | {row.score} | {prose(row.beside)} |"
    if report.verdict:
        has_passed = report.verdict.decision is Decision.PASSED
        yield from alert(
            "NOTE" if has_passed else "WARNING", [f"**Gate**: {prose(gate(report), _LONGEST)}"]
        )
    yield from ["", prose(report.tuning.words, _LONGEST)]
    for section in sections(report, most):
        yield from _folded(section)
    if most != NONE and not report.shows_text:
        yield from ["", f"Note: {HIDDEN}."]
    yield from footer([f"tunedmodels {__version__}"])


def _folded(section: Section) -> Iterator[str]:
    yield from ["", f"<details><summary>{section.title}</summary>", ""]
    lines = [
        f"  and {line.more:,} more"
        if line.more
        else f"{line.sign} {line.place}  {told(line)}".rstrip()
        for line in section.lines
    ]
    yield from [*fenced(lines), "", "</details>"]
