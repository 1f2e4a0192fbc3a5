"""JSON as one document: an array of objects, or an object of columns (arrays of equal length).

The document is never held whole. Columns stand one behind the other in the file, so each is read by
a cursor of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any

from tunedmodels.datasets.blocks import ROWS, Block
from tunedmodels.datasets.problems import Found
from tunedmodels.datasets.readers.rows import example, kind, missing
from tunedmodels.datasets.source import Source, output_setting

_CHUNK = 64 * 1024
_VALUE_CHARS = 4 * 1024 * 1024  # F9: a whole file has at most as much; keeps memory flat
_BLANK = " \t\r\n"

_Row = tuple[int, str, str]


class _MalformedError(Exception):
    """The document is no JSON from here on."""

    def __init__(self, line: int, words: str, cure: str = "") -> None:
        super().__init__(words)
        self.line = line
        self.cure = cure or "Check it with an editor that knows JSON."


class _Cursor:
    """A place in a JSON document: looks at the next character, takes the next value."""

    def __init__(self, opened: IO[str]) -> None:
        self.line = 1
        self._opened = opened
        self._text = ""
        self._at = 0
        self._decode = json.JSONDecoder().raw_decode

    def peek(self) -> str:
        """Return the next character that is not blank, or nothing at the end."""
        while True:
            at = self._at
            while (character := self._text[at : at + 1]) and character in _BLANK:
                at += 1
            self._move(at)
            if character or not self._fill():
                return character

    def take(self, expected: str) -> str:
        """Go over the next character, which must be one of `expected`."""
        character = self.peek()
        if not character or character not in expected:
            there = repr(character) if character else "the end of the file"
            raise _MalformedError(self.line, f"is no JSON: {there} where {expected!r} belongs")
        self._move(self._at + 1)
        return character

    def value(self) -> Any:  # noqa: ANN401  # whatever JSON holds
        """Return the next value, whole."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if len(self._text) - self._at < _VALUE_CHARS and self._fill():
                    continue
                words = error.msg if isinstance(error, json.JSONDecodeError) else "it is too deep"
                raise _MalformedError(self.line, f"is no JSON: {words}") from error
            if end == len(self._text) and self._fill():
                continue  # a number may go on behind the end of what was read
            self._move(end)
            return value

    def elements(self) -> Iterator[tuple[int, Any]]:
        """Yield (line, value) for each element of the array that begins here."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            self.peek()
            yield self.line, self.value()
            if self.take(",]") == "]":
                return

    def names(self) -> Iterator[str]:
        """Yield each key of the object that begins here; the caller takes the value."""
        self.take("{")
        if self.peek() == "}":
            self.take("}")
            return
        while True:
            if self.peek() != '"':
                raise _MalformedError(self.line, "is no JSON: a key must be a text in quotes")
            key = self.value()
            self.take(":")
            yield key
            if self.take(",}") == "}":
                return

    def skip(self) -> None:
        """Go over the next value; an array may be of any length."""
        if self.peek() == "[":
            for _ in self.elements():
                pass
        else:
            self.value()

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self.peek():
            raise _MalformedError(
                self.line,
                "goes on after the end of the document",
                "If every line is a JSON object, set format: jsonl or name it .jsonl.",
            )

    def _move(self, to: int) -> None:
        self.line += self._text.count("\n", self._at, to)
        self._at = to

    def _fill(self) -> bool:
        # As much again as there is: what turns out to be malformed is tried only a few times.
        more = self._opened.read(max(_CHUNK, len(self._text) - self._at))
        self._text = self._text[self._at :] + more
        self._at = 0
        return bool(more)


def read_document(file: Path, source: Source, found: Found) -> Iterator[Block]:
    """Yield the rows of a JSON document."""
    try:
        with _open(file) as opened:
            cursor = _Cursor(opened)
            rows = _array(cursor, source, found)
            if cursor.peek() == "{":
                rows = _columns(file, cursor, source, found)
            yield from _blocks(rows)
            cursor.end()
    except _MalformedError as error:
        found.error(error.line, "malformed", str(error), error.cure)


def _open(file: Path) -> IO[str]:
    # surrogateescape: a byte that is not UTF-8 costs its own row and not the rest of the file.
    return file.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _blocks(rows: Iterator[_Row]) -> Iterator[Block]:
    """Gather rows; what was read before a malformed place is yielded before the error passes."""
    block = Block([], [], lines := [])
    try:
        for line, text_input, output in rows:
            block.inputs.append(text_input)
            block.outputs.append(output)
            lines.append(line)
            if len(lines) == ROWS:
                yield block
                block = Block([], [], lines := [])
    except _MalformedError:
        yield block
        raise
    yield block


def _array(cursor: _Cursor, source: Source, found: Found) -> Iterator[_Row]:
    for line, value in cursor.elements():
        if pair := example(value, source, line, found):
            yield line, *pair


def _columns(file: Path, cursor: _Cursor, source: Source, found: Found) -> Iterator[_Row]:
    names = []
    for name in cursor.names():
        names.append(name)
        cursor.skip()
    wanted = {"inputField": source.input_field, output_setting(source): source.output_field}
    absent = {setting: field for setting, field in wanted.items() if field not in names}
    for setting, field in absent.items():
        missing(names, field, setting, 0, found)
    if absent:
        return
    with _open(file) as first, _open(file) as second:
        inputs = _column(first, source.input_field)
        outputs = _column(second, source.output_field)
        for text_input, output in zip_longest(inputs, outputs):
            if text_input is None or output is None:
                line = (text_input or output)[0]
                longer, shorter = wanted.values() if output is None else [*wanted.values()][::-1]
                found.error(
                    line,
                    "uneven-columns",
                    f"the column {longer!r} goes on after the end of {shorter!r}",
                    "Columns must be of one length.",
                )
                return
            row = {source.input_field: text_input[1], source.output_field: output[1]}
            if pair := example(row, source, text_input[0], found):
                yield text_input[0], *pair


def _column(opened: IO[str], field: str) -> Iterator[tuple[int, Any]]:
    cursor = _Cursor(opened)
    for name in cursor.names():
        if name == field:
            if cursor.peek() != "[":
                line = cursor.line
                raise _MalformedError(
                    line,
                    f"the field {field!r} is {kind(cursor.value())}, not an array of texts",
                    "Write an array of objects, or columns; one object per line is format: jsonl.",
                )
            yield from cursor.elements()
            return
        cursor.skip()
