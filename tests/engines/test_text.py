"""The text engine: what it reads, spells and learns, its gradient, and how good it is."""

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

from benchmarks.engine import living
from benchmarks.text_tasks import NAMED, Split, dates, intent
from tunedmodels.datasets.examples import Example
from tunedmodels.engines.engine import Adapter, Sampling, Step, TuningRequest
from tunedmodels.engines.text import TextEngine
from tunedmodels.engines.text import tokens as source
from tunedmodels.engines.text.features import FEATURES, POINTERS, ROWS, Moments, Written, key
from tunedmodels.engines.text.model import ECHO, RATE_SCALE, TextModel
from tunedmodels.engines.text.tokens import (
    END,
    MOST_TOKENS,
    MOST_UNITS,
    Source,
    learned_units,
    spelled,
    tokens_of,
)
from tunedmodels.evaluation.curves import CurveKind, read_curve
from tunedmodels.observed import LossPoint

ENGINE = TextEngine()
BASE = Adapter(ENGINE.base_model, {})
UNTUNED = TextModel.of(BASE, ENGINE.base_model)
DATES = [Example("March 3, 2021", "2021-03-03"), Example("May 12, 1999", "1999-05-12")] * 2


def train(request: TuningRequest) -> tuple[list[Step], Adapter]:
    tuning = ENGINE.tune(request)
    return list(tuning), tuning.adapter()


def ask(adapter: Adapter, text: str, **sampling: object) -> str:
    return "".join(ENGINE.answer(adapter, text, Sampling(**sampling)))  # type: ignore[arg-type]  # any


def exact(adapter: Adapter, examples: list[Example]) -> float:
    return sum(ask(adapter, e.text_input) == e.output for e in examples) / len(examples)


def dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # data for a test is no secret


def units_of(examples: list[Example]) -> list[str]:
    sources = [Source(example.text_input) for example in examples]
    return learned_units(sources, [example.output for example in examples])


def test_naming_the_engine_imports_no_numpy() -> None:
    code = "import sys, tunedmodels.engines.text; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# The source, and the cursor in it


@given(st.text())
def test_tokens_join_to_the_text(text: str) -> None:
    assert "".join(tokens_of(text)) == text
    assert "".join(Source(text).tokens) == text[len(text) - len(Source(text).text) :]


def test_tokens_are_words_numbers_spaces_and_signs() -> None:
    tokens = tokens_of("No. A12_b,\n 3rd")
    assert tokens == ["No", ".", " ", "A", "12", "_", "b", ",", "\n ", "3", "rd"]


def test_a_place_can_be_written_in_several_ways() -> None:
    assert {"iPad", "IPAD", "ipad", "Ipad", "i", "I", "7", "07"} == {
        place.unit for place in Source("iPad7").places
    }
    assert {"007", "7"} == {place.unit for place in Source("007").places}


# fmt: off
READ = [  # text           cursor  unit       where it was copied from
    ("Ann Bee",            0,      "Ann",     (0, 3)),
    ("Ann Bee",            0,      "BEE",     (4, 7)),
    ("Ann Bee",            7,      "A",       (0, 1)),
    ("Ann Bee",            1,      "n",       (1, 2)),
    ("Ann Bee",            3,      " ",       (3, 4)),
    ("Ann Bee",            0,      " ",       None),
    ("Ann Bee",            0,      "Cee",     None),
    ("to be, to do",       2,      "to",      (7, 9)),
    ("to be, to do",       12,     "to",      (0, 2)),
    ("3/4",                0,      "04",      (2, 3)),
]
# fmt: on


@pytest.mark.parametrize(("text", "cursor", "unit", "span"), READ)
def test_a_unit_is_read_at_the_cursor_or_next_behind_it(
    text: str, cursor: int, unit: str, span: tuple[int, int] | None
) -> None:
    assert Source(text).read(cursor, unit) == span


