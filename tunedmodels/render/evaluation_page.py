"""What `evaluate` found as one HTML file, in the frame of the other pages: nothing runs in it."""

from __future__ import annotations

from tunedmodels.evaluation.report import Report
from tunedmodels.render.evaluation_terms import HIDDEN, NONE, against, gate, rows, sections, title
from tunedmodels.render.plan.html import framed
from tunedmodels.stamp import Decision

# The classes of the style sheet by what they mean: good, doubtful, bad.
_KINDS = {
    Decision.PASSED: "create",
    Decision.INCONCLUSIVE: "warning",
    Decision.REFUSED: "error",
}
_SIGNS = {"+": "added", "-": "removed", "!": "changed", "": ""}


def evaluation_page(report: Report, *, most: int = NONE) -> str:
    """Return the page; `most` examples of each kind. Equal reports give equal bytes."""
    return framed(
        "evaluation.html",
        path=(report.name,),
        result=f"Evaluation: {title(report).partition(': ')[2]}",
        footer=[],
        gate=gate(report),
        gate_kind=_KINDS[report.verdict.decision] if report.verdict else "",
        rows=rows(report),
        against=against(report),
        tuning=report.tuning.words,
        sections=list(sections(report, most)),
        signs=_SIGNS,
        note="" if most == NONE or report.shows_text else HIDDEN,
    )
