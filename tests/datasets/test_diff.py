"""The comparison of two datasets: its laws, and which examples count as relabeled or edited."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.datasets.diff import (
    Comparison,
    LabelCount,
    NumberedExample,
    compare,
    number_examples,
)
from tunedmodels.datasets.examples import Example
from tunedmodels.datasets.load import load, load_numbered
from tunedmodels.schema.tuned_model import ExampleFile

INPUTS = ["Where is my order?", "Where is my orders?", "where is my order", "Hi", "Ho", ""]
FEW = st.lists(st.builds(Example, st.sampled_from(INPUTS), st.sampled_from("xyz")), max_size=10)


def new_rows(comparison: Comparison) -> list[NumberedExample]:
    return [
        *comparison.added,
        *(pair.after for pair in (*comparison.relabeled, *comparison.edited)),
    ]


def old_rows(comparison: Comparison) -> list[NumberedExample]:
    return [
        *comparison.removed,
        *(pair.before for pair in (*comparison.relabeled, *comparison.edited)),
    ]


def counts(rows: Iterable[NumberedExample]) -> Counter[Example]:
    return Counter(row.example for row in rows)


@given(old=FEW, new=FEW)
def test_the_difference_applied_to_the_old_gives_the_new(
    old: list[Example], new: list[Example]
) -> None:
    comparison = compare(number_examples(old), number_examples(new))
    assert Counter(old) - counts(old_rows(comparison)) + counts(new_rows(comparison)) == Counter(
        new
    )
    assert not counts(new_rows(comparison)) & counts(old_rows(comparison))
    assert all(new[row.number - 1] == row.example for row in new_rows(comparison))
    assert all(old[row.number - 1] == row.example for row in old_rows(comparison))
    assert len({row.number for row in new_rows(comparison)}) == len(new_rows(comparison))
    assert len({row.number for row in old_rows(comparison)}) == len(old_rows(comparison))
    assert comparison.order_only is (Counter(old) == Counter(new) and old != new)
    assert comparison.is_empty is (Counter(old) == Counter(new))


@given(old=FEW, new=FEW)
def test_the_examples_of_a_pair_have_the_same_or_nearly_the_same_input(
    old: list[Example], new: list[Example]
) -> None:
    comparison = compare(number_examples(old), number_examples(new))
    for before, after in comparison.relabeled:
        assert before.example.text_input == after.example.text_input
        assert before.example.output != after.example.output
    assert all(b.example.text_input != a.example.text_input for b, a in comparison.edited)
    left = {row.example.text_input for row in comparison.added}
    assert not left & {row.example.text_input for row in comparison.removed}


@given(old=FEW, new=FEW)
def test_the_reverse_comparison_has_the_same_pairs(old: list[Example], new: list[Example]) -> None:
    forward, back = (
        compare(number_examples(old), number_examples(new)),
        compare(number_examples(new), number_examples(old)),
    )
    assert counts(new_rows(forward)) == counts(old_rows(back))
    assert len(forward.relabeled) == len(back.relabeled)


@given(old=FEW, random=st.randoms(use_true_random=False))
def test_a_shuffle_is_a_change_of_order_only(old: list[Example], random: Random) -> None:
    new = random.sample(old, len(old))
    comparison = compare(number_examples(old), number_examples(new))
    assert comparison.is_empty
    assert comparison.order_only is (old != new)


def test_relabeled_and_edited_examples_differ_from_new_ones() -> None:
    old = [
        Example("What is this?", "cold"),
        Example("The app closes when I open its settings", "bug"),
        Example("Goodbye", "warm"),
    ]
    new = [
        Example("The app crashes when I open its settings", "bug"),
        Example("What is this?", "curt"),
        Example("Where is it?", "cold"),
    ]
    comparison = compare(number_examples(old), number_examples(new))
    assert [(b.number, a.number) for b, a in comparison.relabeled] == [(1, 2)]
    assert [(b.number, a.number) for b, a in comparison.edited] == [(2, 1)]
    assert [row.number for row in comparison.added] == [3]
    assert [row.number for row in comparison.removed] == [3]


def test_the_counts_include_a_pair_as_one_example_added_and_one_removed() -> None:
    old = labelled(("bug", 8), ("old", 4))
    new = [*labelled(("bug", 8), ("new", 4)), NumberedExample(13, Example("something else", "bug"))]
    relabeled = NumberedExample(1, Example("bug 0", "new"))
    comparison = compare(old, [relabeled, *new[1:]])
    assert (comparison.added_count, comparison.removed_count) == (6, 5)
    assert (len(comparison.relabeled), len(comparison.edited)) == (1, 0)
    assert not comparison.order_only
    assert comparison.labels == (
        LabelCount("bug", 8, 8),
        LabelCount("new", 0, 5),
        LabelCount("old", 4, 0),
    )


def test_long_inputs_are_compared_by_their_ends() -> None:
    old = [Example("a" * 300 + middle + "z" * 300, "x") for middle in ("one", "two")]
    new = [Example("a" * 300 + middle + "z" * 300, "x") for middle in ("uno", "due")]
    assert len(compare(number_examples(old), number_examples(new)).edited) == 2


def test_very_many_new_examples_are_not_searched_for_edited_ones() -> None:
    old = number_examples(Example(f"the same question {n}", "x") for n in range(600))
    new = number_examples(Example(f"the same question {n}", "x") for n in range(600, 1200))
    comparison = compare(old, new)
    assert (len(comparison.added), len(comparison.removed), comparison.edited) == (600, 600, ())


def labelled(*counts: tuple[str, int]) -> list[NumberedExample]:
    return number_examples(
        Example(f"{label} {n}", label) for label, count in counts for n in range(count)
    )


def test_labels_are_counted_before_and_after_the_most_frequent_first() -> None:
    comparison = compare(labelled(("bug", 8), ("old", 4)), labelled(("bug", 9), ("new", 9)))
    assert [tuple(row) for row in comparison.labels] == [
        ("bug", 8, 9),
        ("new", 0, 9),
        ("old", 4, 0),
    ]


@pytest.mark.parametrize(
    ("outputs", "declared", "are_labels"),
    [
        ([("yes", 4), ("no", 4)], None, True),
        ([("yes", 4), ("no", 4)], False, False),
        ([("yes", 1), ("no", 1)], None, False),
        ([("yes", 1), ("no", 1)], True, True),
        ([("an answer in many words " * 4, 8)], None, False),
        ([(str(n), 4) for n in range(51)], True, False),
    ],
    ids=["repeated", "declared as no labels", "one of each", "declared", "long", "many"],
)
def test_outputs_that_repeat_are_labels(
    outputs: list[tuple[str, int]], *, declared: bool | None, are_labels: bool
) -> None:
    comparison = compare([], labelled(*outputs), has_labels=declared)
    assert bool(comparison.labels) is are_labels


def test_loaded_examples_have_the_lines_of_their_file(tmp_path: Path) -> None:
    first, second = (json.dumps({"text_input": text, "output": "y"}) for text in "ab")
    (tmp_path / "a.jsonl").write_text(f"\n{first}\n\n\n{second}\n")
    (tmp_path / "a.csv").write_text('text_input,output\n"x\ny",z\nb,c\n')
    for name, lines in (("a.jsonl", [2, 5]), ("a.csv", [2, 4])):
        source = ExampleFile(path=name)
        rows = load_numbered(tmp_path / name, source)
        assert [row.line for row in rows] == lines
        assert [row.example for row in rows] == load(tmp_path / name, source)
