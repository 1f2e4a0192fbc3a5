"""Render the checks of `doctor`, as text and as a JSON document."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta

from tunedmodels.providers.doctor.findings import DoctorReport, Verdict
from tunedmodels.render.document import (
    FORMAT_VERSION,
    Document,
    FormatVersion,
    json_schema,
    to_json,
)
from tunedmodels.render.layout import Style, cut, no_style, pad, text_width
from tunedmodels.text import printable

_ROLES: Final = {
    Verdict.OK: "good",
    Verdict.WARNING: "warning",
    Verdict.UNKNOWN: "dim",
    Verdict.FAILED: "failed",
}
_VERDICT_COLUMNS: Final = max(map(len, Verdict)) + 2
_CHECK_COLUMNS: Final = 20  # the longest name of a check is shorter
_MAX_MESSAGE: Final = 800  # columns; the JSON document has the whole message


class CheckDocument(Document):
    """One check and its result."""

    check: str
    verdict: Verdict
    words: str
    cure: str


class CheckupDocument(Document):
    """The checks of this machine or of one provider."""

    name: Annotated[str, Meta(description="machine, or that of a provider")]
    about: str
    ok: bool
    findings: list[CheckDocument]


class DoctorDocument(Document):
    """All checks."""

    format_version: FormatVersion
    ok: Annotated[bool, Meta(description="nothing failed")]
    checkups: list[CheckupDocument]


def doctor_text(reports: Sequence[DoctorReport], style: Style = no_style) -> str:
    """Return a line per check with its cure below, and the number of failures at the end."""
    blocks = ["\n".join([_title(report, style), *_lines(report, style)]) for report in reports]
    return "\n\n".join([*blocks, _summary(reports, style)]) + "\n"


def doctor_json(reports: Sequence[DoctorReport]) -> str:
    """Return all checks as JSON."""
    document = DoctorDocument(
        format_version=FORMAT_VERSION,
        ok=all(report.has_no_failures for report in reports),
        checkups=[
            CheckupDocument(
                name=report.name,
                about=report.description,
                ok=report.has_no_failures,
                findings=[
                    CheckDocument(
                        check=result.check,
                        verdict=result.verdict,
                        words=result.message,
                        cure=result.cure,
                    )
                    for result in report.findings
                ],
            )
            for report in reports
        ],
    )
    return to_json(document)


def doctor_schema() -> dict[str, Any]:
    """Return the JSON Schema of the JSON form."""
    return json_schema(DoctorDocument, "The output of `tunedmodels doctor --format json`")


def _title(report: DoctorReport, style: Style) -> str:
    return style(f"{printable(report.name)}  ({printable(report.description)})", "bold")


def _lines(report: DoctorReport, style: Style) -> Iterator[str]:
    margin = " " * (2 + _VERDICT_COLUMNS + _CHECK_COLUMNS)
    cures: set[str] = set()
    for result in report.findings:
        first, *rest = _wrap_message(result.message, len(margin))
        verdict = style(pad(result.verdict, _VERDICT_COLUMNS), _ROLES[result.verdict])
        yield f"  {verdict}{pad(result.check, _CHECK_COLUMNS)}{first}".rstrip()
        yield from (f"{margin}{line}" for line in rest)
        if result.cure and result.cure in cures:
            yield f"{margin}The fix is the same as above."
            continue
        cures.add(result.cure)
        # A cure is not wrapped, so that its commands can be copied.
        yield from (f"{margin}{printable(line)}" for line in result.cure.splitlines())


def _wrap_message(message: str, margin: int) -> list[str]:
    """Break a message into lines next to a margin; paths, addresses and permissions stay whole."""
    lines = textwrap.wrap(
        cut(message, _MAX_MESSAGE),
        text_width() - margin,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return lines or [""]


def _summary(reports: Sequence[DoctorReport], style: Style) -> str:
    verdicts = [result.verdict for report in reports for result in report.findings]
    failed, unknown = verdicts.count(Verdict.FAILED), verdicts.count(Verdict.UNKNOWN)
    rest = f"; {unknown} could not be determined" if unknown else ""
    if failed:
        return style(f"{failed} of {len(verdicts)} checks failed{rest}.", "failed")
    return style(f"No check failed{rest}.", "good")
