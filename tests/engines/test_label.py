"""The label engine: its features, its loss and gradient, and its quality."""

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
from tunedmodels.engines.label.features import ROWS, feature_rows
from tunedmodels.engines.label.model import RATE_SCALE, LinearModel
from tunedmodels.engines.sampling import choose, stream_tokens

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
    # Weights on disk depend on these rows. A change here requires another MAP_VERSION.
    expected = "849 1087 2766 2792 3060 3570 4518 5011 5879 7498 9466 10195 10573 11128 14079 16044"
    assert feature_rows("Not ok!").tolist() == [int(row) for row in expected.split()]


@given(st.text())
def test_every_text_has_features(text: str) -> None:
    rows = feature_rows(text)
    assert len(rows) > 0
    assert np.all(np.diff(rows) > 0)
    assert rows[0] >= 0
    assert rows[-1] < ROWS


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Where IS it", "where is it"),
        ("\uff37\uff28\uff25\uff32\uff25 is it", "where is it"),
        ("STRASSE", "straße"),
    ],
)
def test_case_and_width_do_not_matter(first: str, second: str) -> None:
    assert feature_rows(first).tolist() == feature_rows(second).tolist()


def test_features_depend_on_words_their_order_and_their_parts() -> None:
    bites = {text: set(feature_rows(text).tolist()) for text in ("dog bites man", "man bites dog")}
    assert bites["dog bites man"] != bites["man bites dog"]
    assert set(feature_rows("walking").tolist()) & set(feature_rows("walked").tolist())


# Loss and gradient


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_the_first_loss_is_the_logarithm_of_the_number_of_classes(classes: int) -> None:
    examples = [Example(f"text {n}", f"class {n % classes}") for n in range(14)]
    losses, _ = train(TuningRequest(examples))
    assert losses[0] == pytest.approx(math.log(classes))


def test_a_step_follows_the_gradient_of_the_mean_loss() -> None:
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

    for row, column in [
        (feature_rows("red")[0], 0),
        (feature_rows("sea")[1], 1),
        (feature_rows("rose")[2], 1),
    ]:
        up, down = (parent.arrays["weights"].astype(float) for _ in range(2))
        up[row, column] += 1e-3
        down[row, column] -= 1e-3
        gradient = (mean_loss(up) - mean_loss(down)) / 2e-3
        assert moved[row, column] == pytest.approx(-rate * RATE_SCALE * gradient, rel=0.01)


def test_rows_without_examples_are_not_changed() -> None:
    _, adapter = train(TuningRequest(COLOURS))
    present = np.union1d(*(feature_rows(text) for text in ("the sky is blue", "grass is green")))
    changed = np.flatnonzero(adapter.arrays["weights"].any(axis=1))
    assert set(changed) <= set(present)
    assert len(changed) > 20


def test_a_rate_that_is_far_too_high_raises_an_error_with_a_cure() -> None:
    with pytest.raises(ValueError, match=r"loss of step \d+ is (nan|inf).*try a tenth"):
        train(TuningRequest(COLOURS, learning_rate=1e38))


def test_the_highest_rate_of_a_manifest_is_bad_but_finite() -> None:
    rng = np.random.default_rng(0)
    noisy = [Example(f"w{rng.integers(9)} w{rng.integers(9)}", f"{n % 3}") for n in range(60)]
    losses, _ = train(TuningRequest(noisy, learning_rate=1.0))
    assert all(math.isfinite(loss) for loss in losses)
    assert max(losses) > 10 * losses[0]


# Errors


def test_too_many_different_outputs_are_an_error() -> None:
    many = [Example(f"input {n}", f"output {n}") for n in range(2001)]
    with pytest.raises(
        ValueError,
        match=r"2,001 different outputs.*of its training set, and does not write new text",
    ):
        ENGINE.tune(TuningRequest(many))


def test_the_untuned_base_cannot_answer() -> None:
    with pytest.raises(ValueError, match="cannot answer before it is tuned"):
        ENGINE.answer(Adapter(BASE, {}), "hello", Sampling())


def test_parameters_of_another_feature_map_are_rejected() -> None:
    _, adapter = train(TuningRequest(COLOURS))
    old = replace(adapter, notes={**adapter.notes, "features": "0"})
    with pytest.raises(ValueError, match="another version of the feature map"):
        ENGINE.answer(old, "the sky", Sampling())


# Sampling

LOGITS = np.log(np.array([0.1, 0.5, 0.1, 0.3]))


def shares(sampling: Sampling, logits: np.ndarray = LOGITS) -> dict[int, float]:
    drawn = Counter(choose(logits, replace(sampling, seed=seed)) for seed in range(600))
    return {index: times / 600 for index, times in sorted(drawn.items())}


def test_classes_are_drawn_by_their_probability() -> None:
    drawn = shares(Sampling(temperature=1.0))
    assert drawn == pytest.approx({0: 0.1, 1: 0.5, 2: 0.1, 3: 0.3}, abs=0.06)


def test_top_k_and_top_p_exclude_unlikely_classes() -> None:
    assert set(shares(Sampling(temperature=1.0, top_k=2))) == {1, 3}
    assert set(shares(Sampling(temperature=1.0, top_p=0.79))) == {1, 3}
    assert set(shares(Sampling(temperature=1.0, top_p=0.81))) == {0, 1, 3}
    assert set(shares(Sampling(temperature=1.0, top_k=9, top_p=1.0))) == {0, 1, 2, 3}


def test_low_temperatures_are_greedy_and_high_ones_are_uniform() -> None:
    assert set(shares(Sampling(temperature=0.05))) == {1}
    assert choose(LOGITS, Sampling(temperature=1e-300)) == 1
    hot = shares(Sampling(temperature=1e6))
    assert all(share == pytest.approx(0.25, abs=0.06) for share in hot.values())


def test_the_first_of_equal_classes_is_chosen() -> None:
    assert choose(np.zeros(4), Sampling()) == 0


@given(st.text())
def test_streamed_tokens_are_words_and_join_to_the_text(text: str) -> None:
    tokens = list(stream_tokens(text, Sampling()))
    assert "".join(tokens) == text
    assert len(tokens) - len(text.split()) in (0, 1)


# Quality


def manifest_examples(name: str, text: str, label: str) -> list[Example]:
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
def test_the_examples_of_the_manifests_are_learned_with_the_defaults(
    name: str, fields: tuple[str, str]
) -> None:
    _, adapter = train(TuningRequest(manifest_examples(name.format(""), *fields)))
    held_out = manifest_examples(name.format(".eval"), *fields)
    correct = sum(
        "".join(ENGINE.answer(adapter, e.text_input, Sampling())) == e.output for e in held_out
    )
    assert correct / len(held_out) >= 0.85


def test_a_model_is_read_from_its_adapter() -> None:
    _, adapter = train(TuningRequest(COLOURS))
    model = LinearModel.from_adapter(adapter, BASE)
    assert model.classes == ("blue", "green")
    assert model.weights.shape == (ROWS, 2)
