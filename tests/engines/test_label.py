"""The label engine: its features, its loss and gradient, and how well it does what it is for."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.paths import ROOT
from tunedmodels.datasets.examples import Example
from tunedmodels.engines import ENGINES
from tunedmodels.engines.engine import Adapter, Sampling, TuningRequest
from tunedmodels.engines.label.features import ROWS, rows_of
from tunedmodels.engines.label.model import RATE_SCALE, LinearModel
from tunedmodels.engines.sampling import choose, pieces

BASE = "models/embedded-label-001"
ENGINE = ENGINES[BASE]
DATA = ROOT / "manifests" / "data"
COLOURS = [Example("the sky is blue", "blue"), Example("grass is green", "green")] * 6


def train(request: TuningRequest) -> tuple[list[float], Adapter]:
    tuning = ENGINE.tune(request)
    return [step.mean_loss for step in tuning], tuning.adapter()


def test_listing_the_engines_imports_no_numpy() -> None:
    code = (
        "import sys; from tunedmodels.engines import ENGINES;"
        "print([e.display_name + e.description for e in ENGINES.values()]);"
        "sys.exit('numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# Features


def test_the_feature_map_is_frozen() -> None:
    # Weights on disk mean these rows. Other numbers here need another MAP_VERSION.
    expected = "849 1087 2766 2792 3060 3570 4518 5011 5879 7498 9466 10195 10573 11128 14079 16044"
    assert rows_of("Not ok!").tolist() == [int(row) for row in expected.split()]


@given(st.text())
def test_every_text_has_features(text: str) -> None:
    rows = rows_of(text)
    assert len(rows) > 0
    assert np.all(np.diff(rows) > 0)
    assert rows[0] >= 0
    assert rows[-1] < ROWS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where IS it", "where is it"),
        ("\uff37\uff28\uff25\uff32\uff25 is it", "where is it"),
        ("STRASSE", "straße"),
    ],
)
def test_case_and_width_do_not_matter(one: str, other: str) -> None:
    assert rows_of(one).tolist() == rows_of(other).tolist()


def test_words_their_order_and_their_parts_are_told_apart() -> None:
    bites = {text: set(rows_of(text).tolist()) for text in ("dog bites man", "man bites dog")}
    assert bites["dog bites man"] != bites["man bites dog"]
    assert set(rows_of("walking").tolist()) & set(rows_of("walked").tolist())


# Loss and gradient


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_the_first_loss_is_the_logarithm_of_the_number_of_classes(classes: int) -> None:
    examples = [Example(f"text {n}", f"class {n % classes}") for n in range(14)]
    losses, _ = train(TuningRequest(examples))
    assert losses[0] == pytest.approx(math.log(classes))


def test_a_step_goes_down_the_gradient_of_the_mean_loss() -> None:
    examples = [Example("red rose", "red"), Example("blue sea", "blue"), Example("red sea", "red")]
    parent = train(TuningRequest(examples, epoch_count=2))[1]
    rate = 1e-5
    request = TuningRequest(examples, 1, 3, rate, parent=parent)
    _, child = train(request)
    moved = child.arrays["weights"].astype(float) - parent.arrays["weights"]

    def mean_loss(weights: np.ndarray) -> float:
        shifted = replace(parent, arrays={**parent.arrays, "weights": weights})
        first_step = next(iter(ENGINE.tune(replace(request, parent=shifted))))
        return first_step.mean_loss

    for row, column in [(rows_of("red")[0], 0), (rows_of("sea")[1], 1), (rows_of("rose")[2], 1)]:
        up, down = (parent.arrays["weights"].astype(float) for _ in range(2))
        up[row, column] += 1e-3
        down[row, column] -= 1e-3
        gradient = (mean_loss(up) - mean_loss(down)) / 2e-3
        assert moved[row, column] == pytest.approx(-rate * RATE_SCALE * gradient, rel=0.01)


def test_rows_that_no_example_has_stay_untouched() -> None:
    _, adapter = train(TuningRequest(COLOURS))
    seen = np.union1d(*(rows_of(text) for text in ("the sky is blue", "grass is green")))
    touched = np.flatnonzero(adapter.arrays["weights"].any(axis=1))
    assert set(touched) <= set(seen)
    assert len(touched) > 20


def test_a_rate_beyond_all_measure_ends_in_words() -> None:
    with pytest.raises(ValueError, match=r"loss of step \d+ is (nan|inf).*try a tenth"):
        train(TuningRequest(COLOURS, learning_rate=1e38))


def test_the_highest_rate_that_a_manifest_may_say_is_bad_but_finite() -> None:
    rng = np.random.default_rng(0)
    noisy = [Example(f"w{rng.integers(9)} w{rng.integers(9)}", f"{n % 3}") for n in range(60)]
    losses, _ = train(TuningRequest(noisy, learning_rate=1.0))
    assert all(math.isfinite(loss) for loss in losses)
    assert max(losses) > 10 * losses[0]


# What it refuses


def test_too_many_different_outputs_are_refused_in_words() -> None:
    many = [Example(f"input {n}", f"output {n}") for n in range(2001)]
    with pytest.raises(ValueError, match=r"2,001 different outputs.*it saw and writes nothing new"):
        ENGINE.tune(TuningRequest(many))


def test_the_untuned_base_says_that_it_has_no_answers() -> None:
    with pytest.raises(ValueError, match="knows no answers until it is tuned"):
        ENGINE.answer(Adapter(BASE, {}), "hello", Sampling())


def test_parameters_of_another_feature_map_are_refused() -> None:
    _, adapter = train(TuningRequest(COLOURS))
    old = replace(adapter, notes={**adapter.notes, "features": "0"})
    with pytest.raises(ValueError, match="another version of the feature map"):
        ENGINE.answer(old, "the sky", Sampling())


# How an answer is drawn

LOGITS = np.log(np.array([0.1, 0.5, 0.1, 0.3]))


def shares(sampling: Sampling, logits: np.ndarray = LOGITS) -> dict[int, float]:
    drawn = Counter(choose(logits, replace(sampling, seed=seed)) for seed in range(600))
    return {index: times / 600 for index, times in sorted(drawn.items())}


def test_classes_are_drawn_by_their_probability() -> None:
    drawn = shares(Sampling(temperature=1.0))
    assert drawn == pytest.approx({0: 0.1, 1: 0.5, 2: 0.1, 3: 0.3}, abs=0.06)


def test_top_k_and_top_p_leave_out_the_unlikely() -> None:
    assert set(shares(Sampling(temperature=1.0, top_k=2))) == {1, 3}
    assert set(shares(Sampling(temperature=1.0, top_p=0.79))) == {1, 3}
    assert set(shares(Sampling(temperature=1.0, top_p=0.81))) == {0, 1, 3}
    assert set(shares(Sampling(temperature=1.0, top_k=9, top_p=1.0))) == {0, 1, 2, 3}


def test_cold_is_greedy_and_hot_is_even() -> None:
    assert set(shares(Sampling(temperature=0.05))) == {1}
    assert choose(LOGITS, Sampling(temperature=1e-300)) == 1
    hot = shares(Sampling(temperature=1e6))
    assert all(share == pytest.approx(0.25, abs=0.06) for share in hot.values())


def test_the_first_of_equals_is_chosen() -> None:
    assert choose(np.zeros(4), Sampling()) == 0


@given(st.text())
def test_pieces_are_words_and_join_to_the_text(text: str) -> None:
    found = list(pieces(text, Sampling()))
    assert "".join(found) == text
    assert len(found) - len(text.split()) in (0, 1)


# How good it is


def living(name: str, text: str, label: str) -> list[Example]:
    path = DATA / name
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file) if path.suffix == ".csv" else map(json.loads, file)
        return [Example(row[text], row[label]) for row in rows]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("support-triage{}.csv", ("message", "team")),
        ("review-sentiment{}.jsonl", ("text_input", "output")),
    ],
)
def test_the_living_examples_are_learned_with_the_defaults(
    name: str, fields: tuple[str, str]
) -> None:
    _, adapter = train(TuningRequest(living(name.format(""), *fields)))
    held_out = living(name.format(".eval"), *fields)
    right = sum(
        "".join(ENGINE.answer(adapter, e.text_input, Sampling())) == e.output for e in held_out
    )
    assert right / len(held_out) >= 0.85


def test_it_reads_a_model_back_from_its_adapter() -> None:
    _, adapter = train(TuningRequest(COLOURS))
    model = LinearModel.of(adapter, BASE)
    assert model.classes == ("blue", "green")
    assert model.weights.shape == (ROWS, 2)
