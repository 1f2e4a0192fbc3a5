"""Blocks of rows, as every reader yields them, and the line numbers of all rows of a file."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.source import ExampleSource

ROWS_PER_BLOCK = 512  # where a reader counts rows and not bytes

_SURROGATE = re.compile("[\ud800-\udfff]")
# The code points by which Python's surrogateescape represents a byte that is not UTF-8.
_ESCAPED_BYTES = range(0xDC80, 0xDD00)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of a file as columns, since most checks are one C call per column."""

    inputs: list[str]
    outputs: list[str]
    lines: Sequence[int]  #: the line on which each row begins, from 1

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


def normalize(block: Block, source: ExampleSource, problems: ProblemCollector) -> Block:
    r"""Return the rows with every line end as `\n`.

    Rows that are not UTF-8 are reported and omitted.
    """
    rows = [
        (_normalize_line_ends(text_input), _normalize_line_ends(output), line)
        for text_input, output, line in zip(block.inputs, block.outputs, block.lines, strict=True)
        if _is_unicode(text_input, line, source.input_field, problems)
        and _is_unicode(output, line, source.output_field, problems)
    ]
    return Block.from_rows(rows)


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
        "Save the file as UTF-8.",
        path=field,
    )
    return False


class LineIndex:
    """The line of each example, in little memory: a range for each run of consecutive lines."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._spans: list[Sequence[int]] = []
        self._count = 0

    def add(self, lines: Sequence[int]) -> None:
        """Append the lines of the next examples."""
        if not lines:
            return
        last = self._spans[-1] if self._spans else None
        if isinstance(lines, range) and isinstance(last, range) and lines.start == last.stop:
            self._spans[-1] = range(last.start, lines.stop)
        else:
            self._starts.append(self._count)
            self._spans.append(lines if isinstance(lines, range) else array("I", lines))
        self._count += len(lines)

    def __getitem__(self, example: int) -> int:
        """Return the line of an example, counted from 0."""
        span = bisect_right(self._starts, example) - 1
        return self._spans[span][example - self._starts[span]]
