"""The axis of a chart: round numbers for its ticks, and their labels.

All drawings of a loss curve (terminal, picture, web page) use the same ticks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_EPSILON = 1e-9  # smaller numbers are rounding errors of floating point


def round_ticks(top: float, *, limit: int, min_step: float = 0.0) -> list[float]:
    """Return 0 and the multiples of a round step, up to the first that reaches `top`.

    There are about `limit` ticks at most. No step is smaller than `min_step`.
    """
    if top < _EPSILON:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(max(top / limit, min_step)))
    step = next(power * digit for digit in (1, 2, 5, 10) if top / (power * digit) <= limit)
    return [step * n for n in range(math.ceil(top / step - _EPSILON) + 1)]


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Return the ticks as text, with as many decimals as their step has."""
    step = ticks[1] if len(ticks) > 1 else 1.0
    if not 1e-4 <= step < 1e6:  # noqa: PLR2004  # outside, the digits would fill the chart
        return [f"{tick:g}" for tick in ticks]
    decimals = max(0, -math.floor(math.log10(step) + _EPSILON))
    return [f"{tick:.{decimals}f}" for tick in ticks]


def usual_top(losses: Sequence[float]) -> float:
    """Return the 99th percentile of the losses, so that one step does not flatten the whole curve.

    The result is never below the first loss, that of the untuned model, because the curve shows
    what was learned since then.
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    if not finite:
        return 1.0
    return max(finite[0], sorted(finite)[math.ceil(0.99 * len(finite)) - 1]) or 1.0
