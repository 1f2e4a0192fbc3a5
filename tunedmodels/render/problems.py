"""Problems in words: for people, for programs, and as annotations in a pull request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from tunedmodels.errors import Problem, Severity

Style = Callable[[str, str], str]  # (text, role) -> text; roles: error, warning, advice, dim, bold

SHOWN = 5  # of one kind in one file; the rest is counted


def plain(text: str, _role: str) -> str:
    """Leave the text as it is: no terminal, NO_COLOR or CI."""
    return text


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
        for (severity, code), count in shown.items():
            if count > SHOWN:
                lines.append(f"{severity}: {problem.file}: {count - SHOWN} more like it ({code})")
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


def visible(text: str) -> str:
    """Make control characters visible, so that nothing from a file steers the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


# GitHub's own escapes, from actions/toolkit (packages/core/src/command.ts).
def _data(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
