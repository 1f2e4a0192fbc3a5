"""Render the problems of manifests and datasets: as text, annotations or a comment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, Literal

from tunedmodels.errors import Problem, Severity
from tunedmodels.render.layout import Style, no_style
from tunedmodels.render.markup import (
    MAX_COMMENT_BYTES,
    alert,
    code,
    format_cure,
    heading,
    prose,
)
from tunedmodels.text import join, plural, printable

_MAX_ALIKE: Final = 5  # problems of one kind in one file that are written out as text
_MAX_IN_COMMENT: Final = 200  # problems of one severity; fewer if they are long

_BOXES: Final[dict[Severity, Literal["CAUTION", "WARNING", "NOTE"]]] = {
    Severity.ERROR: "CAUTION",
    Severity.WARNING: "WARNING",
    Severity.ADVICE: "NOTE",
}


def problems_text(problems: Sequence[Problem], style: Style = no_style) -> str:
    """Return a line per problem, `file:line: path: message`, with its cure below.

    The first five problems of a kind in a file are written out and the others counted. A cure is
    written once per kind and file.
    """
    lines: list[str] = []
    for _, in_file in groupby(sorted(problems), key=lambda problem: problem.file):
        counts: Counter[tuple[str, str]] = Counter()
        cures: set[tuple[str, str]] = set()
        for problem in in_file:
            kind = problem.severity.value, problem.code
            counts[kind] += problem.count
            if counts[kind] > _MAX_ALIKE:
                continue
            lines.append(_line(problem, style))
            if problem.cure and (problem.code, problem.cure) not in cures:
                cures.add((problem.code, problem.cure))
                lines += [style(f"    {part}", "dim") for part in problem.cure.splitlines()]
        for (severity, kind_code), count in counts.items():
            if count > _MAX_ALIKE:
                lines.append(
                    f"{severity}: {problem.file}: {count - _MAX_ALIKE:,} more like it ({kind_code})"
                )
    return "".join(f"{line}\n" for line in lines)


def problems_github(problems: Sequence[Problem]) -> str:
    """Return workflow commands; GitHub shows them next to the lines of a pull request."""
    kinds = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.ADVICE: "notice"}
    lines: list[str] = []
    for problem in sorted(problems):
        properties = [f"file={_escape_property(problem.file)}"]
        if problem.line:
            properties.append(f"line={problem.line}")
        properties.append(f"title={_escape_property(problem.code)}")
        message = f"{problem.path}: {problem.message}" if problem.path else problem.message
        message = f"{message}\n{problem.cure}" if problem.cure else message
        kind = kinds[problem.severity]
        lines.append(f"::{kind} {','.join(properties)}::{_escape_message(message)}\n")
    return "".join(lines)


def problems_markdown(
    problems: Iterable[Problem],
    *,
    environment: str = "",
    head: str = "",
    project: str = "",
    folder: str = "",
    max_bytes: int = MAX_COMMENT_BYTES,
) -> str:
    """Return the problems as a comment of at most `max_bytes` bytes, in the place of a plan.

    The comment is edited in place, so it begins with the marker that identifies it. The heading
    counts all problems; of each severity, as many are written out as fit.
    """
    from tunedmodels.forges.plan_comment import Marker  # noqa: PLC0415  # start-up: only a comment

    in_order = sorted(problems)
    most = _MAX_IN_COMMENT
    while True:
        lines = [
            Marker(environment, head=head, level="errors", project=project, folder=folder).format(),
            heading(environment, count_phrase(in_order), project, folder),
            *_boxes(in_order, most),
        ]
        text = "\n".join(lines) + "\n"
        if len(text.encode()) <= max_bytes or most <= 1:
            return text
        most //= 2


def count_phrase(problems: Iterable[Problem]) -> str:
    """Return `2 errors, 1 warning and 3 pieces of advice`, or `no problems`."""
    counts: Counter[Severity] = Counter()
    for problem in problems:
        counts[problem.severity] += problem.count
    nouns = {
        Severity.ERROR: ("error", "errors"),
        Severity.WARNING: ("warning", "warnings"),
        Severity.ADVICE: ("piece of advice", "pieces of advice"),
    }
    parts = [f"{n:,} {plural(n, *nouns[kind])}" for kind in Severity if (n := counts[kind])]
    return join(parts) or "no problems"


def _line(problem: Problem, style: Style) -> str:
    line = f"{problem.location}: {printable(problem.message, keep_newlines=True)}"
    if problem.severity is Severity.ERROR:
        return style(line, "error")
    return f"{style(problem.severity.value, problem.severity.value)}: {line}"


# GitHub's own escapes, from actions/toolkit (packages/core/src/command.ts).
def _escape_message(text: str) -> str:
    return printable(text, keep_newlines=True).replace("%", "%25").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_message(text).replace(":", "%3A").replace(",", "%2C")


def _boxes(problems: Sequence[Problem], most: int) -> Iterator[str]:
    for severity, box in _BOXES.items():
        of_severity = [problem for problem in problems if problem.severity is severity]
        lines: list[str] = []
        for problem in of_severity[:most]:
            lines.append(f"- {code(problem.location, 100)}: {prose(problem.message)}")
            lines += [f"  {format_cure(line)}" for line in problem.cure.splitlines()]
        if more := sum(problem.count for problem in of_severity[most:]):
            lines.append(f"- and {more:,} more: `tunedmodels validate`")
        if lines:
            yield from alert(box, lines)
