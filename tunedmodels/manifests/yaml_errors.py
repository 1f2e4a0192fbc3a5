"""What PyYAML's complaints about syntax mean, in our words and with a cure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import yaml

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


# FOLDED
# From the bytes of a YAML file to its text, or to one clear fault.
MAX_BYTES: Final = 10_000_000  # 25,000 manifests of 15 lines

# Longest first: the mark of UTF-32 begins like that of UTF-16.
_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
# Compiled when it is needed, which is almost never: a set of Unicode ranges takes long.
_UNPRINTABLE: Final = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a file as YAML; line 0 means the whole file."""

    line: int
    code: str
    message: str
    cure: str = ""
    path: tuple[str, ...] = ()


class FaultError(Exception):
    """Carries the one fault after which nothing more of a file can be read."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def decode(raw: bytes) -> str:
    """Return the text of a file, without its byte order mark.

    Raises FaultError when the file is too large or not UTF-8.
    """
    if len(raw) > MAX_BYTES:
        message = f"is larger than {MAX_BYTES // 1_000_000} MB"
        raise FaultError(Fault(0, "too-large", message, "split it into several files"))
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            cure = f"save it as UTF-8, for example: iconv -f {encoding} -t UTF-8 FILE"
            raise FaultError(Fault(1, "wrong-encoding", f"is {encoding}, not UTF-8", cure))
    try:
        return raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        message = f"is not UTF-8: byte 0x{raw[error.start]:02x} at column {column}"
        cure = "save it as UTF-8, for example: iconv -f LATIN1 -t UTF-8 FILE"
        raise FaultError(Fault(line, "wrong-encoding", message, cure)) from None


def unprintable(text: str) -> Fault:
    """Say where the character is that YAML does not allow."""
    found = re.search(_UNPRINTABLE, text)
    if not found:  # a parser that refuses more than the pattern knows
        return Fault(0, "not-text", "holds a character that YAML does not allow")
    line = text.count("\n", 0, found.start()) + 1
    if found[0] == "\0":
        cure = "save it as UTF-8 text"
        return Fault(line, "not-text", "holds a NUL byte, so it is binary or UTF-16", cure)
    message = f"holds the control character U+{ord(found[0]):04X}, which YAML does not allow"
    return Fault(line, "not-text", message, "remove it, or write it as an escape in double quotes")
