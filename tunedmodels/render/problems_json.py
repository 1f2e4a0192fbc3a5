"""The problems of manifests and datasets as a JSON document, and the schema of the document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta

from tunedmodels.errors import Problem, Severity
from tunedmodels.render.document import (
    FORMAT_VERSION,
    Document,
    FormatVersion,
    json_schema,
    to_json,
)


class ProblemDocument(Document):
    """One problem, where it is, and its cure."""

    file: str
    line: Annotated[int, Meta(ge=0, description="0: the whole file")]
    path: Annotated[str, Meta(description="dotted field, or empty")]
    severity: Severity
    code: str
    message: str
    cure: str
    count: Annotated[int, Meta(ge=1, description="number of problems that it represents")]


class ProblemsDocument(Document):
    """All problems, sorted by file and line."""

    format_version: FormatVersion
    problems: list[ProblemDocument]
    errors: Annotated[int, Meta(ge=0, description="number of all errors")]
    warnings: Annotated[int, Meta(ge=0, description="number of all warnings")]


def problems_json(problems: Sequence[Problem]) -> str:
    """Return every problem as JSON."""
    rows = [
        ProblemDocument(
            file=problem.file,
            line=problem.line,
            path=problem.path,
            severity=problem.severity,
            code=problem.code,
            message=problem.message,
            cure=problem.cure,
            count=problem.count,
        )
        for problem in sorted(problems)
    ]
    return to_json(
        ProblemsDocument(
            format_version=FORMAT_VERSION,
            problems=rows,
            errors=_total(problems, Severity.ERROR),
            warnings=_total(problems, Severity.WARNING),
        )
    )


def _total(problems: Sequence[Problem], severity: Severity) -> int:
    return sum(problem.count for problem in problems if problem.severity is severity)


def problems_schema() -> dict[str, Any]:
    """Return the JSON Schema of the JSON form."""
    return json_schema(ProblemsDocument, "The output of `tunedmodels validate --format json`")
