"""Draw a loss curve as SVG, for the library page and for `show --svg`.

Like the other drawings of a curve, it is linear and starts at 0: on a logarithmic scale, a curve
that levelled off long ago would look as if it still fell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tunedmodels.evaluation.chart_axis import round_ticks, tick_labels, usual_top
from tunedmodels.evaluation.curves import CurveReading, steps_per_epoch
from tunedmodels.observed import LossPoint
from tunedmodels.text import plural

WIDTH: Final = 720
HEIGHT: Final = 320
SPARKLINE_WIDTH: Final = 120
SPARKLINE_HEIGHT: Final = 32
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 26, 34  # margins of the plot, with room for labels
_MAX_POINTS = 400  # more than a screen shows

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tick:
    """A number on an axis."""

    #: Pixels from the left or from the top of the picture.
    position: float
    label: str


@dataclass(frozen=True, slots=True)
class BestEpoch:
    """The epoch at which training should stop."""

    #: Pixels from the left of the picture.
    position: float
    label: str
    #: The `text-anchor` of the label: `start` to the right of the line, `end` to the left of it.
    anchor: str

    @property
    def label_x(self) -> float:
        """Return where the label is anchored: 6 pixels from the line."""
        return self.position + (6 if self.anchor == "start" else -6)


@dataclass(frozen=True, slots=True)
class Drawing:
    """The picture of one curve, in pixels of a picture of WIDTH x HEIGHT."""

    #: The points of a polyline through the losses of the steps.
    steps: str
    #: The points of a polyline through the means of the epochs.
    means: str
    #: The corners of `means`, or nothing if there are too many to draw each.
    dots: Sequence[Point]
    y_ticks: Sequence[Tick]
    x_ticks: Sequence[Tick]
    #: The unit of the x axis: `epoch` or `step`.
    unit: str
    #: Pixels from the top of the loss before any training.
    untuned: float | None
    best: BestEpoch | None
    #: The left, upper, right and lower edge of the plot.
    frame: tuple[float, float, float, float] = (
        _LEFT,
        _TOP,
        WIDTH - _RIGHT,
        HEIGHT - _BOTTOM,
    )

    @property
    def shapes(self) -> str:
        """Return the SVG elements of the picture; a style sheet colours their classes."""
        return "\n".join(_shapes(self))


@dataclass(frozen=True, slots=True)
class _Scale:
    """Converts losses and epochs (or steps) to positions in the picture."""

    #: The epoch or step at the right edge.
    end: float
    #: The loss at the upper edge.
    top: float

    def x(self, value: float) -> float:
        return round(_LEFT + value / self.end * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        share = min(max(value / self.top, 0.0), 1.0)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def draw_curve(points: Sequence[LossPoint], reading: CurveReading) -> Drawing | None:
    """Return the picture of a curve, or None if no loss in it is a finite number."""
    in_order = sorted(points, key=lambda point: point.step)
    finite = [point for point in in_order if math.isfinite(point.mean_loss)]
    if not finite:
        return None
    per_epoch = steps_per_epoch(in_order)
    unit = per_epoch or 1.0
    means = [mean for mean in reading.epoch_means if math.isfinite(mean)]
    losses = round_ticks(usual_top([*(point.mean_loss for point in finite), *means]), limit=5)
    scale = _Scale(end=in_order[-1].step / unit, top=losses[-1])
    times = [tick for tick in round_ticks(scale.end, limit=10, min_step=1.0) if tick <= scale.end]
    positions = [(scale.x(point.step / unit), scale.y(point.mean_loss)) for point in finite]
    # In the middle of the epoch, since a mean describes all of it.
    dots = [(scale.x(epoch + 0.5), scale.y(mean)) for epoch, mean in enumerate(means)]
    return Drawing(
        steps=_polyline(positions),
        means=_polyline(dots),
        dots=dots if len(dots) <= WIDTH // 20 else (),
        y_ticks=list(map(Tick, map(scale.y, losses), tick_labels(losses))),
        x_ticks=list(map(Tick, map(scale.x, times), tick_labels(times))),
        unit="epoch" if per_epoch else "step",
        untuned=scale.y(finite[0].mean_loss),
        best=_best(scale, reading, is_in_epochs=per_epoch is not None),
    )


def sparkline(points: Sequence[LossPoint], top: float) -> str:
    """Return the points of a small polyline of SPARKLINE_WIDTH x SPARKLINE_HEIGHT.

    `top` is the loss at the upper edge; pass the same one for curves that are compared.
    """
    in_order = sorted(points, key=lambda point: point.step)
    if not in_order:
        return ""
    end = in_order[-1].step
    height = SPARKLINE_HEIGHT - 2  # room for the thickness of the line
    positions = [
        (
            round(point.step / end * SPARKLINE_WIDTH, 1),
            round(SPARKLINE_HEIGHT - 1 - min(point.mean_loss / top, 1.0) * height, 1),
        )
        for point in in_order
        if math.isfinite(point.mean_loss)
    ]
    return _polyline(positions, max_points=SPARKLINE_WIDTH)


def _shapes(drawing: Drawing) -> Iterator[str]:
    x0, y0, x1, y1 = drawing.frame
    for tick in drawing.y_ticks:
        yield f'<path class="grid" d="M{x0} {tick.position}H{x1}"/>'
        yield _text("tick", x0 - 8, tick.position + 4, "end", tick.label)
    for tick in drawing.x_ticks:
        yield f'<path class="mark" d="M{tick.position} {y1}v5"/>'
        yield _text("tick", tick.position, y1 + 22, "middle", tick.label)
    if drawing.untuned is not None:
        yield f'<path class="untuned" d="M{x0} {drawing.untuned}H{x1}"/>'
    yield f'<polyline class="steps" points="{drawing.steps}"/>'
    if drawing.means:
        yield f'<polyline class="means" points="{drawing.means}"/>'
        for x, y in drawing.dots:
            yield f'<circle class="dot" cx="{x}" cy="{y}" r="3.5"/>'
    if best := drawing.best:
        yield f'<path class="best" d="M{best.position} {y0}V{y1}"/>'
        yield _text("best", best.label_x, y0 - 8, best.anchor, best.label)


def _text(kind: str, x: float, y: float, anchor: str, label: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{label}</text>'


def _best(scale: _Scale, reading: CurveReading, *, is_in_epochs: bool) -> BestEpoch | None:
    epochs = reading.recommended_epoch_count
    if not (epochs and is_in_epochs and epochs <= scale.end):
        return None
    is_right = epochs > 0.7 * scale.end
    label = f"best: {epochs} {plural(epochs, 'epoch')}"
    return BestEpoch(scale.x(epochs), label, "end" if is_right else "start")


def _polyline(positions: Sequence[Point], max_points: int = _MAX_POINTS) -> str:
    """Return the `points` of a polyline; neighbours are averaged if there are too many to see.

    The first point is never averaged: it is the loss of the untuned model.
    """
    span = max(1, math.ceil(len(positions) / max_points))
    starts = range(1, len(positions), span)
    groups = (
        [positions[:1], *(positions[start : start + span] for start in starts)] if positions else []
    )
    means = [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in means)
