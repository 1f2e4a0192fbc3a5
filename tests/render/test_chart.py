"""Drawings of loss curves: golden files, and invariants of every drawing."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tunedmodels.evaluation.chart_svg import draw_curve
from tunedmodels.evaluation.curves import read_curve
from tunedmodels.observed import LossPoint
from tunedmodels.render.chart import ASCII_BLOCKS, curve_svg, curve_text, sparkline

GOLDEN = GOLDEN_FOLDER / "chart"
SVG: Final = "{http://www.w3.org/2000/svg}"


def falling(epochs: int, *, steps: int = 25, to: float = 0.1) -> list[LossPoint]:
    """Return an exponential decay from 2 with the jitter of small batches, without randomness."""
    points = []
    for step in range(1, epochs * steps + 1):
        loss = to + (2.0 - to) * math.exp(-1.4 * (step - 1) / steps)
        jitter = 1 + 0.25 * math.sin(37.0 * step) * (step > 1)
        points.append(LossPoint(step, step // steps, loss * jitter))
    return points


def rising() -> list[LossPoint]:
    return [LossPoint(n, n // 10, 0.7 + 9 * abs(math.sin(n)) * (n > 1)) for n in range(1, 41)]


CHARTS = {
    "plateau": (falling(10), {"marked_epoch": 5}),
    "small": (falling(5), {"width": 44, "height": 6}),
    "diverged": (rising(), {"height": 8}),
    "first-steps": (falling(1)[:12], {"height": 8}),
    "one-step": (falling(1)[:1], {"height": 6}),
    "hundred-epochs": (falling(100, steps=4), {"marked_epoch": 7}),
    "all-zero": ([LossPoint(n, n // 2, 0.0) for n in range(1, 11)], {"height": 6}),
    "holes": (
        [LossPoint(n, n // 5, math.nan if n % 4 == 0 else 1 / n) for n in range(1, 21)],
        {"height": 6},
    ),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_equals_its_golden_file(name: str, golden: Callable[[Path, str], None]) -> None:
    points, options = CHARTS[name]
    golden(GOLDEN / f"{name}.text", curve_text(points, **options) + "\n")


def test_without_a_finite_loss_there_is_a_sentence() -> None:
    assert curve_text([]) == "There is no loss to draw yet."
    assert curve_text([LossPoint(1, 0, math.nan)]) == "No loss is a finite number."


def test_only_an_epoch_in_the_curve_is_marked() -> None:
    assert "▲" not in curve_text(falling(5), marked_epoch=10)
    assert "▲ epoch 5" in curve_text(falling(5), marked_epoch=5)


@given(
    st.lists(st.floats(width=32), max_size=80),
    st.integers(1, 30),
    st.integers(20, 120),
    st.integers(2, 30),
    st.none() | st.integers(1, 20),
)
def test_every_chart_has_its_width_and_height(
    losses: list[float], steps: int, width: int, height: int, marked: int | None
) -> None:
    points = [LossPoint(n, n // steps, loss) for n, loss in enumerate(losses, 1)]
    lines = curve_text(points, width=width, height=height, marked_epoch=marked).split("\n")
    assert len(lines) in (1, height + 2, height + 3)
    assert max(map(len, lines)) <= max(width, 40)


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([8, 7, 6, 5, 4, 3, 2, 1, 0], 20, "██▇▆▅▄▃▂▁"),
        ([2, 2, 1, 1], 2, "█▅"),
        ([1, 1, 1], 9, "███"),
        ([0, 0], 9, "▁▁"),
        ([4, math.nan, math.inf, -1], 9, "█!!▁"),
        ([], 9, ""),
        ([1.0], 0, ""),
        ([float(n) for n in range(1000)], 12, "▁▂▂▃▄▄▅▆▆▇██"),
    ],
)
def test_a_sparkline_starts_at_zero_and_has_one_short_line(
    values: list[float], width: int, line: str
) -> None:
    assert sparkline(values, width) == line


def test_a_sparkline_can_be_ascii() -> None:
    assert sparkline([8, 4, 1, math.inf], 20, blocks=ASCII_BLOCKS) == "#+.!"


def test_an_svg_file_is_valid_xml_and_the_same_every_time() -> None:
    points = falling(10)
    first, second = (curve_svg(points, read_curve(points), title="tone-1a2b3c4d") for _ in range(2))
    root = ET.fromstring(first)  # noqa: S314  # our own text
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]
    assert texts[0] == "tone-1a2b3c4d"
    assert any(text.startswith("best: ") for text in texts)
    assert any("levels off" in text for text in texts)
    assert texts[-1].endswith("epochCount: 5.")
    assert first == second


@pytest.mark.parametrize(
    "points",
    [[], falling(1)[:1], rising(), [LossPoint(1, 0, math.nan)], CHARTS["holes"][0]],
    ids=["no steps", "one step", "diverged", "no number", "holes"],
)
def test_an_svg_file_escapes_its_title(points: list[LossPoint]) -> None:
    title = "costs $5 \\frac or & $6, 日本 <b>\x1b"
    text = curve_svg(points, read_curve(points), title=title)
    root = ET.fromstring(text)  # noqa: S314  # our own text
    assert root.findtext(f"{SVG}title") == title.replace("\x1b", "\\x1b")


def test_the_svg_file_has_the_drawing_of_the_library_page() -> None:
    points = falling(10)
    drawing = draw_curve(points, read_curve(points))
    assert drawing
    assert drawing.shapes in curve_svg(points, read_curve(points), title="tone")
    assert 'class="best"' in drawing.shapes
