"""Better, or luck? One paired test for every metric, and how far a score can be trusted.

Two versions answer the same examples, so they are compared example by example. *Sign flip*: if
neither were better, each pair of answers might as well have been given the other way round; how
often does that make a gain as large as the one measured? For right and wrong answers this is the
exact test of McNemar. *Bootstrap*: draw as many examples, with repetition, again and again; the
gain stays within these bounds 9 times out of 10, so it falls below the lower one with a chance of
5 %.

A sample knows nothing of what did not happen in it: where ten pairs of ten are equal, a bootstrap
would be certain. So no interval is narrower than that of a sample with one half pseudo-example of
each kind (Agresti and Min 2005) for a gain, or than Wilson's for a score of 0 or 1.

Equal examples are drawn together, which makes it fast, and the same in any order of the examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    import numpy as np  # not before something is measured: 0.1 s
    from numpy.typing import NDArray

    Rows: TypeAlias = NDArray[np.float64]
    Read: TypeAlias = Callable[[Rows], Rows]

ROUNDS: Final = 5000
CHANCE: Final = 0.05  # of taking luck for progress
POWER: Final = 0.8  # chance of seeing what is there, when asked how many examples would do
MOST: Final = 1_000_000  # examples; whoever would need more does not need the number

_SEED: Final = 2005
_Z: Final = 1.6449  # of 5 % on one side
_Z_POWER: Final = 0.8416
_BLOCK: Final = 2_000_000  # numbers drawn at once: 16 MB


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 90 % interval.

    `spread` is that of one example, as a standard deviation: the way down to the lower bound is
    1.64 x spread / sqrt(examples).
    """

    value: float
    low: float
    high: float
    spread: float


@dataclass(frozen=True, slots=True)
class Gain(Interval):
    """What one set of answers has over another one.

    `luck` is the chance of a difference as large in the same direction, if there were none.
    """

    luck: float

    @property
    def is_better(self) -> bool:
        """Whether it is a gain, and no luck."""
        return self.value > 0 and self.luck < CHANCE

    @property
    def is_worse(self) -> bool:
        """Whether it is a loss, and no bad luck."""
        return self.value < 0 and self.luck < CHANCE


def interval(rows: Rows, read: Read) -> Interval:
    """Return the score of `rows` with its interval, see `metrics.Metric` for both arguments."""
    import numpy as np  # noqa: PLC0415  # see above

    count = len(rows)
    drawn = np.concatenate([read(sums) for sums in _resampled(rows)])
    value = float(read(rows.sum(axis=0, keepdims=True))[0])
    unseen = _Z**2 / (count + _Z**2)
    low, high = _bounds(drawn, value, unseen)
    return Interval(value, max(low, 0.0), min(high, 1.0), _spread(value - low, count))


def gain(before: Rows, after: Rows, read: Read) -> Gain:
    """Return what `after` has over `before`: answers to the same examples in the same order."""
    import numpy as np  # noqa: PLC0415  # see above

    count, width = before.shape
    both = np.hstack([before, after])

    def difference(sums: Rows) -> Rows:
        return read(sums[:, width:]) - read(sums[:, :width])

    value = float(difference(both.sum(axis=0, keepdims=True))[0])
    drawn = np.concatenate([difference(sums) for sums in _resampled(both)])
    flipped = np.concatenate([difference(sums) for sums in _flipped(both, width)])
    unseen = _Z / (count + 2)
    low, high = _bounds(drawn, value, unseen)
    # Sums of floats differ in the last digits: what is equal must count as equal.
    is_as_large = flipped >= value - 1e-9 if value >= 0 else flipped <= value + 1e-9
    luck = (1 + int(is_as_large.sum())) / (1 + ROUNDS)
    return Gain(value, max(low, -1.0), min(high, 1.0), _spread(value - low, count), luck)


def enough(distance: float, spread: float) -> int | None:
    """Return how many examples would tell a value from a bound that is `distance` below it.

    They do so 8 times out of 10, if the value is as measured. None when no number of examples
    would: the value is at the bound, or below it.
    """
    if distance <= 0:
        return None
    count = math.ceil(((_Z + _Z_POWER) * spread / distance) ** 2)
    return count if count <= MOST else None


def _bounds(drawn: Rows, value: float, unseen: float) -> tuple[float, float]:
    import numpy as np  # noqa: PLC0415  # see above

    low, high = np.quantile(drawn, [CHANCE, 1 - CHANCE])
    return min(float(low), value - unseen), max(float(high), value + unseen)


def _spread(way_down: float, count: int) -> float:
    return way_down / _Z * math.sqrt(count)


def _resampled(rows: Rows) -> Iterator[Rows]:
    """Yield sums over as many examples as there are, drawn with repetition."""
    import numpy as np  # noqa: PLC0415  # see above

    random = np.random.default_rng(_SEED)
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    for rounds in _blocks(len(kinds)):
        yield random.multinomial(len(rows), counts / len(rows), size=rounds) @ kinds


def _flipped(both: Rows, width: int) -> Iterator[Rows]:
    """Yield sums in which each pair of answers is given as it was, or the other way round."""
    import numpy as np  # noqa: PLC0415  # see above

    random = np.random.default_rng(_SEED)
    kinds, counts = np.unique(both, axis=0, return_counts=True)
    change = np.hstack([kinds[:, width:], kinds[:, :width]]) - kinds
    for rounds in _blocks(len(kinds)):
        yield both.sum(axis=0) + random.binomial(counts, 0.5, size=(rounds, len(kinds))) @ change


def _blocks(width: int) -> Iterator[int]:
    at_once = max(1, min(ROUNDS, _BLOCK // width))
    for start in range(0, ROUNDS, at_once):
        yield min(at_once, ROUNDS - start)
