"""Metrics: the value of an answer, and the score of many."""

from __future__ import annotations

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.evaluation.metrics import METRICS
from tunedmodels.schema.tuned_model import MetricName

# fmt: off
CASES = [  # metric           expected              actual                           value
    ("exactMatch",      "refund",             " refund\n",                     1.0),
    ("exactMatch",      "refund",             "Refund",                        0.0),
    ("normalizedMatch", "Refund.",            "\uff32efund",               1.0),
    ("normalizedMatch", "Straße 1",           "STRASSE  1!",                   1.0),
    ("normalizedMatch", "refund",             "a refund",                      0.0),
    ("labelAccuracy",   "refund",             "Refund.\n\nThe customer asks.", 1.0),
    ("labelAccuracy",   "refund",             '"refund"',                      1.0),
    ("labelAccuracy",   "refund",             "I think: refund",               0.0),
    ("macroF1",         "refund",             "REFUND",                        1.0),
    ("chrF",            "the cat sat",        "the cat sat",                   1.0),
    ("chrF",            "the cat sat",        "",                              0.0),
    ("chrF",            "",                   "",                              1.0),
    ("editSimilarity",  "kitten",             "sitten",                        5 / 6),
    ("editSimilarity",  "",                   "",                              1.0),
    ("jsonFields",      '{"a": 1, "b": [2]}', '{"b":[2],"a":1.0}',             1.0),
    ("jsonFields",      '{"a": 1, "b": [2]}', '```json\n{"a": 1}\n```',        0.5),
    ("jsonFields",      '{"a": 1}',           '{"a": 1, "b": 2, "c": 3}',      1 / 3),
    ("jsonFields",      '{"a": 1}',           '{"a": "1"}',                    0.0),
    ("jsonFields",      '{"a": true}',        '{"a": 1}',                      0.0),
    ("jsonFields",      '{"a": 1}',           "the answer is 1",               0.0),
    ("jsonFields",      "{}",                 "{}",                            1.0),
    ("jsonFields",      '{"a": 1}',           "[" * 100_000,                   0.0),
]
# fmt: on


@pytest.mark.parametrize(("metric", "expected", "actual", "value"), CASES)
def test_the_value_of_an_answer(metric: str, expected: str, actual: str, value: float) -> None:
    assert METRICS[metric].value(expected, actual) == pytest.approx(value)


def test_the_metrics_are_those_that_a_manifest_may_name() -> None:
    assert set(METRICS) == set(get_args(MetricName))


@pytest.mark.parametrize("metric", METRICS)
@given(expected=st.text(max_size=30), actual=st.text(max_size=30))
def test_every_value_is_between_0_and_1_and_equal_texts_have_the_value_1(
    metric: str, expected: str, actual: str
) -> None:
    value = METRICS[metric].value
    assert 0 <= value(expected, actual) <= 1
    if not METRICS[metric].rejection_reason(expected):
        assert value(expected, expected) == 1


@pytest.mark.parametrize("metric", METRICS)
def test_the_score_of_right_answers_is_1_and_of_wrong_ones_0(metric: str) -> None:
    expected = ['{"a": 1}', '{"b": 2}']
    assert METRICS[metric].score(expected, expected) == 1
    assert METRICS[metric].score(expected, ["", ""]) == 0


def test_a_rare_label_counts_as_much_as_a_frequent_one_in_macro_f1() -> None:
    expected = ["a"] * 8 + ["b"] * 2
    always = ["a"] * 10
    assert METRICS["labelAccuracy"].score(expected, always) == pytest.approx(0.8)
    # Calculated manually: a has 8 hits, 10 answers and 8 examples, 2 x 8 / 18; b has no hits.
    assert METRICS["macroF1"].score(expected, always) == pytest.approx((16 / 18 + 0) / 2)


def test_macro_f1_counts_an_answer_that_is_not_a_label_as_a_miss_only() -> None:
    # a: 1 hit, 1 answer, 2 examples; b: 2 hits, 2 answers, 2 examples. No example has label c.
    score = METRICS["macroF1"].score(["a", "a", "b", "b"], ["a", "c", "b", "b"])
    assert score == pytest.approx((2 / 3 + 1) / 2)


def test_json_fields_require_an_expected_text_that_is_json() -> None:
    assert METRICS["jsonFields"].rejection_reason("no json").startswith("is not JSON")
    assert not METRICS["jsonFields"].rejection_reason('{"a": 1}')
    assert all(
        not METRICS[name].rejection_reason("no json") for name in METRICS if name != "jsonFields"
    )


def test_chrf_is_the_value_of_sacrebleu() -> None:
    # The value of sacrebleu for this pair: chrF2++|nrefs:1|case:mixed|eff:yes|nc:6|nw:2
    value = METRICS["chrF"].value("the cat sat on the mat", "the cat sat")
    assert math.isclose(value, 0.4983595, rel_tol=1e-6)


def test_a_label_without_examples_in_a_sample_is_ignored() -> None:
    metric = METRICS["macroF1"]
    rows = metric.summands(["a", "a", "b"], ["a", "a", "b"])
    drawn = rows[:2].sum(axis=0, keepdims=True)  # without the only example of b
    assert metric.score_sums(drawn).tolist() == [1.0]
