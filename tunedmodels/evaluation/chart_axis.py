"""The axis of a chart: round numbers for its ticks, and how to write them.

Every drawing of a loss curve (terminal, picture, web page) has the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_NOTHING = 1e-9  # less than this is the noise of floating point


def round_ticks(top: float, *, most: int, finest: float = 0.0) -> list[float]:
    """Return 0 and the multiples of a round step up to the first that reaches `top`.

    There are about `most` of them at most; no step is smaller than `finest`.
    """
    if top < _NOTHING:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(max(top / most, finest)))
    step = next(power * digit for digit in (1, 2, 5, 10) if top / (power * digit) <= most)
    return [step * n for n in range(math.ceil(top / step - _NOTHING) + 1)]


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Write ticks with as many decimals as their step has."""
    step = ticks[1] if len(ticks) > 1 else 1.0
    if not 1e-4 <= step < 1e6:  # noqa: PLR2004  # beyond these, the digits would fill the chart
        return [f"{tick:g}" for tick in ticks]
    decimals = max(0, -math.floor(math.log10(step) + _NOTHING))
    return [f"{tick:.{decimals}f}" for tick in ticks]


def usual_top(losses: Sequence[float]) -> float:
    """Return what all but the wildest 1% stay below: one step must not flatten the whole curve.

    The first, that of the untuned model, is always below: all that was learned is the way from it.
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    if not finite:
        return 1.0
    return max(finite[0], sorted(finite)[math.ceil(0.99 * len(finite)) - 1]) or 1.0
