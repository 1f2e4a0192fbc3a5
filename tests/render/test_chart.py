"""Loss curves to look at: whole charts against golden files, and what no chart may do."""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tunedmodels.errors import TunedModelsError
from tunedmodels.evaluation.curves import read_curve
from tunedmodels.observed import LossPoint
from tunedmodels.render.chart import curve_png, curve_text, sparkline

GOLDEN = GOLDEN_FOLDER / "chart"


def falling(epochs: int, *, steps: int = 25, to: float = 0.1) -> list[LossPoint]:
    """An exponential way down from 2 with the jitter of small batches, the same every time."""
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
def test_a_curve_is_drawn_as_the_golden_file(
    name: str, golden: Callable[[Path, str], None]
) -> None:
    points, options = CHARTS[name]
    golden(GOLDEN / f"{name}.text", curve_text(points, **options) + "\n")


def test_without_a_number_there_are_words() -> None:
    assert curve_text([]) == "There is no loss to draw yet."
    assert curve_text([LossPoint(1, 0, math.nan)]) == "No loss here is a number."


def test_an_epoch_that_was_not_reached_is_not_marked() -> None:
    assert "▲" not in curve_text(falling(5), marked_epoch=10)
    assert "▲ epoch 5" in curve_text(falling(5), marked_epoch=5)


@given(
    st.lists(st.floats(width=32), max_size=80),
    st.integers(1, 30),
    st.integers(20, 120),
    st.integers(2, 30),
    st.none() | st.integers(1, 20),
)
def test_no_curve_breaks_its_frame(
    losses: list[float], steps: int, width: int, height: int, marked: int | None
) -> None:
    points = [LossPoint(n, n // steps, loss) for n, loss in enumerate(losses, 1)]
    lines = curve_text(points, width=width, height=height, marked_epoch=marked).split("\n")
    assert len(lines) in (1, height + 2, height + 3)
    assert max(map(len, lines)) <= max(width, 40)


# Sparklines


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
    ],
)
def test_a_sparkline_is_one_short_line(values: list[float], width: int, line: str) -> None:
    assert sparkline(values, width) == line


# Pictures


def test_a_picture_is_a_png_of_a_sensible_size_and_the_same_every_time(tmp_path: Path) -> None:
    points = falling(10)
    content, again = (
        curve_png(points, title="tone-1a2b3c4d", reading=read_curve(points)) for _ in range(2)
    )
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (1280, 720)
    assert 10_000 < len(content) < 300_000
    assert content == again


@pytest.mark.parametrize(
    "points",
    [[], falling(1)[:1], rising(), [LossPoint(1, 0, math.nan)], CHARTS["holes"][0]],
    ids=["nothing", "one step", "diverged", "no number", "holes"],
)
def test_any_curve_can_be_a_picture_under_any_title(
    tmp_path: Path, points: list[LossPoint]
) -> None:
    title = "costs $5 \\frac or $6, 日本 <b>"
    assert curve_png(points, title=title, reading=read_curve(points)).startswith(b"\x89PNG")


def test_without_matplotlib_the_cure_is_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(TunedModelsError) as caught:
        curve_png(falling(2), title="tone", reading=None)
    assert caught.value.cure == "pip install 'tunedmodels[png]'"