def test_after_different_copied_words_the_history_is_the_same() -> None:
    ends = []
    for text in ("Ann Bee", "Mary Jones"):
        source, written = Source(text), Written()
        for unit in (text.split()[1], ",", " ", text[0]):
            written = written.then(unit, source)
        ends.append(written)
    assert ends[0].history == ends[1].history
    assert ends[0].last != ends[1].last


# Features


def test_the_feature_map_is_frozen() -> None:
    # Weights on disk mean these rows. Other numbers here need another MAP_VERSION.
    prompt = UNTUNED.prompt(Source("Up 7"))
    answers = [Written(), Written().then("7", prompt.source)]
    sight = Moments.of(prompt, answers).seen()
    everything = [found.tolist() for found in (sight.rows, sight.columns, sight.pointers)]
    assert key(json.dumps(everything)) == FROZEN


FROZEN = 3759098108


@settings(max_examples=30)
@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=5), max_size=6))
def test_the_rows_of_one_moment_all_differ(text: str, units: list[str]) -> None:
    prompt = UNTUNED.prompt(Source(text))
    answers = [Written()]
    for unit in units:
        answers.append(answers[-1].then(unit, prompt.source))
    rows = Moments.of(prompt, answers).seen().rows
    assert rows.min() >= 0
    assert rows.max() < ROWS
    assert all(len(np.unique(found)) == len(found) for found in rows)


def test_groups_have_a_fixed_length_whatever_the_length_of_the_text() -> None:
    assert len(UNTUNED.rarity) == FEATURES
    lengths = [
        np.square(UNTUNED.prompt(Source(text)).values).sum()
        for text in ("ten words or two", "the long way home " * 20)
    ]
    assert lengths == pytest.approx([64, 64], rel=0.001)


def test_a_long_input_has_as_many_places_as_the_cap_allows() -> None:
    prompt = UNTUNED.prompt(Source("lorem ipsum dolor " * 3000))
    assert len(prompt.source.tokens) == MOST_TOKENS
    assert len(prompt.columns) <= 8 * MOST_TOKENS
    assert prompt.source.text.endswith("ipsum dolor ")


# Units


def test_units_are_characters_words_that_recur_and_whole_labels() -> None:
    examples = [
        Example("my lamp is late", "ask the carrier"),
        Example("where is my parcel", "ask the carrier"),
        Example("Ann", "Dear Ann"),
        Example("Bob", "Dear Bob"),
    ]
    units = units_of(examples)
    assert units[0] == END
    assert {"ask the carrier", "Dear", "D", " "} <= set(units)
    assert not {"Ann", "Bob", "Dear Ann"} & set(units)


def test_what_is_copied_is_no_label_even_if_it_recurs() -> None:
    assert "SEA SHELL" not in units_of([Example("sea shell", "SEA SHELL")] * 3)


def test_an_output_is_spelled_by_copies_words_and_letters() -> None:
    units = [END, *"0123456789-", "03", "05"]
    assert list(spelled(Source("March 3, 2021"), "2021-03-17", units)) == [
        "2021", "-", "03", "-", "1", "7", END,
    ]  # fmt: skip
    assert list(spelled(Source("x"), "", units)) == [END]


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), min_size=1, max_size=5))
def test_units_join_to_the_output(pairs: list[tuple[str, str]]) -> None:
    examples = [Example(*pair) for pair in pairs * 2]
    units = units_of(examples)
    for example in examples:
        found = list(spelled(Source(example.text_input), example.output, units))
        assert "".join(found) == example.output
        assert found.index(END) == len(found) - 1


def test_too_many_characters_are_refused_in_words() -> None:
    every = [Example(str(n), chr(0x4E00 + n)) for n in range(MOST_UNITS)]
    with pytest.raises(ValueError, match="1,000 different characters, more than the 999"):
        ENGINE.tune(TuningRequest(every))


