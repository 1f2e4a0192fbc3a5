"""Duplicates and contradictions: a simple model against the real check, in parts and on disk."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.checks import duplicates as duplicates_module
from tunedmodels.datasets.checks.duplicates import DuplicateReport, ExampleHashes
from tunedmodels.datasets.problems import MAX_PER_CODE

Row = tuple[str, str]


def expected(examples: list[Row]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    duplicates, contradictions = [], []
    whole: dict[Row, int] = {}
    inputs: dict[str, int] = {}
    for number, row in enumerate(examples):
        if (first := whole.setdefault(row, number)) != number:
            duplicates.append((number, first))
        earlier = inputs.setdefault(row[0], number)
        if examples[earlier][1] != row[1]:
            contradictions.append((number, earlier))
    return duplicates, contradictions


def find(examples: list[Row], size: int = 7) -> tuple[DuplicateReport, DuplicateReport]:
    with ExampleHashes() as fingerprints:
        for start in range(0, len(examples), size):
            some = examples[start : start + size]
            fingerprints.add(Block([r[0] for r in some], [r[1] for r in some], range(len(some))))
        return fingerprints.duplicates_and_contradictions()


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), max_size=60),
    st.sampled_from([10, 1000]),
)
def test_duplicates_are_found_with_any_number_of_rows_in_memory(
    examples: list[Row], rows_in_memory: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates_module, "MAX_ROWS_IN_MEMORY", rows_in_memory)
        patch.setattr(duplicates_module, "_SMALL_SET_ROWS", 2)
        patch.setattr(duplicates_module, "PART_ROWS", 4)
        patch.setattr(duplicates_module, "SLICE_ROWS", 3)
        duplicates, contradictions = find(examples)
    assert ([*duplicates.rows], [*contradictions.rows]) == expected(examples)
    assert (duplicates.count, contradictions.count) == tuple(map(len, expected(examples)))


def test_different_examples_are_not_duplicates_if_they_share_bits_of_their_hashes() -> None:
    examples = [(str(number), "x") for number in range(duplicates_module._SMALL_SET_ROWS + 5000)]
    assert find(examples, size=512) == (DuplicateReport(), DuplicateReport())


def test_the_first_thousand_duplicates_are_the_earliest_ones() -> None:
    examples = [(str(number % 3000), "x") for number in range(9000)]
    random.Random(5).shuffle(examples)  # noqa: S311  # the same order in every run
    duplicates, contradictions = find(examples, size=512)
    assert [*duplicates.rows] == expected(examples)[0][:MAX_PER_CODE]
    assert (duplicates.count, contradictions.count) == (6000, 0)
