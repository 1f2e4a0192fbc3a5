"""Blocks of rows, as every reader yields them, and the positions of all rows of a dataset."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tunedmodels.datasets.examples import (
    Conversation,
    Example,
    canonical_form,
    canonical_pairs,
)
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.source import ExampleSource

ROWS_PER_BLOCK = 512  # where a reader counts rows and not bytes

_SURROGATE = re.compile("[\ud800-\udfff]")
# The code points by which Python's surrogateescape represents a byte that is not UTF-8.
_ESCAPED_BYTES = range(0xDC80, 0xDD00)
_MAX_UNSIGNED = 2**32


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """The part of a row that a pair does not express."""

    row: str  #: the row of Vertex AI as JSON
    is_pair: bool
    reason: str = ""  #: why it is more than a pair of texts


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of a file as columns, since most checks are one C call per column."""

    inputs: list[str]
    outputs: list[str]
    lines: Sequence[int]  #: the position of each row (`datasets.problems`); in one file, its line
    conversations: list[ConversationRow | None] | None = None  #: None: every row is a pair
    groups: list[str] | None = None  #: the value of the field that keeps rows together

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[str, str, int]]) -> Block:
        """Return a block of rows (input, output, line)."""
        block = cls([], [], lines := [])
        for text_input, output, line in rows:
            block.inputs.append(text_input)
            block.outputs.append(output)
            lines.append(line)
        return block

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Return the rows as pairs (input, output)."""
        return zip(self.inputs, self.outputs, strict=True)

    def examples(self) -> Iterator[Example]:
        """Return the rows as examples."""
        if self.conversations is None:
            return (Example(*pair) for pair in self.pairs())
        return (
            Conversation(*pair, each.row, each.is_pair) if each else Example(*pair)
            for pair, each in zip(self.pairs(), self.conversations, strict=True)
        )

    def canonical_form(self) -> bytes:
        """Return the canonical form of the rows."""
        if self.conversations is None:
            return canonical_pairs(self.pairs())
        return canonical_form(self.examples())

    def shift(self, offset: int) -> Block:
        """Return the rows with `offset` added to their positions."""
        if not offset:
            return self
        lines: Sequence[int]
        if isinstance(self.lines, range):
            lines = range(self.lines.start + offset, self.lines.stop + offset)
        else:
            lines = [line + offset for line in self.lines]
        return Block(self.inputs, self.outputs, lines, self.conversations, self.groups)

    def select(self, numbers: Sequence[int]) -> Block:
        """Return some of the rows, by their numbers in this block."""
        if len(numbers) == len(self.inputs):
            return self
        return Block(
            [self.inputs[number] for number in numbers],
            [self.outputs[number] for number in numbers],
            [self.lines[number] for number in numbers],
            self.conversations and [self.conversations[number] for number in numbers],
            self.groups and [self.groups[number] for number in numbers],
        )


def normalize(block: Block, source: ExampleSource, problems: ProblemCollector) -> Block:
    r"""Return the rows with every line end as `\n`, without the rows that have no text at all.

    Rows that are not UTF-8 are reported and omitted.
    """
    inputs = list(map(_normalize_line_ends, block.inputs))
    outputs = list(map(_normalize_line_ends, block.outputs))
    kept = [
        number
        for number, line in enumerate(block.lines)
        if not (_is_blank(inputs[number]) and _is_blank(outputs[number]))
        and _is_unicode(inputs[number], line, source.input_field, problems)
        and _is_unicode(outputs[number], line, source.output_field, problems)
    ]
    normal = Block(inputs, outputs, block.lines, block.conversations, block.groups)
    return normal.select(kept)


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def _normalize_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _is_unicode(text: str, line: int, field: str, problems: ProblemCollector) -> bool:
    surrogate = None if text.isascii() else _SURROGATE.search(text)
    if not surrogate:
        return True
    code = ord(surrogate[0])
    name = f"byte 0x{code - 0xDC00:02x}" if code in _ESCAPED_BYTES else f"\\u{code:04x}"
    problems.error(
        line,
        "not-utf8",
        f"{name} at character {surrogate.start() + 1:,} is not UTF-8",
        "Save the file as UTF-8, or set encoding to its encoding, such as windows-1252.",
        path=field,
    )
    return False


class LineIndex:
    """The position of each example, in little memory: a range for each run of consecutive lines."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._spans: list[Sequence[int]] = []
        self._count = 0

    def add(self, lines: Sequence[int]) -> None:
        """Append the positions of the next examples."""
        if not lines:
            return
        last = self._spans[-1] if self._spans else None
        if isinstance(lines, range) and isinstance(last, range) and lines.start == last.stop:
            self._spans[-1] = range(last.start, lines.stop)
        else:
            self._starts.append(self._count)
            code = "I" if lines[-1] < _MAX_UNSIGNED else "Q"
            self._spans.append(lines if isinstance(lines, range) else array(code, lines))
        self._count += len(lines)

    def __getitem__(self, example: int) -> int:
        """Return the position of an example, counted from 0."""
        span = bisect_right(self._starts, example) - 1
        return self._spans[span][example - self._starts[span]]
