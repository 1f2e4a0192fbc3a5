"""A few of the training examples that a replacement adds, removes and changes.

The text of examples is data: it is cut, and nothing in it can steer a terminal. `:17` is line 17 of
the file; `#17` is the 17th example of a dataset that has no file here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tunedmodels.datasets.diff import Comparison, ExamplePair, NumberedExample
from tunedmodels.render.layout import columns, cut, pad
from tunedmodels.render.options import NONE


class Snippet(NamedTuple):
    """One line about an example."""

    #: `+` added, `-` removed, `~` changed; a changed example is followed by its old text with ` `.
    sign: str
    #: The line or the number of the example.
    location: str = ""
    text_input: str = ""
    output: str = ""
    #: The number of examples of this kind that are not shown; the other fields are empty then.
    more: int = 0


def snippets(
    comparison: Comparison, max_examples: int, *, width: int, output_width: int
) -> Iterator[Snippet]:
    """Yield up to `max_examples` of each kind, changed ones first, and the number of the others.

    `width` and `output_width` are the most columns of an input and of an output.
    """

    def snippet(sign: str, row: NumberedExample) -> Snippet:
        location = f":{row.line}" if row.line else f"#{row.number}"
        return Snippet(
            sign,
            f"was {location}" if sign == " " else location,
            cut(row.example.text_input, width),
            cut(row.example.output, output_width),
        )

    if max_examples == NONE:
        return
    for pair in (*comparison.relabeled[:max_examples], *comparison.edited[:max_examples]):
        yield snippet("~", pair.after)
        yield snippet(" ", pair.before)
    changed = (comparison.relabeled, comparison.edited)
    if more := sum(_count_others(pairs, max_examples) for pairs in changed):
        yield Snippet("~", more=more)
    for sign, rows in (("+", comparison.added), ("-", comparison.removed)):
        yield from (snippet(sign, row) for row in rows[:max_examples])
        if more := _count_others(rows, max_examples):
            yield Snippet(sign, more=more)


def snippet_lines(
    comparison: Comparison,
    max_examples: int,
    *,
    width: int = 44,
    output_width: int = 20,
    hint: str = "",
) -> Iterator[str]:
    """Yield the snippets as aligned lines, each with its sign first.

    `hint` says how to show all examples; it is appended to the last line that counts some.
    """
    rows = list(snippets(comparison, max_examples, width=width, output_width=output_width))
    location_width = max((columns(row.location) for row in rows), default=0)
    input_width = max((columns(row.text_input) + 2 for row in rows if not row.more), default=0)
    last_count = max((n for n, row in enumerate(rows) if row.more), default=-1)
    for number, row in enumerate(rows):
        if row.more:
            yield f"{row.sign} {row.more} more{hint if number == last_count else ''}"
            continue
        text_input = pad(f'"{row.text_input}"', input_width)
        yield f'{row.sign} {pad(row.location, location_width)}  {text_input}  -> "{row.output}"'


def _count_others(
    rows: tuple[NumberedExample, ...] | tuple[ExamplePair, ...], max_examples: int
) -> int:
    return max(0, len(rows) - max_examples)
