"""A few of the training examples that a replacement adds and removes.

Their text is data of somebody: it is cut, and nothing in it can steer the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator

from tunedmodels.datasets.compare import Comparison
from tunedmodels.render.words import columns, cut, padded

SHOWN = 3  # of each kind; the rest is counted


def snippets(compared: Comparison, *, indent: int) -> Iterator[str]:
    """Yield the first examples of each kind on a line each, and how many more there are."""
    kinds = (("+", compared.added), ("-", compared.removed))
    table = [
        (
            sign,
            f"#{number}",
            f'"{cut(example.text_input, 48)}"',
            f'"{cut(example.output, 20)}"',
        )
        for sign, examples in kinds
        for number, example in examples[:SHOWN]
    ]
    numbers = max((len(number) for _, number, _, _ in table), default=0)
    inputs = max((columns(text) for _, _, text, _ in table), default=0)
    for sign, examples in kinds:
        for kind, number, text, output in table:
            if kind == sign:
                yield (
                    f"{'':{indent}}{sign} {padded(number, numbers)}  {padded(text, inputs)}"
                    f"  -> {output}"
                )
        if examples[SHOWN:]:
            yield f"{'':{indent}}{sign} {len(examples) - SHOWN} more"
