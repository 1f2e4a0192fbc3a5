"""The worst answers at the end of an apply: aligned, cut and printable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tests.support.plan_models import HOSTILE
from tunedmodels.evaluation.scoring import ScoredAnswer
from tunedmodels.render.evaluation import worst_answers_text
from tunedmodels.render.layout import columns

GOLDEN = GOLDEN_FOLDER / "worst.txt"
ANSWERS = {
    "tone-1a2b3c4d": (
        ScoredAnswer(7, "what a lovely day", "friendly", "angry", 0.0),
        ScoredAnswer(118, "短い質問", "friendly", "", 0.0),
        ScoredAnswer(1042, HOSTILE, HOSTILE, HOSTILE, 0.5),
    ),
    "all-right-1a2b3c4d": (),
    "other-1a2b3c4d": (ScoredAnswer(1, "stop it", "angry", "friendly", 0.0),),
}


def test_the_worst_answers_equal_their_golden_file(golden: Callable[[Path, str], None]) -> None:
    text = worst_answers_text(ANSWERS)
    golden(GOLDEN, text)
    assert text.replace("\n", "").isprintable()
    assert max(map(columns, text.splitlines())) <= 100


def test_no_answers_give_no_text() -> None:
    assert worst_answers_text({}) == worst_answers_text({"tone-1a2b3c4d": ()}) == ""
