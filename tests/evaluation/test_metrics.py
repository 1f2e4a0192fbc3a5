"""What an answer is worth."""

from __future__ import annotations

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.evaluation.metrics import METRICS
from tunedmodels.schema.tuned_model import MetricName

# fmt: off
CASES = [  # metric           expected              got                              value
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


@pytest.mark.parametrize(("metric", "expected", "got", "value"), CASES)
def test_an_answer_is_worth(metric: str, expected: str, got: str, value: float) -> None:
    assert METRICS[metric].value(expected, got) == pytest.approx(value)


def test_the_manifest_may_name_every_metric_and_no_other() -> None:
    assert set(METRICS) == set(get_args(MetricName))


@pytest.mark.parametrize("metric", METRICS)
@given(expected=st.text(max_size=30), got=st.text(max_size=30))
def test_every_value_lies_between_0_and_1_and_what_is_equal_is_worth_1(
    metric: str, expected: str, got: str
) -> None:
    value = METRICS[metric].value
    assert 0 <= value(expected, got) <= 1
    if not METRICS[metric].refuse(expected):
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
    # By hand: a has 8 hits of 10 answers and 8 examples, 2 x 8 / 18; b has none.
    assert METRICS["macroF1"].score(expected, always) == pytest.approx((16 / 18 + 0) / 2)


def test_macro_f1_takes_an_answer_that_is_no_label_as_a_miss_and_no_more() -> None:
    # a: 1 hit, 1 answer, 2 examples; b: 2 hits of 2 and 2. "c" is no label of the examples.
    score = METRICS["macroF1"].score(["a", "a", "b", "b"], ["a", "c", "b", "b"])
    assert score == pytest.approx((2 / 3 + 1) / 2)


def test_only_json_can_be_expected_where_fields_are_compared() -> None:
    assert METRICS["jsonFields"].refuse("no json").startswith("is no JSON")
    assert not METRICS["jsonFields"].refuse('{"a": 1}')
    assert all(not METRICS[name].refuse("no json") for name in METRICS if name != "jsonFields")


def test_chrf_is_that_of_sacrebleu() -> None:
    # sacrebleu's own value for this pair; chrF2++|nrefs:1|case:mixed|eff:yes|nc:6|nw:2
    value = METRICS["chrF"].value("the cat sat on the mat", "the cat sat")
    assert math.isclose(value, 0.4983595, rel_tol=1e-6)


def test_a_label_that_was_not_drawn_does_not_count_against_a_sample() -> None:
    metric = METRICS["macroF1"]
    rows = metric.tally(["a", "a", "b"], ["a", "a", "b"])
    drawn = rows[:2].sum(axis=0, keepdims=True)  # without the only example of b
    assert metric.read(drawn).tolist() == [1.0]
