"""What PyYAML's complaints about syntax mean, in our words and with a cure."""

from __future__ import annotations

import re
from typing import Final

import yaml

from tunedmodels.manifests.decode import Fault
from tunedmodels.manifests.yaml_scalars import visible

_BREAKS: Final = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # what the parsers count as lines

# A part of the parser's words -> ours, and the cure. The C parser and the pure one word some of it
# differently; the first part that is found counts.
_SAID: Final = (
    (
        "mapping values are not allowed",
        "has a ':' where none can be",
        "give the keys of a mapping one indentation and a space after ':'; quote text with ': '",
    ),
    (
        "could not find expected ':'",
        "is a line without ': ' between keys",
        "write KEY: VALUE, or indent the line as part of the text above",
    ),
    (
        "sequence entries are not allowed",
        "has a '- ' where no list item can be",
        "begin the list in the next line, or put the text in quotes",
    ),
    (
        "found unexpected end of stream",
        "begins a quoted text that never ends",
        "close the quotes",
    ),
    (
        "unknown escape character",
        "has a backslash in double quotes that means nothing",
        "write \\\\ for a backslash, or use single quotes",
    ),
    (
        "cannot start any token",
        "begins a value with a character that YAML keeps for itself",
        "put the value in quotes",
    ),
    (
        "alphabetic or numeric character",
        "begins a value with * or &, which YAML keeps for itself",
        "put the value in quotes",
    ),
    (
        "undefined tag handle",
        "has a tag that means nothing here",
        "put text that begins with ! in quotes",
    ),
    (
        "<document start>",
        "goes on after the end of the document",
        "separate documents with ---, and put text that begins with { or [ in quotes",
    ),
)
_INDENTATION: Final = ("while parsing a block mapping", "while parsing a block collection")
_BRACKETS: Final = ("while parsing a flow mapping", "while parsing a flow sequence")


def syntax_fault(error: yaml.MarkedYAMLError, text: str) -> Fault:
    """Say what is wrong, at the line where the parser noticed it or where the text began."""
    problem = str(error.problem or "is no YAML")
    lines = _BREAKS.split(text.rstrip())
    # What lacks at the end is noticed in the empty line after it, where nothing can be mended.
    last = len(lines) - 1
    mark = error.problem_mark or error.context_mark
    number = min(mark.line, last) if mark else 0
    written = lines[number]
    if "\t" in written[: len(written) - len(written.lstrip())] or "a tab character" in problem:
        message = "YAML does not allow tabs for indentation"
        return Fault(number + 1, "tab", message, "indent with spaces")
    context = str(error.context or "")
    if context == "while parsing a flow node":
        message = "has an empty place in brackets, or a bracket that is not closed"
        return Fault(number + 1, "yaml-syntax", message, "close it with ] or }")
    if context in _BRACKETS and error.context_mark:
        message = "opens a bracket that is not closed, or lacks a comma inside"
        return Fault(error.context_mark.line + 1, "yaml-syntax", message, "close it with ] or }")
    if "end of stream" in problem and error.context_mark:
        number = error.context_mark.line
    for part, message, cure in _SAID:
        if part in problem:
            return Fault(number + 1, "yaml-syntax", message, cure)
    if context in _INDENTATION:
        message = "does not fit the lines above"
        cure = "check its indentation, and quotes that end too early"
        return Fault(number + 1, "yaml-syntax", message, cure)
    words = f"{context}: {problem}" if context else problem
    return Fault(number + 1, "yaml-syntax", f"is no YAML ({visible(words)})")
