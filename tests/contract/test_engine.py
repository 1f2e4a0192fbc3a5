"""The contract of engines. Every engine in ENGINES is tested."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from tunedmodels.datasets.examples import Example
from tunedmodels.engines import ENGINES, adapters
from tunedmodels.engines.engine import Adapter, Engine, Sampling, TrainingStep, TuningRequest

GREEDY = Sampling()
SAMPLED = Sampling(temperature=0.8, seed=3)


@pytest.fixture(params=list(ENGINES.values()), ids=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    engine: Engine = request.param
    return engine


def trivial(copies: int = 6) -> list[Example]:
    """Return examples of four greetings in four languages, which are easy to learn."""
    pairs = [
        ("good morning", "English, by its words"),
        ("guten Morgen", "Deutsch"),
        ("おはよう ございます", "日本語 です"),
        ("доброе утро 🌞", "русский"),
    ]
    return [Example(text, label) for text, label in pairs for _ in range(copies)]


def train(engine: Engine, request: TuningRequest) -> tuple[list[TrainingStep], Adapter]:
    tuning = engine.tune(request)
    return list(tuning), tuning.adapter()


def ask(engine: Engine, adapter: Adapter, text: str, sampling: Sampling = GREEDY) -> str:
    return "".join(engine.answer(adapter, text, sampling))


def contents(adapter: Adapter) -> tuple[str, dict[str, bytes], dict[str, str]]:
    """Return everything in an adapter, to the last bit."""
    arrays = {name: array.tobytes() for name, array in adapter.arrays.items()}
    return adapter.base_model, arrays, dict(adapter.notes)


# fmt: off
SIZES = [  # examples  epochs  batch   meaning
    pytest.param(   7,      3,     4,  id="batches that continue across epochs"),
    pytest.param(   8,      2,     4,  id="batches that fit"),
    pytest.param(   3,      2,    10,  id="a batch larger than all epochs"),
    pytest.param(   3,      9,     5,  id="a batch larger than an epoch"),
    pytest.param(   1,      4,     1,  id="one example"),
    pytest.param(   5,      1,     1,  id="one at a time"),
]
# fmt: on


@pytest.mark.parametrize(("examples", "epochs", "batch"), SIZES)
def test_steps_are_counted_as_the_api_counts_them(
    engine: Engine, examples: int, epochs: int, batch: int
) -> None:
    request = TuningRequest(trivial()[::3][:examples], epoch_count=epochs, batch_size=batch)
    steps, adapter = train(engine, request)
    total = math.ceil(examples * epochs / batch)
    assert [s.step for s in steps] == list(range(1, total + 1))
    assert [s.epoch for s in steps] == [n * batch // examples for n in range(1, total + 1)]
    assert adapter.steps == total == request.total_steps


def test_an_adapter_names_its_base_model(engine: Engine) -> None:
    _, adapter = train(engine, TuningRequest(trivial()))
    assert adapter.base_model == engine.base_model
    assert ENGINES[engine.base_model] is engine
    assert engine.base_model.startswith("models/")
    assert engine.display_name
    assert engine.description


def test_a_trivial_set_is_learned_with_the_defaults(engine: Engine) -> None:
    steps, adapter = train(engine, TuningRequest(trivial()))
    assert all(math.isfinite(s.mean_loss) and s.mean_loss >= 0 for s in steps)
    assert steps[-1].mean_loss < steps[0].mean_loss / 4
    assert [ask(engine, adapter, e.text_input) for e in trivial()] == [e.output for e in trivial()]


def test_the_first_loss_is_the_loss_of_the_untuned_model(engine: Engine) -> None:
    slow, fast = (
        train(engine, TuningRequest(trivial(), learning_rate=rate))[0] for rate in (1e-9, 0.01)
    )
    assert slow[0].mean_loss == fast[0].mean_loss
    # At a tiny rate, each of the 5 epochs of 6 steps has the loss of the untuned model.
    epochs = [np.mean([s.mean_loss for s in slow[n : n + 6]]) for n in range(0, 30, 6)]
    assert epochs == pytest.approx([epochs[0]] * 5, rel=1e-3)


@pytest.mark.parametrize("parent", [False, True], ids=["from the base", "on a tuned model"])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_last_bit(
    engine: Engine, tmp_path: Path, *, parent: bool
) -> None:
    request = TuningRequest(trivial()[::2][:7], epoch_count=3, batch_size=4, seed=11)
    if parent:
        request = replace(request, parent=train(engine, TuningRequest(trivial()[-5:]))[1])
    whole, learned = train(engine, request)
    for stop in range(request.total_steps + 1):
        before = engine.tune(request)
        first = list(islice(before, stop))
        adapters.save(tmp_path / "checkpoint", before.adapter())
        checkpoint = adapters.load(tmp_path / "checkpoint", engine.base_model)
        after = engine.tune(request, resume=checkpoint)
        assert first + list(after) == whole
        assert contents(after.adapter()) == contents(learned)


def test_a_run_can_be_stopped_between_steps(engine: Engine) -> None:
    tuning = engine.tune(TuningRequest(trivial()))
    taken = [next(iter(tuning)) for _ in range(3)]
    assert [s.step for s in taken] == [1, 2, 3]
    checkpoint = tuning.adapter()
    frozen = contents(checkpoint)
    assert checkpoint.steps == 3
    list(tuning)
    assert contents(checkpoint) == frozen


def test_equal_requests_learn_the_same_and_another_seed_has_another_order(engine: Engine) -> None:
    first, equal, other = (
        train(engine, TuningRequest(trivial(), seed=seed)) for seed in (5, 5, 2**200 + 6)
    )
    assert first[0] == equal[0]
    assert contents(first[1]) == contents(equal[1])
    assert first[0] != other[0]


def test_an_adapter_that_is_saved_and_loaded_answers_the_same(
    engine: Engine, tmp_path: Path
) -> None:
    _, adapter = train(engine, TuningRequest(trivial()))
    adapters.save(tmp_path / "adapter", adapter)
    loaded = adapters.load(tmp_path / "adapter", engine.base_model)
    assert contents(loaded) == contents(adapter)
    for text in ("good morning", "guten", "", "something else"):
        assert ask(engine, loaded, text) == ask(engine, adapter, text)


def test_parameters_of_another_base_model_are_rejected(engine: Engine) -> None:
    _, adapter = train(engine, TuningRequest(trivial()))
    other = replace(adapter, base_model="models/other")
    with pytest.raises(ValueError, match="models/other"):
        engine.answer(other, "good morning", GREEDY)
    with pytest.raises(ValueError, match="models/other"):
        engine.tune(TuningRequest(trivial(), parent=other))
    with pytest.raises(ValueError, match="models/other"):
        engine.tune(TuningRequest(trivial()), resume=other)


def test_training_and_answering_do_not_change_their_arguments(engine: Engine) -> None:
    _, parent = train(engine, TuningRequest(trivial()))
    before = contents(parent)
    examples = trivial()
    _, child = train(engine, TuningRequest(examples, parent=parent, learning_rate=0.01))
    ask(engine, parent, "good morning", SAMPLED)
    assert contents(parent) == before
    assert examples == trivial()
    assert contents(child) != before


def test_a_child_answers_for_the_examples_of_its_parent_and_for_new_ones(engine: Engine) -> None:
    _, parent = train(engine, TuningRequest(trivial()))
    new = [Example(text, "français") for text in ("bonjour madame", "bonsoir monsieur")] * 4
    steps, child = train(engine, TuningRequest([*trivial(2), *new], parent=parent))
    assert ask(engine, child, "bonsoir monsieur") == "français"
    assert ask(engine, child, "guten Morgen") == "Deutsch"
    assert ask(engine, parent, "bonsoir monsieur") != "français"
    assert len(steps) == child.steps


def test_a_child_starts_with_the_parameters_of_its_parent(engine: Engine) -> None:
    _, parent = train(engine, TuningRequest(trivial()))
    unchanged = engine.tune(TuningRequest(trivial(), parent=parent)).adapter()
    assert unchanged.steps == 0
    for example in trivial():
        assert ask(engine, unchanged, example.text_input) == example.output


UNUSUAL: Sequence[tuple[str, list[Example]]] = [
    ("one example", [Example("ping", "pong")]),
    ("the same example again and again", [Example("ping", "pong")] * 9),
    ("an empty input", [Example("", "nothing"), Example("a word", "something")] * 8),
    ("an empty output", [Example("say nothing", ""), Example("a word", "something")] * 8),
    ("blank input", [Example(" \n\t ", "blank"), Example("?!", "signs")] * 8),
    ("half of a surrogate pair", [Example("\ud83d", "half"), Example("\U0001f600", "whole")] * 8),
    ("lines and spaces", [Example("x", " two\n\n lines \n"), Example("y", "\tone")] * 8),
    ("a long input", [Example("word " * 2000, "long"), Example("short", "short one")] * 6),
]


@pytest.mark.parametrize("examples", [e for _, e in UNUSUAL], ids=[name for name, _ in UNUSUAL])
def test_unusual_examples_are_learned(engine: Engine, examples: list[Example]) -> None:
    steps, adapter = train(engine, TuningRequest(examples, epoch_count=8))
    assert all(math.isfinite(s.mean_loss) for s in steps)
    for example in examples:
        assert ask(engine, adapter, example.text_input) == example.output


def test_contradictory_examples_are_not_an_error(engine: Engine) -> None:
    both = [Example("heads or tails", side) for side in ("heads", "tails")] * 5
    steps, adapter = train(engine, TuningRequest(both))
    assert all(math.isfinite(s.mean_loss) for s in steps)
    assert ask(engine, adapter, "heads or tails")


def test_no_examples_are_an_error(engine: Engine) -> None:
    with pytest.raises(ValueError, match="no examples"):
        engine.tune(TuningRequest([]))


def test_pieces_join_to_the_whole_answer(engine: Engine) -> None:
    text = "  first line\n\n second, 日本 🌞  last \n"
    _, adapter = train(engine, TuningRequest([Example("say it", text)] * 8, epoch_count=8))
    parts = list(engine.answer(adapter, "say it", GREEDY))
    assert "".join(parts) == text
    assert len(parts) > 1
    assert all(parts)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(stop_sequences=("three",)), "one two "),
        (Sampling(stop_sequences=("four", "two t")), "one "),
        (Sampling(stop_sequences=("", "nowhere")), "one two three four"),
        (Sampling(stop_sequences=("one",)), ""),
        (Sampling(max_output_tokens=10_000), "one two three four"),
    ],
)
def test_an_answer_ends_at_its_stop_sequence_or_token_limit(
    engine: Engine, sampling: Sampling, expected: str
) -> None:
    examples = [Example("count", "one two three four")] * 8
    _, adapter = train(engine, TuningRequest(examples, epoch_count=8))
    assert ask(engine, adapter, "count", sampling) == expected


def test_a_lower_token_limit_gives_a_prefix_of_the_answer(engine: Engine) -> None:
    examples = [Example("count", "one two three four")] * 8
    _, adapter = train(engine, TuningRequest(examples, epoch_count=8))
    answers = [ask(engine, adapter, "count", Sampling(max_output_tokens=n)) for n in range(9)]
    assert answers[0] == ""
    assert answers[1]
    assert all(longer.startswith(shorter) for shorter, longer in pairwise(answers))
    assert len(answers[1]) < len("one two three four")


def test_temperature_zero_answers_the_same_every_time(engine: Engine) -> None:
    _, adapter = train(engine, TuningRequest(trivial(), epoch_count=1))
    for text in ("good evening", "no language at all", ""):
        assert len({ask(engine, adapter, text) for _ in range(10)}) == 1


def test_sampling_depends_on_the_seed_and_top_k_one_is_greedy(engine: Engine) -> None:
    coin = [Example("heads or tails", side) for side in ("heads", "tails")] * 5
    _, adapter = train(engine, TuningRequest(coin))
    drawn = [
        ask(engine, adapter, "heads or tails", Sampling(temperature=1.0, seed=seed))
        for seed in range(-20, 20)
    ]
    again = [
        ask(engine, adapter, "heads or tails", Sampling(temperature=1.0, seed=seed))
        for seed in range(-20, 20)
    ]
    assert drawn == again
    assert {"heads", "tails"} <= set(drawn)
    greedy = ask(engine, adapter, "heads or tails")
    for sampling in (Sampling(temperature=1.0, top_k=1), Sampling(temperature=1.0, top_p=1e-9)):
        assert ask(engine, adapter, "heads or tails", sampling) == greedy
