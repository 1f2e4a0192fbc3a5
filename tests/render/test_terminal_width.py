"""Every screen fits the terminal; without one, the width is fixed."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import click
import pytest

from tests.support.builders import live
from tests.support.plan_models import EXAMPLES
from tests.support.plans import PLANS
from tunedmodels.observed import LossPoint, ModelVersions
from tunedmodels.render.layout import columns, fit, text_width, wrap
from tunedmodels.render.options import RenderOptions
from tunedmodels.render.plan.text import plan_text
from tunedmodels.render.status import show_text, status_text

OPTIONS = RenderOptions(dataset_diffs=EXAMPLES)
CURVE = tuple(LossPoint(n, n // 5, 2 / n) for n in range(1, 51))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", str(width))


def assert_fits(narrow: str, wide: str, width: int) -> None:
    """Assert that lines are short enough, and that no word of the wide text is broken.

    A value that is cut ends with an ellipsis, as on a wide screen.
    """
    # The mark of a replacement is next to the reason only if it fits there.
    words = {*wide.split(), "forces", "replacement"}
    for line in narrow.splitlines():
        assert columns(line) <= width or len(line.split()) == 1, line
        for word in line.split():
            assert word in words or "..." in word, word


@pytest.mark.parametrize(
    ("terminal", "width"), [(60, 60), (80, 80), (100, 100), (240, 100), (1, 40)]
)
def test_the_width_follows_the_terminal_up_to_100_columns(
    terminal: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_terminal(monkeypatch, terminal)
    assert text_width() == width


@pytest.mark.parametrize("stream", [io.StringIO(), None], ids=["pipe", "closed"])
def test_the_width_is_fixed_without_a_terminal(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("COLUMNS", "60")
    long = "word " * 100
    assert (text_width(), fit(long)) == (100, long)


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize("name", sorted(set(PLANS) - {"hostile"}))
def test_a_plan_fits_a_narrow_terminal(
    name: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = PLANS[name]()
    wide = plan_text(plan, OPTIONS)
    open_terminal(monkeypatch, width)
    assert_fits(fit(plan_text(plan, OPTIONS)), wide, width)


@pytest.mark.parametrize("width", [80, 60])
def test_status_and_show_fit_a_narrow_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    failure = "the service found no examples with an output, so that nothing could be trained"
    version = replace(live(promoted=1, curve=CURVE), failure=failure)
    model = ModelVersions("tone", (version,), is_declared=False)
    wide = status_text([model]) + show_text(model)
    open_terminal(monkeypatch, width)
    assert_fits(fit(status_text([model])), wide, width)
    chart = fit(show_text(model)).partition("Loss of")[2].splitlines()
    assert max(map(columns, chart)) <= width
    assert any("epoch" in line and "┬" in line for line in chart)


def test_the_loss_of_a_version_is_the_same_in_its_row_and_in_its_advice() -> None:
    # The last epoch has the steps 21 to 25, with losses from 0.74 to 0.5.
    falling = tuple(LossPoint(n, n // 5, 2 - 0.06 * n) for n in range(1, 26))
    text = show_text(ModelVersions("tone", (live(promoted=1, curve=falling),), is_declared=True))
    assert "  loss 0.62\n" in text
    assert "still falling after epoch 5, at 0.62 from 1.94 untuned" in text


def test_a_colour_takes_no_columns_and_survives_a_break(monkeypatch: pytest.MonkeyPatch) -> None:
    open_terminal(monkeypatch, 60)
    green = click.style("ready " * 9, fg="green")
    assert fit(green) == green
    fitted = fit("  " + green + "and more words that are on the next line")
    assert [columns(click.unstyle(line)) <= 60 for line in fitted.splitlines()] == [True, True]
    assert fitted.splitlines()[1].startswith("      ")


def test_a_hyphenated_name_is_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    open_terminal(monkeypatch, 40)
    lines = wrap("The model support-triage-and-routing-81bf1eb4 is ready.", indent=0)
    assert lines == ["The model", "support-triage-and-routing-81bf1eb4 is", "ready."]
