"""A loss curve to look at: in the terminal, as a line of blocks, and as a picture.

Both axes are linear and the loss begins at 0: a logarithm would make a curve that has long levelled
off look as if it still fell.
"""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from tunedmodels.errors import TunedModelsError
from tunedmodels.evaluation.chart_axis import round_ticks, tick_labels, usual_top
from tunedmodels.evaluation.curves import CurveReading, steps_per_epoch
from tunedmodels.observed import LossPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLOCKS = "▁▂▃▄▅▆▇█"
_NO_NUMBER = "!"

# A braille character has 2 x 4 dots; these are their bits, row by row from the top.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK = 0x2800

# Of the picture, in inches and dots per inch: 1280 x 720.
_INCHES, _DPI = (8.0, 4.5), 160
_INK, _GREY, _BLUE, _RED = "#1f2933", "#616e7c", "#2563eb", "#d9480f"


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw `values` from 0 up in one line of at most `width` characters, means where it is tight.

    What is not finite is an exclamation mark.
    """
    count = min(width, len(values))
    edges = [len(values) * n // count for n in range(count + 1)] if count else []
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    top = max((mean for mean in means if math.isfinite(mean)), default=0.0)
    return "".join(_block(mean, top) for mean in means)


def _block(value: float, top: float) -> str:
    if not math.isfinite(value):
        return _NO_NUMBER
    share = value / top if top > 0 else 0.0
    return _BLOCKS[max(0, min(int(share * len(_BLOCKS)), len(_BLOCKS) - 1))]


def curve_text(
    points: Sequence[LossPoint],
    *,
    width: int = 72,
    height: int = 12,
    marked_epoch: int | None = None,
) -> str:
    """Draw the loss over epochs, or over steps while no epoch is done.

    `width` is in columns, all included; `height` is the lines of the plot alone, below which are
    the axis, its numbers and a mark at the end of `marked_epoch` (from 1) if the curve reaches it.
    """
    finite = [point for point in points if math.isfinite(point.mean_loss)]
    if not finite:
        return "No loss here is a number." if points else "There is no loss to draw yet."
    steps = steps_per_epoch(points)
    unit = "epoch" if steps else "step"
    end = max(point.step for point in points) / (steps or 1.0)
    ticks = round_ticks(max(point.mean_loss for point in finite), most=max(2, height // 2))
    left = _left_axis(ticks, height)
    margin = len(left[0])
    columns = max(width - margin - len(f" {unit}"), 8)
    shares = [(p.step / (steps or 1.0) / end, p.mean_loss / ticks[-1]) for p in finite]
    lines = [axis + row for axis, row in zip(left, _braille(shares, columns, height), strict=True)]
    axis, numbers = _bottom_axis(end, columns)
    lines.append(f"{'└':>{margin}}{axis} {unit}")
    lines.append(" " * margin + numbers)
    if marked_epoch and steps and marked_epoch <= end:
        place = round(marked_epoch / end * (columns - 1))
        lines.append(" " * margin + _beside([(place, f"▲ epoch {marked_epoch}")], columns))
    return "\n".join(line.rstrip() for line in lines)


def _left_axis(ticks: Sequence[float], lines: int) -> list[str]:
    """Return the axis line by line from the top, which is the last of `ticks`."""
    labels = tick_labels(ticks)
    places = [round((lines - 1) * (1 - tick / ticks[-1])) for tick in ticks]
    label_at = dict(zip(places, labels, strict=True))
    width = max(map(len, labels))
    return [
        f"{label_at[line]:>{width}} ┤" if line in label_at else f"{'':{width}} │"
        for line in range(lines)
    ]


def _bottom_axis(end: float, columns: int) -> tuple[str, str]:
    """Return the axis from 0 to `end`, and the numbers below it."""
    # An epoch or a step has no parts that are worth a tick.
    ticks = round_ticks(end, most=max(2, columns // 8), finest=1.0)
    ticks = [tick for tick in ticks if tick <= end]
    places = [round(tick / end * (columns - 1)) for tick in ticks]
    axis = "".join("┬" if place in places else "─" for place in range(columns))
    return axis, _beside(list(zip(places, tick_labels(ticks), strict=True)), columns)


def _beside(texts: Sequence[tuple[int, str]], columns: int) -> str:
    """Lay texts on one line, each beginning at its column or as far to the right as it fits."""
    line = [" "] * columns
    for place, text in texts:
        start = max(0, min(place, columns - len(text)))
        line[start : start + len(text)] = text
    return "".join(line)


def _braille(curve: Sequence[tuple[float, float]], columns: int, lines: int) -> list[str]:
    """Draw a line through (x, y), both as shares of the plot, x ascending."""
    across, up = 2 * columns, 4 * lines
    heights: dict[int, list[float]] = {}
    for x, y in curve:
        heights.setdefault(round(x * (across - 1)), []).append(min(max(y, 0.0), 1.0))
    corners = [(x, sum(ys) / len(ys) * (up - 1)) for x, ys in sorted(heights.items())]
    cells = [[_BLANK] * columns for _ in range(lines)]
    for x, low, high in _strokes(corners):
        for y in range(low, high + 1):
            row = up - 1 - y
            cells[row // 4][x // 2] |= _DOTS[row % 4][x % 2]
    return ["".join(chr(cell) if cell > _BLANK else " " for cell in row) for row in cells]


def _strokes(corners: Sequence[tuple[int, float]]) -> Iterator[tuple[int, int, int]]:
    """Yield, for each column of dots, the lowest and highest dot of a line through the corners."""
    x, before = corners[0][0], round(corners[0][1])
    yield x, before, before
    for (x0, y0), (x1, y1) in pairwise(corners):
        for x in range(x0 + 1, x1 + 1):
            now = round(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
            yield x, min(before, now), max(before, now)
            before = now


def curve_png(
    points: Sequence[LossPoint], *, title: str, reading: CurveReading | None = None
) -> bytes:
    """Draw the curve as a PNG of 1280 x 720: steps, means of epochs, where to stop, and why.

    Equal curves are equal bytes. Raises TunedModelsError when matplotlib is not installed.
    """
    try:
        # Not pyplot: it keeps figures, picks a window system and is not thread-safe.
        from matplotlib.figure import Figure  # noqa: PLC0415  # an extra, and slow to import
    except ImportError as error:
        raise TunedModelsError(
            "a picture needs matplotlib, which is not installed",
            cure="pip install 'tunedmodels[png]'",
        ) from error
    figure = Figure(figsize=_INCHES, dpi=_DPI)
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.15)
    axes = figure.add_subplot()
    _paint(axes, points, reading)
    # Titles are data: a dollar sign in one is no formula.
    axes.set_title(title, loc="left", pad=14, color=_INK, fontsize=12, parse_math=False)
    if reading:
        advice = textwrap.fill(reading.advice, 120)
        figure.supxlabel(advice, x=0.02, ha="left", color=_INK, fontsize=8, parse_math=False)
    picture = io.BytesIO()
    with warnings.catch_warnings():
        # A letter that the font does not have is drawn as a box, which says enough.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _paint(axes: Axes, points: Sequence[LossPoint], reading: CurveReading | None) -> None:
    in_order = sorted(points, key=lambda point: point.step)
    steps = steps_per_epoch(points)
    xs = [point.step / (steps or 1.0) for point in in_order]
    losses = [point.mean_loss for point in in_order]
    means = reading.epoch_means if reading else ()
    axes.plot(xs, losses, color=_BLUE, alpha=0.35, linewidth=1.0, label="each step")
    if means:
        # In the middle of its epoch: a mean stands for all of it.
        middles = [epoch + 0.5 for epoch in range(len(means))]
        axes.plot(middles, means, "o-", color=_BLUE, linewidth=2.2, markersize=5, label="epochs")
    if losses and math.isfinite(losses[0]):
        axes.axhline(losses[0], color=_GREY, linewidth=1.2, linestyle=":", label="untuned")
    stop = reading and reading.recommended_epoch_count
    if stop and stop <= len(means):
        axes.axvline(stop, color=_RED, linewidth=1.4, linestyle="--", label=f"best: {stop} epochs")
    axes.set_ylim(0, 1.08 * usual_top([*losses, *means]))
    axes.set_xlim(0, max(xs, default=1.0))
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("epoch" if steps else "step", color=_GREY)
    axes.set_ylabel("mean loss", color=_GREY)
    axes.tick_params(colors=_GREY, labelsize=9)
    axes.grid(axis="y", color=_GREY, alpha=0.2)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.legend(frameon=False, labelcolor=_INK, fontsize=9)
