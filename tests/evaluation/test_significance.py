"""Significance: against manual calculations, against laws, and against simulated gates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunedmodels.evaluation.metrics import METRICS
from tunedmodels.evaluation.significance import ROUNDS, Gain, examples_needed, gain, interval

if TYPE_CHECKING:
    from tunedmodels.evaluation.significance import Rows

READ = METRICS["exactMatch"].score_sums
PAIRS = st.lists(st.tuples(st.sampled_from([0, 0.25, 0.5, 1]), st.floats(0, 1)), min_size=1)


def rows(values: Sequence[float]) -> Rows:
    """Return the summands of a mean."""
    return np.column_stack([np.array(values, float), np.ones(len(values))])


def compared(pairs: Sequence[tuple[float, float]]) -> Gain:
    before, after = zip(*pairs, strict=True)
    return gain(rows(before), rows(after), READ)


def mcnemar(better: int, worse: int) -> float:
    """Return the exact one-sided probability that so many of the different pairs are better."""
    pairs = better + worse
    return float(sum(math.comb(pairs, count) for count in range(better, pairs + 1)) / 2**pairs)


@pytest.mark.parametrize(("better", "worse"), [(1, 0), (5, 0), (6, 1), (10, 4), (20, 10), (30, 10)])
def test_for_right_and_wrong_answers_it_is_mcnemars_exact_test(better: int, worse: int) -> None:
    pairs = [(0.0, 1.0)] * better + [(1.0, 0.0)] * worse + [(1.0, 1.0)] * 40
    chance = mcnemar(better, worse)
    error = math.sqrt(chance * (1 - chance) / ROUNDS)
    assert compared(pairs).p_value == pytest.approx(chance, abs=4 * error + 2 / ROUNDS)


def test_the_interval_of_a_mean_is_the_standard_one() -> None:
    values = [0.0, 1.0] * 200
    result = interval(rows(values), READ)
    width = 1.645 * 0.5 / math.sqrt(400)
    assert (result.low, result.high) == pytest.approx((0.5 - width, 0.5 + width), abs=0.004)


def test_the_interval_of_a_small_sample_allows_for_values_not_in_it() -> None:
    perfect = interval(rows([1.0] * 20), READ)
    assert perfect.low == pytest.approx(20 / (20 + 1.6449**2))  # Wilson
    assert perfect.high == 1
    same = compared([(1.0, 1.0)] * 20)
    assert (same.low, same.high) == pytest.approx((-1.6449 / 22, 1.6449 / 22))
    assert same.value == 0
    assert not same.is_better
    assert not same.is_worse


@given(PAIRS, st.randoms())
def test_the_order_of_the_examples_does_not_matter(
    pairs: list[tuple[float, float]], random: object
) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # a Random, as hypothesis types it
    first, second = compared(pairs), compared(shuffled)
    assert first.value == pytest.approx(second.value)
    assert (first.low, first.high, first.p_value) == pytest.approx(
        (second.low, second.high, second.p_value)
    )


@given(PAIRS)
def test_the_result_is_the_same_every_time(pairs: list[tuple[float, float]]) -> None:
    assert compared(pairs) == compared(pairs)


@settings(max_examples=50)
@given(PAIRS)
def test_the_reverse_comparison_turns_a_gain_into_a_loss(pairs: list[tuple[float, float]]) -> None:
    forward, reverse = compared(pairs), compared([(after, before) for before, after in pairs])
    step = 1 / len(pairs)
    assert forward.value == pytest.approx(-reverse.value)
    assert forward.p_value == pytest.approx(reverse.p_value, abs=0.04)
    assert forward.low == pytest.approx(-reverse.high, abs=0.04 + step)


@given(PAIRS)
def test_a_value_is_within_its_interval(pairs: list[tuple[float, float]]) -> None:
    result = compared(pairs)
    assert -1 <= result.low <= result.value <= result.high <= 1
    assert 0 < result.p_value <= 1


def test_a_gain_in_macro_f1_is_tested_on_the_score() -> None:
    metric = METRICS["macroF1"]
    expected = ["a"] * 40 + ["b"] * 20
    always, right = ["a"] * 60, expected
    result = gain(
        metric.summands(expected, always), metric.summands(expected, right), metric.score_sums
    )
    assert result.value == pytest.approx(1 - (2 * 40 / 100) / 2)
    assert result.is_better
    same = gain(
        metric.summands(expected, always), metric.summands(expected, always), metric.score_sums
    )
    assert (same.value, same.p_value) == (0, 1)


def right(random: np.random.Generator, count: int, gained: float) -> tuple[Rows, Rows]:
    """Return answers of which 70 % are right before; then 5 % are lost, and 5 % + `gained` won."""
    before = random.random(count) < 0.7
    chance = random.random(count)
    after = np.where(before, chance >= 0.05 / 0.7, chance < (0.05 + gained) / 0.3)
    return rows(before.tolist()), rows(after.tolist())


# The shares that pass, as in the simulation for the design of the gate: 5 of 100 without a gain.
# fmt: off
SIMULATED = [  # examples  true gain  sign flip     interval above 0
    (20,        0.0,       (0.00, 0.03), (0.00, 0.07)),
    (50,        0.0,       (0.00, 0.04), (0.01, 0.09)),
    (100,       0.0,       (0.00, 0.06), (0.01, 0.09)),
    (100,       0.1,       (0.55, 0.80), (0.60, 0.85)),
    (200,       0.1,       (0.85, 1.00), (0.85, 1.00)),
]
# fmt: on


@pytest.mark.parametrize(("count", "gained", "by_flips", "by_bounds"), SIMULATED)
def test_chance_is_taken_for_progress_about_once_in_twenty(
    count: int, gained: float, by_flips: tuple[float, float], by_bounds: tuple[float, float]
) -> None:
    random = np.random.default_rng(7)
    gains = [gain(*right(random, count, gained), READ) for _ in range(150)]
    flips = sum(result.is_better for result in gains) / len(gains)
    bounds = sum(result.low > 0 for result in gains) / len(gains)
    assert by_flips[0] <= flips <= by_flips[1]
    assert by_bounds[0] <= bounds <= by_bounds[1]


def test_the_needed_number_of_examples_is_enough() -> None:
    random = np.random.default_rng(11)
    few = gain(*right(random, 60, 0.05), READ)
    spread = few.spread
    count = examples_needed(0.05, spread)
    assert count
    assert count > 60
    passed = [gain(*right(random, count, 0.05), READ).low > 0 for _ in range(60)]
    assert sum(passed) / len(passed) > 0.65  # 8 of 10, and the spread is itself an estimate


def test_no_number_of_examples_shows_a_difference_that_does_not_exist() -> None:
    assert examples_needed(0.0, 0.5) is None
    assert examples_needed(-0.1, 0.5) is None
    assert examples_needed(0.0001, 0.5) is None


@given(st.integers(1, 300), st.floats(0.001, 0.5))
def test_the_needed_number_of_examples_is_larger_than_the_existing_one(
    count: int, distance: float
) -> None:
    result = interval(rows([1.0] * (count // 2) + [0.0] * (count - count // 2)), READ)
    if result.value - distance > result.low > 0:
        needed = examples_needed(distance, result.spread)
        assert needed is None or needed > count
