"""A few of the training examples that a replacement adds, removes and changes.

Their text is data of somebody: it is cut, and nothing in it can steer the terminal. `:17` is a line
of the file; `#17` is the 17th example, where no file is at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tunedmodels.datasets.diff import Comparison, Numbered, Pair
from tunedmodels.render.layout import columns, cut, padded

FEW = 3  # of each kind; the rest is counted
ALL = 2**31
NONE = 0


class Snippet(NamedTuple):
    """An example as a line.

    The sign is `+`, `-`, or `~` for what changed; its former self follows with a blank one. A line
    without a place counts those that are not shown.
    """

    sign: str
    place: str = ""
    text_input: str = ""
    output: str = ""
    more: int = 0


def snippets(
    compared: Comparison, *, most: int = FEW, width: int = 60, output_width: int = 60
) -> Iterator[Snippet]:
    """Yield up to `most` examples of each kind, what changed first, and how many more there are."""

    def shown(sign: str, row: Numbered) -> Snippet:
        return Snippet(
            sign,
            f":{row.line}" if row.line else f"#{row.number}",
            cut(row.example.text_input, width),
            cut(row.example.output, output_width),
        )

    if most == NONE:
        return
    for pair in (*compared.reworded[:most], *compared.edited[:most]):
        yield shown("~", pair.after)
        yield shown(" ", pair.before)
    if more := _beyond(compared.reworded, most) + _beyond(compared.edited, most):
        yield Snippet("~", more=more)
    for sign, rows in (("+", compared.added), ("-", compared.removed)):
        yield from (shown(sign, row) for row in rows[:most])
        if more := _beyond(rows, most):
            yield Snippet(sign, more=more)


def snippet_lines(
    compared: Comparison, *, most: int = FEW, width: int = 44, output_width: int = 20
) -> Iterator[str]:
    """Yield the snippets as aligned lines, each beginning with its sign."""
    table = list(snippets(compared, most=most, width=width, output_width=output_width))
    places = max((columns(_place(row)) for row in table), default=0)
    inputs = max((columns(row.text_input) + 2 for row in table if not row.more), default=0)
    for row in table:
        if row.more:
            yield f"{row.sign} {row.more} more"
            continue
        start = f"{row.sign} {padded(_place(row), places)}  "
        yield f"{start}{padded(_quoted(row.text_input), inputs)}  -> {_quoted(row.output)}"


def _place(row: Snippet) -> str:
    return f"was {row.place}" if row.sign == " " else row.place


def _quoted(text: str) -> str:
    return f'"{text}"'


def _beyond(rows: tuple[Numbered, ...] | tuple[Pair, ...], most: int) -> int:
    return max(0, len(rows) - most)
