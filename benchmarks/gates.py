"""How often the rules of a gate are wrong, on simulated versions with a known true gain.

The serving version answers 70 of 100 examples correctly. A new one loses 5 of them and gains
others, so that its true gain is that of the row. For 400 pairs of versions per row, each cell is
the share that the rule takes for better, or for not worse. The numbers are the same on every run.
`--markdown` prints the tables of docs/evaluation.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.tables import Table
from tunedmodels.evaluation.metrics import METRICS
from tunedmodels.evaluation.significance import Gain, gain

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIMULATIONS: Final = 400
RIGHT, LOST = 0.7, 0.05
READ: Final = METRICS["exactMatch"].score_sums

SIZES: Final = (20, 50, 100, 200, 500)
BETTER: Final = tuple((count, gained) for count in SIZES for gained in (0.0, 0.1))
NOT_WORSE: Final = tuple((count, gained) for count in SIZES for gained in (0.0, -0.05))


def answers(
    random: np.random.Generator, count: int, gained: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return drawn values of both versions; a loss beyond `LOST` means that more are lost."""
    lost = LOST + max(0.0, -gained)
    won = lost + gained
    before = random.random(count) < RIGHT
    chance = random.random(count)
    after = np.where(before, chance >= lost / RIGHT, chance < won / (1 - RIGHT))
    ones = np.ones(count)
    return np.column_stack([before, ones]), np.column_stack([after, ones])


def simulate(count: int, gained: float) -> list[Gain]:
    """Return the gains of simulated pairs of versions on `count` examples each."""
    random = np.random.default_rng(count)
    return [gain(*answers(random, count, gained), READ) for _ in range(SIMULATIONS)]


def shares(rules: Sequence[Callable[[Gain], bool]], count: int, gained: float) -> list[str]:
    """Return the share of pairs that each rule accepts."""
    gains = simulate(count, gained)
    return [f"{sum(map(rule, gains)) / len(gains):.2f}" for rule in rules]


def table(
    title: str, rules: Mapping[str, Callable[[Gain], bool]], cases: Sequence[tuple[int, float]]
) -> Table:
    """Return a table of rules by examples and true gain."""
    rows = {
        f"{count} examples, true gain {gained:+.2f}": partial(
            shares, list(rules.values()), count, gained
        )
        for count, gained in cases
    }
    return Table((title, *rules), rows)


def above(bound: float) -> Callable[[Gain], bool]:
    """Return the rule that the whole interval is above a bound."""
    return lambda gain: gain.low > bound


BETTER_TABLE: Final = table(
    "taken for better",
    {
        "any gain": lambda gain: gain.value > 0,
        "sign flip": lambda gain: gain.is_better,
        "interval above 0": above(0),
    },
    BETTER,
)
NOT_WORSE_TABLE: Final = table(
    "taken for not worse",
    {
        "no loss measured": lambda gain: gain.value >= 0,
        "by 0.02": above(-0.02),
        "by 0.05": above(-0.05),
        "by 0.10": above(-0.1),
    },
    NOT_WORSE,
)

if __name__ == "__main__":
    for result in (BETTER_TABLE, NOT_WORSE_TABLE):
        result.show(markdown="--markdown" in sys.argv)