def test_too_many_units_together_with_the_parents_are_refused_in_words() -> None:
    one, two = (
        [Example(str(n), "".join(chr(start + n * 20 + k) for k in range(20))) for n in range(30)]
        for start in (0x4E00, 0x6E00)
    )
    _, parent = train(TuningRequest(one, epoch_count=1, batch_size=30))
    with pytest.raises(ValueError, match=r"1,201 units .* tune the base model instead"):
        ENGINE.tune(TuningRequest(two, parent=parent))


# The base


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30))
def test_the_untuned_base_repeats_its_input(text: str) -> None:
    assert ask(BASE, text) == text


def test_the_first_loss_is_that_of_the_base_itself() -> None:
    steps, _ = train(TuningRequest([Example("ab", "ab")], batch_size=1))
    # The base reads `ab` with a logit of ECHO; else there are END, a, b, A, B, AB and Ab. When it
    # has copied, END has ECHO.
    right = math.exp(ECHO)
    assert steps[0].mean_loss == pytest.approx(-math.log(right / (right + 7)), rel=1e-6)


# The gradient


def test_a_step_goes_down_the_gradient_of_the_mean_over_examples_of_the_sum_over_units() -> None:
    parent = train(TuningRequest(DATES, epoch_count=1))[1]
    rate = 1e-6
    request = TuningRequest(DATES[:2], 1, 2, rate, parent=parent)
    tuning = ENGINE.tune(request)
    lessons, model = tuning.lessons, tuning.model  # type: ignore[attr-defined]  # a look inside
    before = [model.weights.astype(float), model.pointers.astype(float)]
    lengths = [sum(len(targets) for _, targets in lesson) for lesson in lessons]
    list(tuning)
    after = [model.weights.astype(float), model.pointers.astype(float)]

    def loss() -> float:
        """Ask for each example alone: a mean over units, of which the length makes a sum."""
        still = [
            next(iter(ENGINE.tune(replace(request, examples=[e], batch_size=1, parent=shifted))))
            for e in request.examples
        ]
        return float(np.mean([s.mean_loss * n for s, n in zip(still, lengths, strict=True)]))

    rng = np.random.default_rng(0)
    for name, old, new in zip(("weights", "pointers"), before, after, strict=True):
        moved = np.abs(new - old)
        likely = np.argwhere(moved > np.percentile(moved[moved > 0], 60))
        for place in map(tuple, rng.choice(likely, 6, replace=False)):
            sides = []
            for nudge in (1e-2, -1e-2):
                shifted = nudged(parent, name, place, nudge)
                sides.append(loss())
            gradient = (sides[0] - sides[1]) / 2e-2
            step = (new - old)[place]
            assert step == pytest.approx(-rate * RATE_SCALE * gradient, rel=0.03)


def nudged(adapter: Adapter, name: str, place: tuple[int, ...], by: float) -> Adapter:
    """Move one parameter, wherever it stands in the file."""
    model = TextModel.of(adapter, ENGINE.base_model).joined([], 0)
    getattr(model, name)[place] += by
    return model.adapter(ENGINE.base_model, adapter.steps)


def test_a_model_read_back_scores_like_the_one_that_learned() -> None:
    tuning = ENGINE.tune(TuningRequest(DATES))
    list(tuning)
    learned = tuning.model  # type: ignore[attr-defined]  # a look inside
    loaded = TextModel.of(tuning.adapter(), ENGINE.base_model)
    for text in ("May 3, 2021", "something else"):
        one, two = (
            model.scores(Moments.of(prompt, [Written()]))[0]
            for model in (learned, loaded)
            for prompt in [model.prompt(Source(text))]
        )
        assert one.tobytes() == two.tobytes()
    assert len(loaded.weights) < ROWS
    assert len(loaded.pointers) == POINTERS


# Learning on, refusing, ending


