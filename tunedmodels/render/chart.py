"""Draw a loss curve: as a chart in the terminal, as a line of blocks, and as an SVG file.

Both axes are linear and the loss starts at 0: on a logarithmic scale, a curve that levelled off
long ago would look as if it still fell.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Final

from tunedmodels.evaluation.chart_axis import round_ticks, tick_labels
from tunedmodels.evaluation.chart_svg import HEIGHT, WIDTH, draw_curve
from tunedmodels.evaluation.curves import CurveReading, steps_per_epoch
from tunedmodels.observed import LossPoint
from tunedmodels.text import printable

BLOCKS: Final = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS: Final = "_.-=+*%#"
_NOT_FINITE: Final = "!"

# A braille character has 2 x 4 dots; these are their bits, row by row from the top.
_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK: Final = 0x2800

# Pixels of the SVG file outside of the drawing itself.
_HEADER, _LINE, _MARGIN = 52, 16, 12
_ADVICE_CHARACTERS: Final = 110
_SVG_STYLE: Final = """\
svg { background: #ffffff; color: #1b2430; font: 12px system-ui, sans-serif; }
text { fill: currentcolor; }
.title { font-size: 15px; font-weight: 600; }
.tick { fill: #586373; }
.grid { stroke: #dfe3e9; }
.mark { stroke: #8b95a3; }
.steps, .means { fill: none; stroke: #1d5aa8; stroke-linejoin: round; stroke-linecap: round; }
.steps { stroke-width: 1.25; opacity: .45; }
.means { stroke-width: 2.5; }
.dot { fill: #ffffff; stroke: #1d5aa8; stroke-width: 2; }
.untuned { stroke: #586373; stroke-dasharray: 1 4; stroke-linecap: round; stroke-width: 1.5; }
path.best { stroke: #7d4e00; stroke-width: 1.5; stroke-dasharray: 6 4; }
text.best { fill: #7d4e00; font-weight: 600; }
"""


def sparkline(values: Sequence[float], width: int, *, blocks: str = BLOCKS) -> str:
    """Draw values as one line of at most `width` characters, each the mean of its share.

    The scale starts at 0. A mean that is not finite is drawn as an exclamation mark.
    """
    count = min(width, len(values))
    edges = [len(values) * n // count for n in range(count + 1)] if count else []
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    top = max((mean for mean in means if math.isfinite(mean)), default=0.0)
    return "".join(_block(mean, top, blocks) for mean in means)


def _block(value: float, top: float, blocks: str) -> str:
    if not math.isfinite(value):
        return _NOT_FINITE
    share = value / top if top > 0 else 0.0
    return blocks[max(0, min(int(share * len(blocks)), len(blocks) - 1))]


def curve_text(
    points: Sequence[LossPoint],
    *,
    width: int = 72,
    height: int = 12,
    marked_epoch: int | None = None,
) -> str:
    """Draw the loss over epochs, or over steps until the first epoch is done.

    `width` is the columns of the whole chart, `height` the lines of the plot alone. Below the plot
    are the axis, its numbers and a mark at the end of `marked_epoch` (from 1), if the curve reaches
    it.
    """
    finite = [point for point in points if math.isfinite(point.mean_loss)]
    if not finite:
        return "No loss is a finite number." if points else "There is no loss to draw yet."
    steps = steps_per_epoch(points)
    unit = "epoch" if steps else "step"
    end = max(point.step for point in points) / (steps or 1.0)
    ticks = round_ticks(max(point.mean_loss for point in finite), limit=max(2, height // 2))
    left = _left_axis(ticks, height)
    margin = len(left[0])
    columns = max(width - margin - len(f" {unit}"), 8)
    shares = [(p.step / (steps or 1.0) / end, p.mean_loss / ticks[-1]) for p in finite]
    lines = [axis + row for axis, row in zip(left, _braille(shares, columns, height), strict=True)]
    axis, numbers = _bottom_axis(end, columns)
    lines.append(f"{'└':>{margin}}{axis} {unit}")
    lines.append(" " * margin + numbers)
    if marked_epoch and steps and marked_epoch <= end:
        column = round(marked_epoch / end * (columns - 1))
        lines.append(" " * margin + _place([(column, f"▲ epoch {marked_epoch}")], columns))
    return "\n".join(line.rstrip() for line in lines)


def _left_axis(ticks: Sequence[float], lines: int) -> list[str]:
    """Return the axis line by line from the top, which is the last of `ticks`."""
    labels = tick_labels(ticks)
    positions = [round((lines - 1) * (1 - tick / ticks[-1])) for tick in ticks]
    label_at = dict(zip(positions, labels, strict=True))
    width = max(map(len, labels))
    return [
        f"{label_at[line]:>{width}} ┤" if line in label_at else f"{'':{width}} │"
        for line in range(lines)
    ]


def _bottom_axis(end: float, columns: int) -> tuple[str, str]:
    """Return the axis from 0 to `end`, and the numbers below it."""
    # A fraction of an epoch or of a step needs no tick.
    ticks = round_ticks(end, limit=max(2, columns // 8), min_step=1.0)
    ticks = [tick for tick in ticks if tick <= end]
    positions = [round(tick / end * (columns - 1)) for tick in ticks]
    axis = "".join("┬" if column in positions else "─" for column in range(columns))
    return axis, _place(list(zip(positions, tick_labels(ticks), strict=True)), columns)


def _place(texts: Sequence[tuple[int, str]], columns: int) -> str:
    """Write texts on one line, each starting at its column or as far to the right as it fits."""
    line = [" "] * columns
    for column, text in texts:
        start = max(0, min(column, columns - len(text)))
        line[start : start + len(text)] = text
    return "".join(line)


def _braille(curve: Sequence[tuple[float, float]], columns: int, lines: int) -> list[str]:
    """Draw a line through the points (x, y), both as shares of the plot, x ascending."""
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


def curve_svg(points: Sequence[LossPoint], reading: CurveReading, *, title: str) -> str:
    """Return the curve as an SVG file, with a title, a legend and the advice of the reading.

    The drawing is that of the library page. Equal curves give equal text.
    """
    advice = textwrap.wrap(printable(reading.advice), _ADVICE_CHARACTERS)
    height = _HEADER + HEIGHT + _LINE * len(advice) + _MARGIN
    drawing = draw_curve(points, reading)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{_escape(title)}</title>",
        f"<style>\n{_SVG_STYLE}</style>",
        f'<text class="title" x="{_MARGIN}" y="24">{_escape(title)}</text>',
    ]
    if drawing:
        means = "thick line: mean of an epoch; " if drawing.means else ""
        legend = f"Thin line: each step; {means}dotted line: untuned model."
        lines += [
            _label(44, f"Mean loss by {drawing.unit}. {legend}"),
            f'<g transform="translate(0 {_HEADER})">\n{drawing.shapes}\n</g>',
        ]
    else:
        lines.append(_label(44, "There is no loss to draw."))
    bottom = _HEADER + HEIGHT
    lines += [_label(bottom + _LINE * n, text) for n, text in enumerate(advice, 1)]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _label(y: int, text: str) -> str:
    return f'<text x="{_MARGIN}" y="{y}">{_escape(text)}</text>'


def _escape(text: str) -> str:
    return escape(printable(text))
