"""The interpretation of loss curves: on curves of a known kind and on real runs."""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Sequence
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.datasets.examples import Example
from tunedmodels.engines import ENGINES
from tunedmodels.engines.engine import TuningRequest
from tunedmodels.evaluation.curves import CurveKind, CurveReading, read_curve
from tunedmodels.observed import LossPoint

STEPS = 10  # per epoch, unless a test says otherwise
WIGGLE = (0.02, -0.01, 0.0, 0.01, -0.02) * 2


def curve(epochs: Sequence[float], *, untuned: float = 2.0, noise: float = 1.0) -> list[LossPoint]:
    """Return one point per step around the epoch means; the first is that of the untuned model."""
    losses = [mean + noise * extra for mean in epochs for extra in WIGGLE]
    losses[0] = untuned
    return [LossPoint(n, n // STEPS, loss) for n, loss in enumerate(losses, 1)]


FLAT_AFTER_FOUR = [1.0, 0.5, 0.3, *[0.1] * 9]

# fmt: off
CASES = [
    # epoch means                          kind                   epochCount  meaning
    ([1.6, 1.3, 1.0, 0.8, 0.6],             CurveKind.FALLING,      10,    "falling to the end"),
    ([1.5, 0.9, 0.5, 0.3, 0.18],            CurveKind.FALLING,      None,  "little is left"),
    ([1.6, 1.3, 1.0, 0.7],                  CurveKind.FALLING,      None,  "four epochs"),
    ([1.99, 1.98, 1.97, 1.96, 1.95],        CurveKind.FALLING,      None,  "hardly moving"),
    ([2 - n / 15 for n in range(20)],       CurveKind.FALLING,      None,  "falling slowly"),
    (FLAT_AFTER_FOUR,                       CurveKind.PLATEAU,      5,     "flat from epoch 4"),
    ([1.0, 0.5, 0.3, 0.1, 0.1, 0.1, 0.1],   CurveKind.PLATEAU,      None,  "little is saved"),
    ([1.0, 0.2, 0.1, 0.1, 0.1],             CurveKind.PLATEAU,      None,  "flat from epoch 3"),
    ([0.2, *[0.0] * 8],                     CurveKind.PLATEAU,      3,     "learned at once"),
    ([0.2, 0.0, 0.0, 0.0],                  CurveKind.PLATEAU,      None,  "at once, too short"),
    ([0.1, 0.0, 1e-7, -1e-6, 0.0, 0.0],     CurveKind.PLATEAU,      3,     "a little below 0"),
    ([1.5, 1.2, 1.1, 1.1, 1.1],             CurveKind.STUCK,        None,  "flat and high"),
    ([2.0, 2.0, 2.0, 2.0],                  CurveKind.STUCK,        None,  "nothing learned"),
    ([1.0, 0.4, 0.3, 0.5, 0.8],             CurveKind.RISING,       None,  "up again"),
    ([1.0, 0.4, 0.3, 0.33, 0.33],           CurveKind.PLATEAU,      None,  "hardly up"),
    ([4.0, 5.0, 6.0, 7.0],                  CurveKind.DIVERGED,     None,  "above untuned"),
    ([1.0, math.nan, math.nan],             CurveKind.DIVERGED,     None,  "no number"),
    ([1.0, math.inf, 1.0],                  CurveKind.DIVERGED,     None,  "infinite in between"),
    ([1.0],                                 CurveKind.TOO_SHORT,    None,  "one epoch"),
    ([1.6, 1.2, 1.7, 1.1, 1.5, 1.15],       CurveKind.NOISY,        None,  "up and down"),
    ([0.9, 0.3, 0.9, 0.2, 0.7, 0.19, 0.3],  CurveKind.NOISY,        None,  "noisy, though low"),
    ([1.0, 0.4, 0.3, 1.1, 1.6],             CurveKind.RISING,       None,  "far up at the end"),
    ([1.6, 1.2, 0.9, 1.0, 0.7, 0.45],       CurveKind.FALLING,      12,    "one rise in between"),
]
# fmt: on


@pytest.mark.parametrize(
    ("epochs", "kind", "recommended", "meaning"), CASES, ids=[case[3] for case in CASES]
)
def test_a_curve_of_a_known_kind_is_recognised(
    epochs: list[float], kind: CurveKind, recommended: int | None, meaning: str
) -> None:
    # The noise must be small compared with the losses.
    reading = read_curve(curve(epochs, noise=0.0 if min(epochs) < 0.1 else 1.0))
    assert (reading.kind, reading.recommended_epoch_count) == (kind, recommended), meaning


ADVICE = {
    "plateau": (
        FLAT_AFTER_FOUR,
        (
            "The loss levels off after epoch 4, at 0.1 from 2 untuned. 5 epochs would reach that "
            "loss and save 58% of the cost. Set hyperparameters.epochCount: 5."
        ),
    ),
    "nothing to save": (
        [1.0, 0.2, 0.1, 0.1, 0.1],
        "The loss levels off after epoch 3, at 0.1 from 2 untuned.",
    ),
    "falling": (
        [1.6, 1.3, 1.0, 0.8, 0.6],
        (
            "The loss was still falling after epoch 5, at 0.6 from 2 untuned. 10 epochs would "
            "lower it by about 0.3 and cost twice as much. Set hyperparameters.epochCount: 10."
        ),
    ),
    "little is left": (
        [1.5, 0.9, 0.5, 0.3, 0.18],
        (
            "The loss was still falling after epoch 5, at 0.18 from 2 untuned. More epochs would "
            "lower it only a little."
        ),
    ),
    "short": (
        [1.6, 1.3, 1.0, 0.7],
        (
            "The loss was still falling after epoch 4, at 0.7 from 2 untuned. The run is too short "
            "to recommend a number of epochs."
        ),
    ),
    "falling slowly": (
        [2 - n / 15 for n in range(20)],
        (
            "The loss was still falling after epoch 20, at 0.733 from 2 untuned. After so many "
            "epochs, a higher learning rate helps more than further epochs."
        ),
    ),
    "hardly moving": (
        [1.99, 1.97, 1.95],
        (
            "The loss was still falling after epoch 3, at 1.95 from 2 untuned. It has fallen "
            "little: try ten times the learning rate."
        ),
    ),
    "rising": (
        [1.0, 0.4, 0.3, 0.5, 0.8],
        (
            "The loss was lowest in epoch 3 (0.3) and rose to 0.8 by epoch 5. The learning rate is "
            "too high: divide it by three."
        ),
    ),
    "diverged": (
        [4.0, 5.0, 6.0],
        (
            "The loss ended at 6, above the 2 of the untuned model. The learning rate is too high: "
            "divide it by ten."
        ),
    ),
    "no number": (
        [1.0, math.nan],
        "The loss is no longer a finite number. The learning rate is too high: divide it by ten.",
    ),
    "stuck": (
        [1.5, 1.2, 1.1, 1.1, 1.1],
        (
            "The loss levels off at 1.1, from 2 untuned: little of the data was learned. Lower the "
            "learning rate, and look for equal inputs with different outputs."
        ),
    ),
    "noisy": (
        [1.6, 1.2, 1.7, 1.1, 1.5, 1.15],
        (
            "Cannot tell: the loss rose and fell again between epochs by 0.85 in total, and fell "
            "by only 0.9 overall. A larger batchSize or a lower learning rate makes the curve "
            "smoother; also look for equal inputs with different outputs."
        ),
    ),
}


@pytest.mark.parametrize(("epochs", "advice"), ADVICE.values(), ids=ADVICE.keys())
def test_the_advice_names_manifest_fields(epochs: list[float], advice: str) -> None:
    assert read_curve(curve(epochs, noise=1e-9)).advice == advice


def test_a_single_epoch_shows_no_trend() -> None:
    assert read_curve(curve([1.0]), epoch_count=1).advice == (
        "Cannot tell: a curve of fewer than two epochs shows no trend."
    )
    assert read_curve([]).kind is CurveKind.TOO_SHORT
    assert read_curve([LossPoint(1, 0, 2.0)]).epoch_means == ()


def test_a_running_job_gets_no_advice_for_more_epochs() -> None:
    reading = read_curve(curve([1.5, 0.9, 0.5]), epoch_count=8)
    assert reading.kind is CurveKind.FALLING
    assert reading.recommended_epoch_count is None
    assert reading.advice == "The loss is still falling after 3 of 8 epochs."


def test_a_running_job_gets_no_advice_for_fewer_epochs() -> None:
    reading = read_curve(curve(FLAT_AFTER_FOUR), epoch_count=50)
    assert (reading.kind, reading.recommended_epoch_count) == (CurveKind.PLATEAU, None)


def test_few_steps_lead_to_no_advice_on_epochs() -> None:
    every_fifth = [p for p in curve(FLAT_AFTER_FOUR) if p.step == 1 or p.step % 5 == 0]
    assert read_curve(every_fifth).recommended_epoch_count == 5
    every_tenth = [p for p in curve(FLAT_AFTER_FOUR) if p.step == 1 or p.step % 10 == 0]
    assert read_curve(every_tenth).recommended_epoch_count is None


def test_an_easy_first_batch_does_not_make_a_good_curve_bad() -> None:
    reading = read_curve(curve([1.0, 0.4, 0.2, 0.1], untuned=0.08))
    assert reading.kind is CurveKind.FALLING


# Held-out examples

FALLING = [1.6, 1.3, 1.0, 0.8, 0.6]


def held_out(epochs: Sequence[float]) -> list[list[float]]:
    """Return the losses of ten examples, with the same deviations from the mean in every epoch."""
    return [[mean + 5 * extra for extra in WIGGLE] for mean in epochs]


@pytest.mark.parametrize(
    ("means", "kind", "recommended"),
    [
        ([1.6, 1.0, 0.8, 0.9, 1.1], CurveKind.OVERFITTING, 3),
        ([1.6, 1.0, 0.8, 0.7, 0.7], CurveKind.FALLING, None),
        ([1.6, 1.0, 0.8, 0.78, 0.8], CurveKind.FALLING, None),
        ([1.6, 1.4, 1.1, 0.9, 0.7], CurveKind.FALLING, 10),
    ],
)
def test_held_out_losses_that_rise_are_overfitting(
    means: list[float], kind: CurveKind, recommended: int | None
) -> None:
    reading = read_curve(curve(FALLING), held_out=held_out(means))
    assert (reading.kind, reading.recommended_epoch_count) == (kind, recommended)


def test_a_held_out_rise_that_may_be_chance_is_not_overfitting() -> None:
    # The mean rises by 3%, because of only one example of ten.
    before, after = [1.0] * 10, [1.0] * 8 + [0.5, 1.8]
    reading = read_curve(curve([1.5, 0.9]), held_out=[before, after])
    assert reading.kind is CurveKind.FALLING


# Following the advice

LONGEST = 80  # epochs of a curve, of which a run has the first


def follow(means: Sequence[float], start: int) -> list[int]:
    """Return the epoch counts of a run and of those that follow its advice."""
    counts = [start]
    while len(counts) < 10:
        count = counts[-1]
        more = read_curve(curve(means[:count], noise=0.0), epoch_count=count)
        if more.recommended_epoch_count in (None, count):
            break
        counts.append(more.recommended_epoch_count)
    return counts


CHANGES = st.sampled_from([0.0, 0.0, 0.0, 0.05, 0.1, 0.3, 0.5, 1.5, -0.02, -0.3])
STARTS = st.integers(1, LONGEST)


@given(st.lists(CHANGES, min_size=LONGEST, max_size=LONGEST), STARTS)
def test_following_the_advice_of_any_curve_ends_within_two_steps(
    falls: list[float], start: int
) -> None:
    means = [max(0.0, mean) for mean in accumulate(falls, operator.sub, initial=2.0)]
    assert len(follow(means, start)) <= 3


@given(
    rate=st.floats(0.005, 3.0),
    power=st.floats(0.2, 2.0),
    floor=st.floats(0.0, 1.5),
    noise=st.lists(st.floats(-0.02, 0.02), min_size=LONGEST, max_size=LONGEST),
    start=STARTS,
)
def test_following_the_advice_of_a_falling_curve_ends_within_two_steps(
    rate: float, power: float, floor: float, noise: list[float], start: int
) -> None:
    means = [floor + (2 - floor) * (1 + rate * n) ** -power + noise[n] for n in range(LONGEST)]
    counts = follow(means, start)
    assert len(counts) <= 3
    # Advice for more epochs is worth its cost, and advice for fewer costs little.
    for before, after in pairwise(counts):
        if after < before:
            assert after <= before / 2
            assert means[after - 1] - min(means[:before]) <= 0.02 * 2.1 + 0.04
        else:
            assert means[before - 1] - means[after - 1] >= 0.02


# Which epoch a step belongs to


@given(
    examples=st.integers(1, 60),
    batch=st.integers(1, 80),
    epoch_count=st.integers(1, 8),
)
def test_every_finished_epoch_has_a_mean_for_any_sizes(
    examples: int, batch: int, epoch_count: int
) -> None:
    total = math.ceil(examples * epoch_count / batch)
    points = [LossPoint(n, n * batch // examples, 3.0) for n in range(1, total + 1)]
    reading = read_curve(points, epoch_count=epoch_count)
    assert reading.epoch_means == pytest.approx((3.0,) * epoch_count)


def test_a_batch_that_continues_into_the_next_epoch_counts_for_both_by_its_share() -> None:
    # 6 examples in batches of 4: the second step is half of the first epoch, half of the next.
    points = [LossPoint(n, n * 4 // 6, loss) for n, loss in enumerate([3.0, 1.5, 0.5], 1)]
    assert read_curve(points).epoch_means == pytest.approx((2.5, 2.5 / 3))


def test_order_and_repeated_reports_do_not_matter() -> None:
    points = curve([1.0, 0.5, 0.3, 0.1, 0.1, 0.1])
    shuffled = [*points, *points[7:12]]
    random.Random(1).shuffle(shuffled)  # noqa: S311  # any order is fine
    assert read_curve(shuffled) == read_curve(points)


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=60),
    st.integers(1, 9),
    st.none() | st.integers(1, 12),
)
def test_any_numbers_are_read_without_an_error(
    losses: list[float], steps: int, epoch_count: int | None
) -> None:
    points = [LossPoint(n, n // steps, loss) for n, loss in enumerate(losses, 1)]
    reading = read_curve(points, epoch_count=epoch_count)
    assert reading.advice.endswith(".")
    assert "nan" not in reading.advice
    if reading.recommended_epoch_count is not None:
        assert 1 <= reading.recommended_epoch_count <= 2 * len(reading.epoch_means)


# Real runs (F12)


def random_labels() -> list[Example]:
    """Return random words with random labels, which can only be memorised."""
    draw = random.Random(0)  # noqa: S311  # a data set, not a secret
    words = ["red", "green", "blue", "dog", "cat"]
    return [Example(" ".join(draw.choices(words, k=3)), draw.choice("abc")) for _ in range(200)]


def greetings() -> list[Example]:
    """Return sentences of four kinds that have some words in common."""
    draw = random.Random(0)  # noqa: S311  # a data set, not a secret
    kinds = {
        "hello": ["good morning", "hello there", "nice to see you"],
        "bye": ["good night", "see you soon", "so long"],
        "thanks": ["thank you", "so nice of you", "many thanks"],
        "sorry": ["I am sorry", "excuse me", "so sorry about this"],
    }
    names = ["Anna", "Bob", "my friend", "everyone", "Sir", "Madam"]
    return [
        Example(f"{draw.choice(wordings)}, {draw.choice(names)}", kind)
        for kind, wordings in kinds.items()
        for _ in range(25)
    ]


def run(examples: list[Example], *, rate: float = 0.001, epochs: int = 5) -> CurveReading:
    engine = ENGINES["models/embedded-label-001"]
    request = TuningRequest(examples, epoch_count=epochs, learning_rate=rate, seed=1)
    points = [LossPoint(s.step, s.epoch, s.mean_loss) for s in engine.tune(request)]
    return read_curve(points, epoch_count=epochs)


@pytest.mark.parametrize("start", [1, 5, 12])
@pytest.mark.parametrize("rate", [1e-5, 1e-4, 1e-3, 1e-2])
def test_following_the_advice_of_real_runs_ends_within_two_steps(rate: float, start: int) -> None:
    counts = [start]
    while len(counts) < 5:
        count = run(greetings(), rate=rate, epochs=counts[-1]).recommended_epoch_count
        if count in (None, counts[-1]):
            break
        counts.append(count)
    assert len(counts) <= 3


@pytest.mark.parametrize("rate", [1e-6, 1e-5, 5e-5])
def test_the_curve_of_a_rate_that_is_too_low_still_falls(rate: float) -> None:
    reading = run(greetings(), rate=rate)
    assert reading.kind is CurveKind.FALLING
    assert all(earlier > later for earlier, later in pairwise(reading.epoch_means))
    assert ("ten times the learning rate" in reading.advice) == (rate < 2e-5)


def test_the_default_rate_learns_most_in_the_default_epochs() -> None:
    reading = run(greetings())
    assert reading.kind in {CurveKind.FALLING, CurveKind.PLATEAU}
    assert reading.epoch_means[-1] < 0.15 * math.log(4)


def test_a_run_with_the_recommended_epochs_is_nearly_as_good_as_a_long_run() -> None:
    long = run(greetings(), epochs=20)
    assert long.kind is CurveKind.PLATEAU
    assert long.recommended_epoch_count is not None
    assert 2 <= long.recommended_epoch_count < 15
    short = run(greetings(), epochs=long.recommended_epoch_count)
    difference = short.epoch_means[-1] - long.epoch_means[-1]
    assert difference <= 0.03 * math.log(4)


def test_a_rate_that_is_far_too_high_diverges() -> None:
    good, bad = run(random_labels(), rate=1e-4), run(random_labels(), rate=0.1)
    assert bad.kind is CurveKind.DIVERGED
    assert min(bad.epoch_means) > 10 * max(good.epoch_means)
