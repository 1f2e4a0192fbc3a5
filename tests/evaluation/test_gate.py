"""What a gate says of a version, in decisions and in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import evaluation
from tunedmodels.evaluation.gate import Verdict, judge
from tunedmodels.evaluation.scoring import Answered, Scores
from tunedmodels.stamp import Decision

PASSED, REFUSED, INCONCLUSIVE = Decision.PASSED, Decision.REFUSED, Decision.INCONCLUSIVE


def scores(right: int, of: int, *, shift: int = 0) -> Scores:
    """Answers of which `right` are; `shift` moves them round, so that other ones are right."""
    values = [float((place - shift) % of < right) for place in range(of)]
    answers = [
        Answered(line, f"input {line}", "yes", "yes" if value else "no", value)
        for line, value in enumerate(values, 1)
    ]
    return Scores("exactMatch", tuple(answers))


def verdict(candidate: Scores, serving: Scores | None = None, **rules: Any) -> Verdict:
    return judge(evaluation(**rules), candidate, serving)


# fmt: off
AT_LEAST = [  # right  of    at least  decision      in words
    (95,  100,  0.8,  PASSED,       "That is at least 0.8."),
    (100, 100,  0.95, PASSED,       "That is at least 0.95."),
    (18,  20,   0.8,  INCONCLUSIVE, "cannot tell it from less than atLeast 0.8. About "),
    (3,   3,    0.9,  INCONCLUSIVE, "cannot tell it from less than atLeast 0.9. About "),
    (80,  100,  0.8,  INCONCLUSIVE, "cannot tell it from less than atLeast 0.8. More "),
    (15,  20,   0.8,  REFUSED,      "below atLeast 0.8, though by as little as luck may do."),
    (50,  100,  0.8,  REFUSED,      "That is below atLeast 0.8, clearly."),
    (0,   1,    0.0,  PASSED,       "That is at least 0."),
    (20,  20,   1.0,  INCONCLUSIVE, "cannot tell it from less than atLeast 1. More "),
]
NOT_WORSE = [  # candidate, serving (right, shift)  of  margin  decision  in words
    ((90, 0),  (90, 0),  100, 0.05, PASSED,       "not worse by 0.05."),
    ((95, 0),  (80, 0),  100, 0.0,  PASSED,       "not worse by 0."),
    ((90, 0),  (90, 0),  20,  0.05, INCONCLUSIVE, "cannot tell whether it is worse by 0.05."),
    ((60, 0),  (90, 0),  100, 0.05, REFUSED,      "worse, and that is no bad luck."),
    ((88, 5),  (90, 0),  100, 0.02, INCONCLUSIVE, "cannot tell whether it is worse by 0.02."),
]
# fmt: on


@pytest.mark.parametrize(("right", "of", "threshold", "decision", "words"), AT_LEAST)
def test_a_score_is_held_against_at_least(
    right: int, of: int, threshold: float, decision: Decision, words: str
) -> None:
    found = verdict(scores(right, of), at_least=threshold)
    assert (found.decision, found.promotes) == (decision, decision is PASSED)
    assert words in found.words
    assert found.words.startswith(f"exactMatch {right / of:.3f} (")


@pytest.mark.parametrize("case", NOT_WORSE, ids=str)
def test_a_version_is_held_against_the_one_that_serves(case: tuple[Any, ...]) -> None:
    new, old, of, margin, decision, words = case
    candidate, serving = (scores(right, of, shift=shift) for right, shift in (new, old))
    found = verdict(candidate, serving, not_worse_than_serving_by=margin)
    assert found.decision is decision
    assert words in found.words
    assert found.gain


def test_where_nothing_serves_there_is_nothing_to_be_worse_than() -> None:
    found = verdict(scores(1, 20), not_worse_than_serving_by=0.02)
    assert found.decision is PASSED
    assert "Nothing serves" in found.words
    assert found.gain is None


def test_a_serving_version_that_cannot_be_asked_leaves_it_open() -> None:
    rules = evaluation(not_worse_than_serving_by=0.02)
    found = judge(rules, scores(20, 20), no_serving="it was trained with another preamble")
    assert found.decision is INCONCLUSIVE
    assert "could not be compared: it was trained with another preamble." in found.words


def test_the_worst_threshold_decides() -> None:
    rules = {"at_least": 0.5, "not_worse_than_serving_by": 0.02}
    found = verdict(scores(60, 100), scores(90, 100), **rules)
    assert found.decision is REFUSED
    assert "That is at least 0.5." in found.words


def test_a_gate_that_may_stay_open_lets_the_undecided_through_and_nothing_else() -> None:
    rules: dict[str, Any] = {"at_least": 0.8, "on_inconclusive": "promote"}
    undecided = verdict(scores(18, 20), **rules)
    assert (undecided.decision, undecided.promotes) == (INCONCLUSIVE, True)
    assert "as onInconclusive says" in undecided.words
    below = verdict(scores(15, 20), **rules)
    assert (below.decision, below.promotes) == (REFUSED, False)


def test_it_says_how_many_examples_would_do() -> None:
    few = verdict(scores(18, 20), at_least=0.8)
    assert few.enough
    assert f"About {few.enough:,} examples would do." in few.words
    share = 18 / 20
    would = verdict(scores(round(share * few.enough), few.enough), at_least=0.8)
    assert would.decision is PASSED


def test_no_number_is_said_where_one_threshold_can_never_be_told() -> None:
    rules = {"at_least": 0.9, "not_worse_than_serving_by": 0.02}
    found = verdict(scores(18, 20), scores(18, 20, shift=1), **rules)
    assert found.enough is None
    assert "More examples would hardly tell." in found.words


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0, 1))
def test_nothing_below_its_threshold_ever_passes(right: int, of: int, threshold: float) -> None:
    right = min(right, of)
    found = verdict(scores(right, of), at_least=threshold, on_inconclusive="promote")
    if right / of < threshold:
        assert found.decision is REFUSED
    assert found.promotes == (right / of >= threshold)


def test_words_hold_no_text_of_the_examples() -> None:
    found = verdict(scores(5, 20), scores(18, 20), at_least=0.8, not_worse_than_serving_by=0.1)
    assert "input" not in found.words
    assert "input" not in repr(scores(5, 20))
