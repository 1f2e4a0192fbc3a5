"""The frozen base of the text engine: tokens, the cursor, units and features."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunedmodels.datasets.examples import Example
from tunedmodels.engines.engine import Adapter
from tunedmodels.engines.text import TextEngine
from tunedmodels.engines.text.features import (
    FEATURES,
    ROWS,
    AnswerPositions,
    AnswerState,
    stable_hash,
)
from tunedmodels.engines.text.model import TextModel
from tunedmodels.engines.text.tokens import (
    END,
    MAX_TOKENS,
    InputText,
    build_units,
    spell,
    split_tokens,
)

BASE_MODEL = TextEngine.base_model
UNTUNED = TextModel.from_adapter(Adapter(BASE_MODEL, {}), BASE_MODEL)


def units_of(examples: list[Example]) -> list[str]:
    sources = [InputText(example.text_input) for example in examples]
    return build_units(sources, [example.output for example in examples])


# Tokens, and the cursor


@given(st.text())
def test_tokens_join_to_the_text(text: str) -> None:
    assert "".join(split_tokens(text)) == text
    assert "".join(InputText(text).tokens) == text[len(text) - len(InputText(text).text) :]


def test_tokens_are_words_numbers_spaces_and_signs() -> None:
    tokens = split_tokens("No. A12_b,\n 3rd")
    assert tokens == ["No", ".", " ", "A", "12", "_", "b", ",", "\n ", "3", "rd"]


def test_a_copy_source_has_several_transforms() -> None:
    assert {"iPad", "IPAD", "ipad", "Ipad", "i", "I", "7", "07"} == {
        source.unit for source in InputText("iPad7").copy_sources
    }
    assert {"007", "7"} == {source.unit for source in InputText("007").copy_sources}


# fmt: off
SPANS = [  # text          cursor  unit       copied from
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


@pytest.mark.parametrize(("text", "cursor", "unit", "span"), SPANS)
def test_a_unit_is_copied_at_the_cursor_or_after_it(
    text: str, cursor: int, unit: str, span: tuple[int, int] | None
) -> None:
    assert InputText(text).find_copied_span(cursor, unit) == span


def test_after_different_copied_words_the_history_is_the_same() -> None:
    ends = []
    for text in ("Ann Bee", "Mary Jones"):
        input_text, state = InputText(text), AnswerState()
        for unit in (text.split()[1], ",", " ", text[0]):
            state = state.append(unit, input_text)
        ends.append(state)
    assert ends[0].history == ends[1].history
    assert ends[0].last != ends[1].last


# Features


def test_the_feature_map_is_frozen() -> None:
    # Weights on disk depend on these rows. A change here requires another MAP_VERSION.
    encoded = UNTUNED.encode(InputText("Up 7"))
    states = [AnswerState(), AnswerState().append("7", encoded.input_text)]
    inputs = AnswerPositions.from_states(encoded, states).logit_inputs()
    everything = [array.tolist() for array in (inputs.rows, inputs.columns, inputs.pointers)]
    assert stable_hash(json.dumps(everything)) == FROZEN


FROZEN = 3759098108


@settings(max_examples=30)
@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=5), max_size=6))
def test_the_rows_of_one_position_all_differ(text: str, units: list[str]) -> None:
    encoded = UNTUNED.encode(InputText(text))
    states = [AnswerState()]
    for unit in units:
        states.append(states[-1].append(unit, encoded.input_text))
    rows = AnswerPositions.from_states(encoded, states).logit_inputs().rows
    assert rows.min() >= 0
    assert rows.max() < ROWS
    assert all(len(np.unique(position)) == len(position) for position in rows)


def test_groups_have_a_fixed_length_for_texts_of_any_length() -> None:
    assert len(UNTUNED.rarity) == FEATURES
    lengths = [
        np.square(UNTUNED.encode(InputText(text)).values).sum()
        for text in ("ten words or two", "the long way home " * 20)
    ]
    assert lengths == pytest.approx([64, 64], rel=0.001)


def test_a_long_input_has_a_limited_number_of_copy_sources() -> None:
    encoded = UNTUNED.encode(InputText("lorem ipsum dolor " * 3000))
    assert len(encoded.input_text.tokens) == MAX_TOKENS
    assert len(encoded.columns) <= 8 * MAX_TOKENS
    assert encoded.input_text.text.endswith("ipsum dolor ")


# Units


def test_units_are_characters_recurring_words_and_whole_labels() -> None:
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


def test_a_copied_output_is_not_a_label_even_if_it_recurs() -> None:
    assert "SEA SHELL" not in units_of([Example("sea shell", "SEA SHELL")] * 3)


def test_an_output_is_spelled_by_copies_words_and_characters() -> None:
    units = [END, *"0123456789-", "03", "05"]
    assert list(spell(InputText("March 3, 2021"), "2021-03-17", units)) == [
        "2021", "-", "03", "-", "1", "7", END,
    ]  # fmt: skip
    assert list(spell(InputText("x"), "", units)) == [END]


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), min_size=1, max_size=5))
def test_units_join_to_the_output(pairs: list[tuple[str, str]]) -> None:
    examples = [Example(*pair) for pair in pairs * 2]
    units = units_of(examples)
    for example in examples:
        spelled = list(spell(InputText(example.text_input), example.output, units))
        assert "".join(spelled) == example.output
        assert spelled.index(END) == len(spelled) - 1


def test_the_first_columns_are_those_of_the_units_of_the_model() -> None:
    encoded = UNTUNED.with_units(["one", "two"], 3).encode(InputText("two three"))
    assert list(encoded.columns_by_unit)[:3] == [END, "one", "two"]
    assert encoded.column("three") > 2
