"""Whether a difference is significant, by one paired test for every metric, and score intervals.

Two versions answer the same examples, so they are compared example by example. *Sign flip*: if
neither were better, each pair of answers could be swapped; the p-value is how often random swaps
make a gain as large as the measured one. For right and wrong answers this is McNemar's exact test.
*Bootstrap*: the same number of examples is drawn with replacement again and again; the gain is in
the interval 9 times out of 10, so it is below the lower bound with a probability of 5 %.

A sample contains no information about what did not happen in it: if ten of ten pairs are equal, the
bootstrap interval has no width. So no interval is narrower than that of a sample with one half
pseudo-example of each kind (Agresti and Min 2005) for a gain, or than Wilson's for a score of 0 or
1.

Equal examples are drawn together, which is fast and independent of the order of the examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    import numpy as np  # start-up: imported when a score is computed, 0.1 s
    from numpy.typing import NDArray

    Rows: TypeAlias = NDArray[np.float64]
    ScoreSums: TypeAlias = Callable[[Rows], Rows]

ROUNDS: Final = 5000
SIGNIFICANCE_LEVEL: Final = 0.05  # the probability of taking chance for progress
POWER: Final = 0.8  # the probability of detecting a difference with the needed number of examples
MAX_EXAMPLES: Final = 1_000_000  # a larger number of needed examples is not reported

_SEED: Final = 2005
_Z: Final = 1.6449  # for 5 % on one side
_Z_POWER: Final = 0.8416
_MAX_DRAWS: Final = 2_000_000  # numbers drawn at once: 16 MB


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 90 % interval."""

    value: float
    low: float
    high: float

    spread: float
    """The standard deviation of one example.

    The lower bound is 1.64 x spread / sqrt(examples) below the value.
    """


@dataclass(frozen=True, slots=True)
class Gain(Interval):
    """The difference between two sets of answers."""

    p_value: float
    """The probability of a difference as large in the same direction, if there were none."""

    @property
    def is_better(self) -> bool:
        """Whether it is a significant gain."""
        return self.value > 0 and self.p_value < SIGNIFICANCE_LEVEL

    @property
    def is_worse(self) -> bool:
        """Whether it is a significant loss."""
        return self.value < 0 and self.p_value < SIGNIFICANCE_LEVEL


def interval(rows: Rows, score_sums: ScoreSums) -> Interval:
    """Return the score of `rows` with its interval; see `metrics.Metric` for the parameters."""
    import numpy as np  # noqa: PLC0415  # see above

    count = len(rows)
    drawn = np.concatenate([score_sums(sums) for sums in _resampled(rows)])
    value = float(score_sums(rows.sum(axis=0, keepdims=True))[0])
    min_width = _Z**2 / (count + _Z**2)
    low, high = _bounds(drawn, value, min_width)
    return Interval(value, max(low, 0.0), min(high, 1.0), _spread(value - low, count))


def gain(before: Rows, after: Rows, score_sums: ScoreSums) -> Gain:
    """Return the gain of `after` over `before`: answers to the same examples in the same order."""
    import numpy as np  # noqa: PLC0415  # see above

    count, width = before.shape
    both = np.hstack([before, after])

    def difference(sums: Rows) -> Rows:
        return score_sums(sums[:, width:]) - score_sums(sums[:, :width])

    value = float(difference(both.sum(axis=0, keepdims=True))[0])
    drawn = np.concatenate([difference(sums) for sums in _resampled(both)])
    flipped = np.concatenate([difference(sums) for sums in _flipped(both, width)])
    min_width = _Z / (count + 2)
    low, high = _bounds(drawn, value, min_width)
    # Sums of floats differ in the last digits, and equal values must compare as equal.
    is_as_large = flipped >= value - 1e-9 if value >= 0 else flipped <= value + 1e-9
    p_value = (1 + int(is_as_large.sum())) / (1 + ROUNDS)
    return Gain(value, max(low, -1.0), min(high, 1.0), _spread(value - low, count), p_value)


def examples_needed(distance: float, spread: float) -> int | None:
    """Return the number of examples that distinguish a value from a bound `distance` below it.

    They do so 8 times out of 10, if the value is as measured. None if no number of examples does,
    because the value is at the bound or below it.
    """
    if distance <= 0:
        return None
    count = math.ceil(((_Z + _Z_POWER) * spread / distance) ** 2)
    return count if count <= MAX_EXAMPLES else None


def _bounds(drawn: Rows, value: float, min_width: float) -> tuple[float, float]:
    """Return the interval of the drawn values, which is at least `min_width` wide on each side."""
    import numpy as np  # noqa: PLC0415  # see above

    low, high = np.quantile(drawn, [SIGNIFICANCE_LEVEL, 1 - SIGNIFICANCE_LEVEL])
    return min(float(low), value - min_width), max(float(high), value + min_width)


def _spread(width_below: float, count: int) -> float:
    return width_below / _Z * math.sqrt(count)


def _resampled(rows: Rows) -> Iterator[Rows]:
    """Yield sums over the same number of examples, drawn with replacement."""
    import numpy as np  # noqa: PLC0415  # see above

    random = np.random.default_rng(_SEED)
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    for rounds in _blocks(len(kinds)):
        yield random.multinomial(len(rows), counts / len(rows), size=rounds) @ kinds


def _flipped(both: Rows, width: int) -> Iterator[Rows]:
    """Yield sums in which each pair of answers is swapped with a probability of one half."""
    import numpy as np  # noqa: PLC0415  # see above

    random = np.random.default_rng(_SEED)
    kinds, counts = np.unique(both, axis=0, return_counts=True)
    change = np.hstack([kinds[:, width:], kinds[:, :width]]) - kinds
    for rounds in _blocks(len(kinds)):
        yield both.sum(axis=0) + random.binomial(counts, 0.5, size=(rounds, len(kinds))) @ change


def _blocks(width: int) -> Iterator[int]:
    block_size = max(1, min(ROUNDS, _MAX_DRAWS // width))
    for start in range(0, ROUNDS, block_size):
        yield min(block_size, ROUNDS - start)
