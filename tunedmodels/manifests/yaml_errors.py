"""Problems of a file as YAML: its encoding, its characters and its syntax.

Syntax errors of PyYAML get our wording, and a cure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import yaml

from tunedmodels.text import printable

MAX_BYTES: Final = 10_000_000  # 25,000 manifests of 15 lines

# Longest first: the byte order mark of UTF-32 begins like that of UTF-16.
_BYTE_ORDER_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
# Compiled only after an error: a set of Unicode ranges takes long to compile.
_NOT_ALLOWED: Final = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_LINE_BREAKS: Final = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # as the parsers count lines

# A part of the parser's message -> our message, and the cure. The C parser and the pure Python
# parser word some errors differently; the first match wins.
_SYNTAX_MESSAGES: Final = (
    (
        "mapping values are not allowed",
        "has a ':' in a position where none is allowed",
        "give the keys of a mapping one indentation and a space after ':'; quote text with ': '",
    ),
    (
        "could not find expected ':'",
        "is a line without ': ' between keys",
        "write KEY: VALUE, or indent the line as part of the text above",
    ),
    (
        "sequence entries are not allowed",
        "has a '- ' in a position where no list item is allowed",
        "start the list on the next line, or put the text in quotes",
    ),
    (
        "found unexpected end of stream",
        "starts a quoted text that never ends",
        "close the quotes",
    ),
    (
        "unknown escape character",
        "has an unknown escape sequence in double quotes",
        "write \\\\ for a backslash, or use single quotes",
    ),
    (
        "cannot start any token",
        "starts a value with a character that YAML reserves",
        "put the value in quotes",
    ),
    (
        "alphabetic or numeric character",
        "starts a value with * or &, which YAML reserves",
        "put the value in quotes",
    ),
    (
        "undefined tag handle",
        "has an unknown tag",
        "put text that begins with ! in quotes",
    ),
    (
        "<document start>",
        "continues after the end of the document",
        "separate documents with ---, and put text that begins with { or [ in quotes",
    ),
)
_INDENTATION: Final = ("while parsing a block mapping", "while parsing a block collection")
_BRACKETS: Final = ("while parsing a flow mapping", "while parsing a flow sequence")


@dataclass(frozen=True, slots=True)
class YamlProblem:
    """A problem of a file as YAML."""

    line: int
    """From 1; 0 means the whole file."""
    code: str
    message: str
    cure: str = ""
    path: tuple[str, ...] = ()


class YamlProblemError(Exception):
    """A problem after which the rest of the file cannot be read."""

    def __init__(self, problem: YamlProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def decode(raw: bytes) -> str:
    """Return the text of a file, without its byte order mark.

    Raises YamlProblemError when the file is too large or not UTF-8.
    """
    if len(raw) > MAX_BYTES:
        message = f"is larger than {MAX_BYTES // 1_000_000} MB"
        raise YamlProblemError(YamlProblem(0, "too-large", message, "split it into several files"))
    for mark, encoding in _BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            message = f"is {encoding}, not UTF-8"
            cure = f"save it as UTF-8, for example: iconv -f {encoding} -t UTF-8 FILE"
            raise YamlProblemError(YamlProblem(1, "wrong-encoding", message, cure))
    try:
        return raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        message = f"is not UTF-8: byte 0x{raw[error.start]:02x} at column {column}"
        cure = "save it as UTF-8, for example: iconv -f LATIN1 -t UTF-8 FILE"
        raise YamlProblemError(YamlProblem(line, "wrong-encoding", message, cure)) from None


def character_problem(text: str) -> YamlProblem:
    """Return the problem for the first character that YAML does not allow."""
    match = re.search(_NOT_ALLOWED, text)
    if not match:  # the parser rejects more characters than the pattern
        return YamlProblem(0, "not-text", "contains a character that YAML does not allow")
    line = text.count("\n", 0, match.start()) + 1
    if match[0] == "\0":
        message = "contains a NUL byte, so it is binary or UTF-16"
        return YamlProblem(line, "not-text", message, "save it as UTF-8 text")
    message = f"contains the control character U+{ord(match[0]):04X}, which YAML does not allow"
    cure = "remove it, or write it as an escape in double quotes"
    return YamlProblem(line, "not-text", message, cure)


def syntax_problem(error: yaml.MarkedYAMLError, text: str) -> YamlProblem:
    """Return the problem for a syntax error.

    Its line is where the parser noticed the error, or where an unclosed text or bracket starts.
    """
    problem = str(error.problem or "is not valid YAML")
    lines = _LINE_BREAKS.split(text.rstrip())
    # The parser notices a missing end in the empty line after the text, which cannot be fixed.
    last = len(lines) - 1
    mark = error.problem_mark or error.context_mark
    number = min(mark.line, last) if mark else 0
    line = lines[number]
    if "\t" in line[: len(line) - len(line.lstrip())] or "a tab character" in problem:
        message = "YAML does not allow tabs for indentation"
        return YamlProblem(number + 1, "tab", message, "indent with spaces")
    context = str(error.context or "")
    if context == "while parsing a flow node":
        message = "has an empty item in brackets, or a bracket that is not closed"
        return _syntax(number, message, "close it with ] or }")
    if context in _BRACKETS and error.context_mark:
        message = "opens a bracket that is not closed, or a comma inside is missing"
        return _syntax(error.context_mark.line, message, "close it with ] or }")
    if "end of stream" in problem and error.context_mark:
        number = error.context_mark.line
    for part, message, cure in _SYNTAX_MESSAGES:
        if part in problem:
            return _syntax(number, message, cure)
    if context in _INDENTATION:
        message = "does not fit the lines above"
        return _syntax(number, message, "check its indentation, and quotes that end too early")
    details = f"{context}: {problem}" if context else problem
    return _syntax(number, f"is not valid YAML ({printable(details)})")


def _syntax(number: int, message: str, cure: str = "") -> YamlProblem:
    return YamlProblem(number + 1, "yaml-syntax", message, cure)
