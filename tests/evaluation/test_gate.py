"""The gate: its decision on a version, and its message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import evaluation
from tunedmodels.evaluation.gate import GateVerdict, evaluate_gate
from tunedmodels.evaluation.scoring import ScoredAnswer, Scores
from tunedmodels.stamp import Decision

PASSED, REFUSED, INCONCLUSIVE = Decision.PASSED, Decision.REFUSED, Decision.INCONCLUSIVE


def scores(right: int, of: int, *, shift: int = 0) -> Scores:
    """Return answers of which `right` are right; with `shift`, other ones are right."""
    values = [float((index - shift) % of < right) for index in range(of)]
    answers = [
        ScoredAnswer(line, f"input {line}", "yes", "yes" if value else "no", value)
        for line, value in enumerate(values, 1)
    ]
    return Scores("exactMatch", tuple(answers))


def verdict(candidate: Scores, serving: Scores | None = None, **rules: Any) -> GateVerdict:
    return evaluate_gate(evaluation(**rules), candidate, serving)


# fmt: off
AT_LEAST = [  # right  of    at least  decision      message
    (95,  100,  0.8,  PASSED,       "That is at least 0.8."),
    (100, 100,  0.95, PASSED,       "That is at least 0.95."),
    (18,  20,   0.8,  INCONCLUSIVE, "to show that it reaches atLeast 0.8. About "),
    (3,   3,    0.9,  INCONCLUSIVE, "to show that it reaches atLeast 0.9. About "),
    (80,  100,  0.8,  INCONCLUSIVE, "to show that it reaches atLeast 0.8. More "),
    (15,  20,   0.8,  REFUSED,      "below atLeast 0.8, although the difference may be chance."),
    (50,  100,  0.8,  REFUSED,      "That is clearly below atLeast 0.8."),
    (0,   1,    0.0,  PASSED,       "That is at least 0."),
    (20,  20,   1.0,  INCONCLUSIVE, "to show that it reaches atLeast 1. More "),
]
NOT_WORSE = [  # candidate, serving (right, shift)  of  margin  decision  message
    ((90, 0),  (90, 0),  100, 0.05, PASSED,       "not worse by 0.05."),
    ((95, 0),  (80, 0),  100, 0.0,  PASSED,       "not worse by 0."),
    ((90, 0),  (90, 0),  20,  0.05, INCONCLUSIVE, "to tell whether it is worse by 0.05."),
    ((60, 0),  (90, 0),  100, 0.05, REFUSED,      ": significantly worse."),
    ((88, 5),  (90, 0),  100, 0.02, INCONCLUSIVE, "to tell whether it is worse by 0.02."),
]
# fmt: on


@pytest.mark.parametrize(("right", "of", "threshold", "decision", "message"), AT_LEAST)
def test_a_score_is_compared_with_at_least(
    right: int, of: int, threshold: float, decision: Decision, message: str
) -> None:
    result = verdict(scores(right, of), at_least=threshold)
    assert (result.decision, result.can_serve) == (decision, decision is PASSED)
    assert message in result.message
    assert result.message.startswith(f"exactMatch {right / of:.3f} (")


@pytest.mark.parametrize("case", NOT_WORSE, ids=str)
def test_a_version_is_compared_with_the_serving_version(case: tuple[Any, ...]) -> None:
    new, old, of, margin, decision, message = case
    candidate, serving = (scores(right, of, shift=shift) for right, shift in (new, old))
    result = verdict(candidate, serving, not_worse_than_serving_by=margin)
    assert result.decision is decision
    assert message in result.message
    assert result.gain


def test_without_a_serving_version_not_worse_passes() -> None:
    result = verdict(scores(1, 20), not_worse_than_serving_by=0.02)
    assert result.decision is PASSED
    assert "No serving version exists to compare with." in result.message
    assert result.gain is None


def test_a_serving_version_that_cannot_be_evaluated_makes_the_gate_inconclusive() -> None:
    rules = evaluation(not_worse_than_serving_by=0.02)
    result = evaluate_gate(
        rules, scores(20, 20), no_baseline_reason="it was trained with another preamble"
    )
    assert result.decision is INCONCLUSIVE
    assert (
        "The serving version could not be compared: it was trained with another preamble."
        in result.message
    )


def test_the_worst_threshold_decides() -> None:
    rules = {"at_least": 0.5, "not_worse_than_serving_by": 0.02}
    result = verdict(scores(60, 100), scores(90, 100), **rules)
    assert result.decision is REFUSED
    assert "That is at least 0.5." in result.message


def test_on_inconclusive_promote_allows_inconclusive_versions_only() -> None:
    rules: dict[str, Any] = {"at_least": 0.8, "on_inconclusive": "promote"}
    undecided = verdict(scores(18, 20), **rules)
    assert (undecided.decision, undecided.can_serve) == (INCONCLUSIVE, True)
    assert "It may serve, because onInconclusive is promote." in undecided.message
    below = verdict(scores(15, 20), **rules)
    assert (below.decision, below.can_serve) == (REFUSED, False)


def test_an_inconclusive_gate_says_how_many_examples_would_be_enough() -> None:
    few = verdict(scores(18, 20), at_least=0.8)
    assert few.examples_needed
    assert f"About {few.examples_needed:,} examples would be enough." in few.message
    share = 18 / 20
    enough = verdict(scores(round(share * few.examples_needed), few.examples_needed), at_least=0.8)
    assert enough.decision is PASSED


def test_no_number_of_examples_is_named_if_one_threshold_cannot_be_decided() -> None:
    rules = {"at_least": 0.9, "not_worse_than_serving_by": 0.02}
    result = verdict(scores(18, 20), scores(18, 20, shift=1), **rules)
    assert result.examples_needed is None
    assert "More examples are unlikely to decide it." in result.message


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0, 1))
def test_no_score_below_its_threshold_passes(right: int, of: int, threshold: float) -> None:
    right = min(right, of)
    result = verdict(scores(right, of), at_least=threshold, on_inconclusive="promote")
    if right / of < threshold:
        assert result.decision is REFUSED
    assert result.can_serve == (right / of >= threshold)


def test_the_message_contains_no_text_of_the_examples() -> None:
    result = verdict(scores(5, 20), scores(18, 20), at_least=0.8, not_worse_than_serving_by=0.1)
    assert "input" not in result.message
    assert "input" not in repr(scores(5, 20))
