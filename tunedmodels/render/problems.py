"""Problems in words: for people, for programs, and as annotations in a pull request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from tunedmodels.errors import Problem, Severity
from tunedmodels.render.layout import Style, plain
from tunedmodels.render.markup import BUDGET, alert, code, cure, heading, marker, prose
from tunedmodels.text import visible

SHOWN = 5  # of one kind in one file; the rest is counted


def problems_text(problems: Sequence[Problem], style: Style = plain) -> str:
    """Say every problem on a line of its own, `file:line: path: what`, with its cure below.

    Of one kind in one file the first five are written out and the others counted; a cure is said
    once for all of its kind.
    """
    lines: list[str] = []
    for _, in_file in groupby(sorted(problems), key=lambda problem: problem.file):
        shown: Counter[tuple[str, str]] = Counter()
        cures: set[tuple[str, str]] = set()
        for problem in in_file:
            kind = problem.severity.value, problem.code
            shown[kind] += 1
            if shown[kind] > SHOWN:
                continue
            lines.append(_line(problem, style))
            if problem.cure and (problem.code, problem.cure) not in cures:
                cures.add((problem.code, problem.cure))
                lines += [style(f"    {part}", "dim") for part in problem.cure.splitlines()]
        for (severity, kind_code), count in shown.items():
            if count > SHOWN:
                lines.append(
                    f"{severity}: {problem.file}: {count - SHOWN} more like it ({kind_code})"
                )
    return "".join(f"{line}\n" for line in lines)


def counted(problems: Iterable[Problem]) -> str:
    """Return `2 errors, 1 warning and 3 pieces of advice`, or `no problems`."""
    counts = Counter(problem.severity for problem in problems)
    words = {
        Severity.ERROR: ("error", "errors"),
        Severity.WARNING: ("warning", "warnings"),
        Severity.ADVICE: ("piece of advice", "pieces of advice"),
    }
    parts = [f"{n} {words[kind][n != 1]}" for kind in Severity if (n := counts[kind])]
    if not parts:
        return "no problems"
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[:-1] else parts)


def problems_document(problems: Sequence[Problem]) -> str:
    """Return the JSON document `{formatVersion, problems: [...]}` with every problem."""
    rows = [
        {
            "file": problem.file,
            "line": problem.line,
            "path": problem.path,
            "severity": problem.severity.value,
            "code": problem.code,
            "message": problem.message,
            "cure": problem.cure,
        }
        for problem in sorted(problems)
    ]
    return json.dumps({"formatVersion": 1, "problems": rows}, indent=2, ensure_ascii=False) + "\n"


def problems_github(problems: Sequence[Problem]) -> str:
    """Return workflow commands that GitHub shows beside the lines of a pull request."""
    kinds = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.ADVICE: "notice"}
    lines: list[str] = []
    for problem in sorted(problems):
        place = [f"file={_property(problem.file)}"]
        if problem.line:
            place.append(f"line={problem.line}")
        place.append(f"title={_property(problem.code)}")
        words = f"{problem.path}: {problem.message}" if problem.path else problem.message
        words = f"{words}\n{problem.cure}" if problem.cure else words
        lines.append(f"::{kinds[problem.severity]} {','.join(place)}::{_data(words)}\n")
    return "".join(lines)


PROBLEMS_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "The problems that `tunedmodels validate --format json` prints",
    "type": "object",
    "additionalProperties": False,
    "required": ["formatVersion", "problems"],
    "properties": {
        "formatVersion": {"const": 1},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["file", "line", "path", "severity", "code", "message", "cure"],
                "properties": {
                    "file": {"type": "string"},
                    "line": {"type": "integer", "minimum": 0, "description": "0: the whole file"},
                    "path": {"type": "string", "description": "dotted field, or empty"},
                    "severity": {"enum": [kind.value for kind in Severity]},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "cure": {"type": "string"},
                },
            },
        },
    },
}


def _line(problem: Problem, style: Style) -> str:
    words = f"{problem.place}: {visible(problem.message)}"
    if problem.severity is Severity.ERROR:
        return style(words, "error")
    return f"{style(problem.severity.value, problem.severity.value)}: {words}"


# GitHub's own escapes, from actions/toolkit (packages/core/src/command.ts).
def _data(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# FOLDED
# What is wrong with the manifests and datasets, in the place where their plan would be shown.
#
# It is one comment that is edited, so it begins with the marker by which it is found.
_MOST = 200  # problems; fewer where they are long

_BOXES = (
    (Severity.ERROR, "CAUTION"),
    (Severity.WARNING, "WARNING"),
    (Severity.ADVICE, "NOTE"),
)


def problems_markdown(
    problems: Iterable[Problem],
    *,
    environment: str = "",
    head: str = "",
    project: str = "",
    budget: int = BUDGET,
) -> str:
    """Return what is wrong with the manifests and datasets, of at most `budget` bytes.

    The heading counts all of them; of each severity the first are written out, each with its place
    and cure, as many as fit.
    """
    found = sorted(problems)
    most = _MOST
    while True:
        lines = [
            marker(environment=environment, head=head, level="errors", project=project),
            heading(environment, counted(found)),
            *_boxes(found, most),
        ]
        text = "\n".join(lines) + "\n"
        if len(text.encode()) <= budget or most <= 1:
            return text
        most //= 2


def _boxes(problems: Sequence[Problem], most: int) -> Iterator[str]:
    for severity, kind in _BOXES:
        of_kind = [problem for problem in problems if problem.severity is severity]
        lines: list[str] = []
        for problem in of_kind[:most]:
            lines.append(f"- {code(problem.place, 100)}: {prose(problem.message)}")
            lines += [f"  {cure(line)}" for line in problem.cure.splitlines()]
        if of_kind[most:]:
            lines.append(f"- and {len(of_kind) - most} more: `tunedmodels validate`")
        if lines:
            yield from alert(kind, lines)  # type: ignore[arg-type]  # the table above holds its words
