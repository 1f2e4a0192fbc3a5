"""The worst answers at the end of an apply: aligned, cut, and unable to steer the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tests.support.plans import HOSTILE
from tunedmodels.evaluation.scoring import Answered
from tunedmodels.render.evaluation import worst_text
from tunedmodels.render.layout import columns

GOLDEN = GOLDEN_FOLDER / "worst.txt"
FOUND = {
    "tone-1a2b3c4d": (
        Answered(7, "what a lovely day", "friendly", "angry", 0.0),
        Answered(118, "短い質問", "friendly", "", 0.0),
        Answered(1042, HOSTILE, HOSTILE, HOSTILE, 0.5),
    ),
    "all-right-1a2b3c4d": (),
    "other-1a2b3c4d": (Answered(1, "stop it", "angry", "friendly", 0.0),),
}


def test_the_worst_answers_are_the_golden_file(golden: Callable[[Path, str], None]) -> None:
    text = worst_text(FOUND)
    golden(GOLDEN, text)
    assert text.replace("\n", "").isprintable()
    assert max(map(columns, text.splitlines())) <= 100


def test_without_answers_nothing_is_said() -> None:
    assert worst_text({}) == worst_text({"tone-1a2b3c4d": ()}) == ""
