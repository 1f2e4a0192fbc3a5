"""A few of the training examples that a replacement adds and removes.

Their text is data of somebody: it is cut, and nothing in it can steer the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tunedmodels.render.words import columns, cut, padded

SHOWN = 3  # of each kind; the rest is counted


class Shown(Protocol):
    """One training example."""

    @property
    def text_input(self) -> str:
        """What the model is asked."""

    @property
    def output(self) -> str:
        """What it should answer."""


class Compared(Protocol):
    """The examples that only the new, and only the old dataset has."""

    @property
    def added(self) -> Sequence[Shown]:
        """Those that only the new one has."""

    @property
    def removed(self) -> Sequence[Shown]:
        """Those that only the old one had."""


def snippets(compared: Compared, *, indent: int) -> Iterator[str]:
    """Yield the first examples of each kind on a line each, and how many more there are."""
    table = [
        (sign, f'"{cut(example.text_input, 50)}"', f'"{cut(example.output, 24)}"')
        for sign, examples in (("+", compared.added), ("-", compared.removed))
        for example in examples[:SHOWN]
    ]
    width = max((columns(text) for _, text, _ in table), default=0)
    for sign, examples in (("+", compared.added), ("-", compared.removed)):
        for shown, text, output in table:
            if shown == sign:
                yield f"{'':{indent}}{sign} {padded(text, width)}  -> {output}"
        if examples[SHOWN:]:
            yield f"{'':{indent}}{sign} {len(examples) - SHOWN} more"
