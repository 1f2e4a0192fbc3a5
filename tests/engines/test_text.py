"""The text engine: its base, its gradient, its checkpoints and its quality."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.engine import from_manifests
from benchmarks.text_tasks import NAMED, Split, dates, intent
from tunedmodels.datasets.examples import Example
from tunedmodels.engines.engine import Adapter, Sampling, TrainingStep, TuningRequest
from tunedmodels.engines.text import TextEngine
from tunedmodels.engines.text import tokens as tokens_module
from tunedmodels.engines.text.features import (
    POINTERS,
    ROWS,
    AnswerPositions,
    AnswerState,
)
from tunedmodels.engines.text.model import ECHO_LOGIT, RATE_SCALE, TextModel
from tunedmodels.engines.text.tokens import (
    END,
    MAX_UNITS,
    InputText,
)
from tunedmodels.evaluation.curves import CurveKind, read_curve
from tunedmodels.observed import LossPoint

ENGINE = TextEngine()
BASE = Adapter(ENGINE.base_model, {})
DATES = [Example("March 3, 2021", "2021-03-03"), Example("May 12, 1999", "1999-05-12")] * 2


def train(request: TuningRequest) -> tuple[list[TrainingStep], Adapter]:
    tuning = ENGINE.tune(request)
    return list(tuning), tuning.adapter()


def ask(adapter: Adapter, text: str, **sampling: object) -> str:
    return "".join(ENGINE.answer(adapter, text, Sampling(**sampling)))  # type: ignore[arg-type]  # any


def exact(adapter: Adapter, examples: list[Example]) -> float:
    return sum(ask(adapter, e.text_input) == e.output for e in examples) / len(examples)


def dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # data for a test is not a secret


def test_naming_the_engine_imports_no_numpy() -> None:
    code = "import sys, tunedmodels.engines.text; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# Errors


def test_too_many_characters_are_an_error() -> None:
    every = [Example(str(n), chr(0x4E00 + n)) for n in range(MAX_UNITS)]
    with pytest.raises(ValueError, match="1,000 different characters, more than the 999"):
        ENGINE.tune(TuningRequest(every))


def test_too_many_units_together_with_those_of_the_parent_are_an_error() -> None:
    first, second = (
        [Example(str(n), "".join(chr(start + n * 20 + k) for k in range(20))) for n in range(30)]
        for start in (0x4E00, 0x6E00)
    )
    _, parent = train(TuningRequest(first, epoch_count=1, batch_size=30))
    with pytest.raises(ValueError, match=r"1,201 units .* tune the base model instead"):
        ENGINE.tune(TuningRequest(second, parent=parent))


# The base


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30))
def test_the_untuned_base_repeats_its_input(text: str) -> None:
    assert ask(BASE, text) == text


def test_the_first_loss_is_the_loss_of_the_base() -> None:
    steps, _ = train(TuningRequest([Example("ab", "ab")], batch_size=1))
    # The base copies `ab` with a logit of ECHO_LOGIT; the other units are END, a, b, A, B, AB and
    # Ab. After the copy, END has ECHO_LOGIT.
    weight = math.exp(ECHO_LOGIT)
    assert steps[0].mean_loss == pytest.approx(-math.log(weight / (weight + 7)), rel=1e-6)


# The gradient


def test_a_step_follows_the_gradient_of_the_mean_over_examples_of_the_sum_over_units() -> None:
    parent = train(TuningRequest(DATES, epoch_count=1))[1]
    rate = 1e-6
    request = TuningRequest(DATES[:2], 1, 2, rate, parent=parent)
    tuning = ENGINE.tune(request)
    blocks, model = tuning.training_blocks, tuning.model  # type: ignore[attr-defined]  # internals
    before = [model.weights.astype(float), model.pointers.astype(float)]
    lengths = [sum(len(targets) for _, targets in block) for block in blocks]
    list(tuning)
    after = [model.weights.astype(float), model.pointers.astype(float)]

    def loss() -> float:
        """Train on each example alone: a mean over units, times their number, is a sum."""
        first_steps = [
            next(iter(ENGINE.tune(replace(request, examples=[e], batch_size=1, parent=shifted))))
            for e in request.examples
        ]
        return float(np.mean([s.mean_loss * n for s, n in zip(first_steps, lengths, strict=True)]))

    rng = np.random.default_rng(0)
    for name, old, new in zip(("weights", "pointers"), before, after, strict=True):
        moved = np.abs(new - old)
        likely = np.argwhere(moved > np.percentile(moved[moved > 0], 60))
        for index in map(tuple, rng.choice(likely, 6, replace=False)):
            sides = []
            for change in (1e-2, -1e-2):
                shifted = change_parameter(parent, name, index, change)
                sides.append(loss())
            gradient = (sides[0] - sides[1]) / 2e-2
            step = (new - old)[index]
            assert step == pytest.approx(-rate * RATE_SCALE * gradient, rel=0.03)


def change_parameter(adapter: Adapter, name: str, index: tuple[int, ...], change: float) -> Adapter:
    """Return an adapter with one changed parameter."""
    model = TextModel.from_adapter(adapter, ENGINE.base_model).with_units([], 0)
    getattr(model, name)[index] += change
    return model.adapter(ENGINE.base_model, adapter.steps)


def test_a_model_that_is_read_back_has_the_logits_of_the_trained_one() -> None:
    tuning = ENGINE.tune(TuningRequest(DATES))
    list(tuning)
    trained = tuning.model  # type: ignore[attr-defined]  # internals
    loaded = TextModel.from_adapter(tuning.adapter(), ENGINE.base_model)
    for text in ("May 3, 2021", "something else"):
        expected, actual = (
            model.logits(AnswerPositions.from_states(encoded, [AnswerState()]))[0]
            for model in (trained, loaded)
            for encoded in [model.encode(InputText(text))]
        )
        assert actual.tobytes() == expected.tobytes()
    assert len(loaded.weights) < ROWS
    assert len(loaded.pointers) == POINTERS


# Parents, errors and the end of an answer


def test_a_child_adds_its_units_to_those_of_its_parent() -> None:
    parent = train(TuningRequest([Example("a b", "up"), Example("c d", "down")] * 8))[1]
    child = train(TuningRequest([Example("e f", "left")] * 8, parent=parent))[1]
    parent_units, child_units = (json.loads(adapter.notes["units"]) for adapter in (parent, child))
    assert child_units[: len(parent_units)] == parent_units
    assert "left" in child_units
    assert [ask(child, text) for text in ("a b", "e f")] == ["up", "left"]


def test_parameters_of_another_feature_map_are_rejected() -> None:
    _, adapter = train(TuningRequest(DATES))
    old = replace(adapter, notes={**adapter.notes, "features": "0"})
    with pytest.raises(ValueError, match="another version of the feature map"):
        ENGINE.answer(old, "May 3, 2021", Sampling())


def test_a_rate_that_is_far_too_high_raises_an_error_with_a_cure() -> None:
    with pytest.raises(ValueError, match=r"loss of step \d+ is (nan|inf).*try a tenth"):
        train(TuningRequest(DATES, learning_rate=1e38))


def test_an_endless_answer_is_ended() -> None:
    _, adapter = train(TuningRequest(DATES))
    model = TextModel.from_adapter(adapter, ENGINE.base_model).with_units([], 0)
    model.weights[:, model.units.index(END)] -= 100.0
    endless = model.adapter(ENGINE.base_model, 0)
    assert len(ask(endless, "May 3")) <= len("May 3") + 2 * len("2021-03-03")


def test_each_unit_is_drawn_separately() -> None:
    coins = [Example("toss", "".join(sides)) for sides in dice(0).choices(
        ["hhth", "thht", "htth", "tthh", "hhhh", "tttt", "htht", "thth"], k=40)]  # fmt: skip
    _, adapter = train(TuningRequest(coins, epoch_count=1))
    drawn = {ask(adapter, "toss", temperature=1.0, seed=seed) for seed in range(40)}
    assert len(drawn) > 5
    assert any(len(set(answer)) > 1 for answer in drawn)


# Quality


@pytest.fixture(scope="module")
def intents() -> Split:
    return intent(dice(0))


# fmt: off
RATES = [  # rate    kind of curve           held out, at least and at most
    (0.00001,        CurveKind.FALLING,      0.00, 0.50),
    (0.001,          CurveKind.PLATEAU,      0.92, 1.00),
]
# fmt: on


@pytest.mark.parametrize(("rate", "kind", "least", "most"), RATES)
def test_the_curve_shows_whether_the_rate_is_right(
    intents: Split, rate: float, kind: CurveKind, least: float, most: float
) -> None:
    examples, held_out = intents
    steps, adapter = train(TuningRequest(examples, learning_rate=rate))
    points = [LossPoint(step.step, step.epoch, step.mean_loss) for step in steps]
    assert read_curve(points).kind is kind
    assert max(step.mean_loss for step in steps) < 1.1 * steps[0].mean_loss
    assert least <= exact(adapter, held_out) <= most


def test_a_hundred_times_the_rate_has_loss_spikes_and_is_worse_on_held_out_examples(
    intents: Split,
) -> None:
    examples, held_out = intents
    steps, adapter = train(TuningRequest(examples, learning_rate=0.1))
    assert max(step.mean_loss for step in steps) > 3 * steps[0].mean_loss
    assert exact(adapter, held_out) < 0.9


@pytest.mark.parametrize(
    "name", ["next-number", "names", "upper case", "label and copied id", "dates"]
)
def test_named_tasks_reach_their_goals_with_the_defaults(name: str) -> None:
    task, trained, held_out = NAMED[name]
    examples, unseen = task(dice(1))
    _, adapter = train(TuningRequest(examples))
    assert exact(adapter, examples) >= trained
    assert exact(adapter, unseen) >= held_out


def test_the_examples_of_the_manifests_are_learned() -> None:
    numbers, _ = from_manifests("next-number.jsonl")(0)
    assert exact(train(TuningRequest(numbers))[1], numbers) == 1
    invoices, unseen = from_manifests("invoice-dates.jsonl")(0)
    assert exact(train(TuningRequest(invoices))[1], unseen) >= 0.9


def test_dates_are_not_learned_without_copy_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "find_copy_sources", lambda _: iter(()))
    monkeypatch.setattr(InputText, "next_characters", lambda *_: iter(()))
    examples, unseen = dates(dice(1))
    _, adapter = train(TuningRequest(examples[:100]))
    assert exact(adapter, unseen[:40]) < 0.5
