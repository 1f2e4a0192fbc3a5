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


class ProblemsDocument(Document):
    """All problems, sorted by file and line."""

    format_version: FormatVersion
    problems: list[ProblemDocument]


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
        )
        for problem in sorted(problems)
    ]
    return to_json(ProblemsDocument(format_version=FORMAT_VERSION, problems=rows))


def problems_schema() -> dict[str, Any]:
    """Return the JSON Schema of the JSON form."""
    return json_schema(ProblemsDocument, "The output of `tunedmodels validate --format json`")
