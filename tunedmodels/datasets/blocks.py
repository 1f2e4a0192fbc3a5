"""A block of rows, as every reader yields them, and the order in what looks like chaos: lines."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tunedmodels.datasets.problems import Found
from tunedmodels.datasets.source import Source

ROWS = 512  # rows per block where a reader counts rows and not bytes

_SURROGATE = re.compile("[\ud800-\udfff]")
# How Python's surrogateescape shows a byte that is not UTF-8.
_ESCAPED_BYTES = range(0xDC80, 0xDD00)


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a file, in order: columns, since most checks are one C call per column.

    `lines` holds the line on which each row begins, from 1.
    """

    inputs: list[str]
    outputs: list[str]
    lines: Sequence[int]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, int]]) -> Block:
        """Make a block of (input, output, line)."""
        block = cls([], [], lines := [])
        for text_input, output, line in rows:
            block.inputs.append(text_input)
            block.outputs.append(output)
            lines.append(line)
        return block

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Go through the rows as (input, output)."""
        return zip(self.inputs, self.outputs, strict=True)


def tidy(block: Block, source: Source, found: Found) -> Block:
    r"""Return the rows with every line end as `\n`, without those that are not UTF-8 (reported)."""
    rows = [
        (_one_line_end(text_input), _one_line_end(output), line)
        for text_input, output, line in zip(block.inputs, block.outputs, block.lines, strict=True)
        if _is_unicode(text_input, line, source.input_field, found)
        and _is_unicode(output, line, source.output_field, found)
    ]
    return Block.of(rows)


def _one_line_end(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _is_unicode(text: str, line: int, field: str, found: Found) -> bool:
    broken = None if text.isascii() else _SURROGATE.search(text)
    if not broken:
        return True
    code = ord(broken[0])
    what = f"byte 0x{code - 0xDC00:02x}" if code in _ESCAPED_BYTES else f"\\u{code:04x}"
    found.error(
        line,
        "not-utf8",
        f"{what} at character {broken.start() + 1:,} is not UTF-8",
        "Save the file as UTF-8.",
        path=field,
    )
    return False


class Lines:
    """Which line the n-th example stands on, in a few bytes: mostly one range for a whole file."""

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