def test_a_child_joins_its_units_to_those_of_its_parent() -> None:
    parent = train(TuningRequest([Example("a b", "up"), Example("c d", "down")] * 8))[1]
    child = train(TuningRequest([Example("e f", "left")] * 8, parent=parent))[1]
    known, wider = (json.loads(adapter.notes["units"]) for adapter in (parent, child))
    assert wider[: len(known)] == known
    assert "left" in wider
    assert [ask(child, text) for text in ("a b", "e f")] == ["up", "left"]


def test_parameters_of_another_feature_map_are_refused() -> None:
    _, adapter = train(TuningRequest(DATES))
    old = replace(adapter, notes={**adapter.notes, "features": "0"})
    with pytest.raises(ValueError, match="another version of the feature map"):
        ENGINE.answer(old, "May 3, 2021", Sampling())


def test_a_rate_beyond_all_measure_ends_in_words() -> None:
    with pytest.raises(ValueError, match=r"loss of step \d+ is (nan|inf).*try a tenth"):
        train(TuningRequest(DATES, learning_rate=1e38))


def test_what_repeats_itself_for_ever_ends_nevertheless() -> None:
    _, adapter = train(TuningRequest(DATES))
    model = TextModel.of(adapter, ENGINE.base_model).joined([], 0)
    model.weights[:, model.units.index(END)] -= 100.0
    endless = model.adapter(ENGINE.base_model, 0)
    assert len(ask(endless, "May 3")) <= len("May 3") + 2 * len("2021-03-03")


def test_each_unit_has_a_draw_of_its_own() -> None:
    coins = [Example("toss", "".join(sides)) for sides in dice(0).choices(
        ["hhth", "thht", "htth", "tthh", "hhhh", "tttt", "htht", "thth"], k=40)]  # fmt: skip
    _, adapter = train(TuningRequest(coins, epoch_count=1))
    drawn = {ask(adapter, "toss", temperature=1.0, seed=seed) for seed in range(40)}
    assert len(drawn) > 5
    assert any(len(set(answer)) > 1 for answer in drawn)


# How good it is


@pytest.fixture(scope="module")
def intents() -> Split:
    return intent(dice(0))


# fmt: off
RATES = [  # rate    what the curve says     held out, at least and at most
    (0.00001,        CurveKind.FALLING,      0.00, 0.50),
    (0.001,          CurveKind.PLATEAU,      0.92, 1.00),
]
# fmt: on


@pytest.mark.parametrize(("rate", "kind", "least", "most"), RATES)
def test_the_curve_says_whether_the_rate_is_right(
    intents: Split, rate: float, kind: CurveKind, least: float, most: float
) -> None:
    examples, held_out = intents
    steps, adapter = train(TuningRequest(examples, learning_rate=rate))
    points = [LossPoint(step.step, step.epoch, step.mean_loss) for step in steps]
    assert read_curve(points).kind is kind
    assert max(step.mean_loss for step in steps) < 1.1 * steps[0].mean_loss
    assert least <= exact(adapter, held_out) <= most


def test_a_hundred_times_the_rate_spikes_and_is_worse_on_what_it_never_saw(intents: Split) -> None:
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


def test_the_living_examples_are_learned() -> None:
    numbers, _ = living("next-number.jsonl")(0)
    assert exact(train(TuningRequest(numbers))[1], numbers) == 1
    invoices, unseen = living("invoice-dates.jsonl")(0)
    assert exact(train(TuningRequest(invoices))[1], unseen) >= 0.9


def test_without_places_to_copy_from_dates_are_not_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "places_of", lambda _: iter(()))
    monkeypatch.setattr(Source, "near", lambda *_: iter(()))
    examples, unseen = dates(dice(1))
    _, adapter = train(TuningRequest(examples[:100]))
    assert exact(adapter, unseen[:40]) < 0.5


def test_prompts_number_the_units_of_the_model_first() -> None:
    prompt = UNTUNED.joined(["one", "two"], 3).prompt(Source("two three"))
    assert list(prompt.numbers)[:3] == [END, "one", "two"]
    assert prompt.column("three") > 2
