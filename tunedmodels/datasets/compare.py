"""How two datasets differ, as multisets: an edited example is one removed and one added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tunedmodels.datasets.examples import Example


class Numbered(NamedTuple):
    """An example and where it stands in its dataset, from 1."""

    number: int
    example: Example


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came and what went, each in the order of its dataset.

    `reworded` counts the pairs of a removed and an added example with one input and two outputs.
    `order_only`: the same examples in another order, which is another training run all the same.
    """

    added: tuple[Numbered, ...] = ()
    removed: tuple[Numbered, ...] = ()
    reworded: int = 0
    order_only: bool = False


def compare(old: Sequence[Example], new: Sequence[Example]) -> Comparison:
    """Compare two datasets by what they hold."""
    added, removed = _surplus(new, old), _surplus(old, new)
    return Comparison(
        added=added,
        removed=removed,
        reworded=(_inputs(added) & _inputs(removed)).total(),
        order_only=not added and not removed and list(old) != list(new),
    )


def _surplus(these: Sequence[Example], those: Iterable[Example]) -> tuple[Numbered, ...]:
    """Return what `these` have more often than `those`: of equal examples the last ones."""
    matched = Counter(those)
    surplus = []
    for number, example in enumerate(these, 1):
        if matched[example] > 0:
            matched[example] -= 1
        else:
            surplus.append(Numbered(number, example))
    return tuple(surplus)


def _inputs(examples: Iterable[Numbered]) -> Counter[str]:
    return Counter(numbered.example.text_input for numbered in examples)
