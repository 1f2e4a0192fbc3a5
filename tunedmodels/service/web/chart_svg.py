"""A loss curve as the shapes of an SVG picture; the template writes them down.

Like the other drawings of a curve, it is linear and begins at 0: a logarithm would make one that
has long levelled off look as if it still fell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tunedmodels.evaluation.chart_axis import round_ticks, tick_labels, usual_top
from tunedmodels.evaluation.curves import CurveReading, steps_per_epoch
from tunedmodels.observed import LossPoint

WIDTH: Final = 720
HEIGHT: Final = 320
SPARK_WIDTH: Final = 120
SPARK_HEIGHT: Final = 32
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 26, 34  # margins of the plot, with room for its words
_MOST_POINTS = 400  # more than a screen shows

Spot = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tick:
    """A number on an axis, and how far along it stands in the picture."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Best:
    """Where to stop: its place from the left, the words, and on which side of it they fit."""

    place: float
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """The picture of one curve, in units of a picture of WIDTH x HEIGHT.

    `steps` is a polyline through the losses of steps, `means` one through the means of epochs, of
    which `dots` are the corners. `untuned` is the height of the loss before any training.
    """

    steps: str
    means: str
    dots: Sequence[Spot]
    left: Sequence[Tick]
    bottom: Sequence[Tick]
    unit: str
    untuned: float | None
    best: Best | None
    frame: tuple[float, float, float, float] = (
        _LEFT,
        _TOP,
        WIDTH - _RIGHT,
        HEIGHT - _BOTTOM,
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """From loss and epoch (or step) to places in the picture."""

    end: float
    top: float

    def x(self, value: float) -> float:
        return round(_LEFT + value / self.end * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        share = min(max(value / self.top, 0.0), 1.0)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def draw(points: Sequence[LossPoint], reading: CurveReading) -> Drawing | None:
    """Return the picture of a curve; None when no loss of it is a number."""
    in_order = sorted(points, key=lambda point: point.step)
    finite = [point for point in in_order if math.isfinite(point.mean_loss)]
    if not finite:
        return None
    per_epoch = steps_per_epoch(in_order)
    unit = per_epoch or 1.0
    means = [mean for mean in reading.epoch_means if math.isfinite(mean)]
    left = round_ticks(usual_top([*(point.mean_loss for point in finite), *means]), most=5)
    scale = _Scale(end=in_order[-1].step / unit, top=left[-1])
    bottom = [tick for tick in round_ticks(scale.end, most=10, finest=1.0) if tick <= scale.end]
    spots = [(scale.x(point.step / unit), scale.y(point.mean_loss)) for point in finite]
    # In the middle of its epoch: a mean stands for all of it.
    dots = [(scale.x(epoch + 0.5), scale.y(mean)) for epoch, mean in enumerate(means)]
    return Drawing(
        steps=_polyline(spots),
        means=_polyline(dots),
        dots=dots if len(dots) <= WIDTH // 20 else (),
        left=[Tick(scale.y(v), label) for v, label in zip(left, tick_labels(left), strict=True)],
        bottom=[
            Tick(scale.x(v), label) for v, label in zip(bottom, tick_labels(bottom), strict=True)
        ],
        unit="epoch" if per_epoch else "step",
        untuned=scale.y(finite[0].mean_loss),
        best=_best(scale, reading, is_in_epochs=per_epoch is not None),
    )


def spark(points: Sequence[LossPoint], top: float) -> str:
    """Return a small polyline of SPARK_WIDTH x SPARK_HEIGHT; `top` is the loss at its upper edge.

    Curves that are to be compared have one `top`.
    """
    in_order = sorted(points, key=lambda point: point.step)
    if not in_order:
        return ""
    end = in_order[-1].step
    spots = [
        (
            round(point.step / end * SPARK_WIDTH, 1),
            round(SPARK_HEIGHT - 1 - min(point.mean_loss / top, 1.0) * (SPARK_HEIGHT - 2), 1),
        )
        for point in in_order
        if math.isfinite(point.mean_loss)
    ]
    return _polyline(spots, most=SPARK_WIDTH)


def _best(scale: _Scale, reading: CurveReading, *, is_in_epochs: bool) -> Best | None:
    epochs = reading.recommended_epoch_count
    if not (epochs and is_in_epochs and epochs <= scale.end):
        return None
    is_right = epochs > 0.7 * scale.end
    label = f"best: {epochs} epoch{'s' if epochs != 1 else ''}"
    return Best(scale.x(epochs), label, "end" if is_right else "start")


def _polyline(spots: Sequence[Spot], most: int = _MOST_POINTS) -> str:
    """Write a line down; where it has more corners than can be seen, the means of neighbours.

    The first corner stays as it is: there the untuned model stood.
    """
    span = max(1, math.ceil(len(spots) / most))
    starts = range(1, len(spots), span)
    groups = [spots[:1], *(spots[start : start + span] for start in starts)] if spots else []
    means = [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in means)
