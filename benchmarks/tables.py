"""A table that is printed row by row while it is measured, as text or as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """A table of named rows; a function per row measures the cells after the name."""

    columns: tuple[str, ...]
    rows: Mapping[str, Callable[[], Sequence[str]]]

    @property
    def markdown_head(self) -> str:
        """The two header lines in Markdown; numbers are right-aligned."""
        return f"{_piped(self.columns)}\n|---|{'---:|' * (len(self.columns) - 1)}"

    def show(self, *, markdown: bool = False) -> None:
        """Measure and print."""
        first = max(map(len, [self.columns[0], *self.rows]))
        widths = [first, *(max(len(column), 7) for column in self.columns[1:])]
        print(self.markdown_head if markdown else _padded(self.columns, widths))
        for name, measure in self.rows.items():
            cells = [name, *measure()]
            print(_piped(cells) if markdown else _padded(cells, widths), flush=True)
        print()


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *rest = cells
    numbers = [f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True)]
    return "  ".join([f"{name:{widths[0]}}", *numbers])
