"""How two datasets differ: laws of the comparison, and what counts as reworded or edited."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.datasets.diff import Comparison, Numbered, compare, numbered
from tunedmodels.datasets.examples import Example
from tunedmodels.datasets.load import load, load_numbered
from tunedmodels.schema.tuned_model import Examples

INPUTS = ["Where is my order?", "Where is my orders?", "where is my order", "Hi", "Ho", ""]
FEW = st.lists(st.builds(Example, st.sampled_from(INPUTS), st.sampled_from("xyz")), max_size=10)


def came(made: Comparison) -> list[Numbered]:
    return [*made.added, *(pair.after for pair in (*made.reworded, *made.edited))]


def went(made: Comparison) -> list[Numbered]:
    return [*made.removed, *(pair.before for pair in (*made.reworded, *made.edited))]


def counts(rows: Iterable[Numbered]) -> Counter[Example]:
    return Counter(row.example for row in rows)


@given(old=FEW, new=FEW)
def test_the_difference_applied_to_the_old_gives_the_new(
    old: list[Example], new: list[Example]
) -> None:
    made = compare(numbered(old), numbered(new))
    assert Counter(old) - counts(went(made)) + counts(came(made)) == Counter(new)
    assert not counts(came(made)) & counts(went(made))
    assert all(new[row.number - 1] == row.example for row in came(made))
    assert all(old[row.number - 1] == row.example for row in went(made))
    assert len({row.number for row in came(made)}) == len(came(made))
    assert len({row.number for row in went(made)}) == len(went(made))
    assert made.order_only is (Counter(old) == Counter(new) and old != new)
    assert made.is_empty is (Counter(old) == Counter(new))


@given(old=FEW, new=FEW)
def test_what_is_paired_has_one_input_or_nearly_so(old: list[Example], new: list[Example]) -> None:
    made = compare(numbered(old), numbered(new))
    for before, after in made.reworded:
        assert before.example.text_input == after.example.text_input
        assert before.example.output != after.example.output
    assert all(b.example.text_input != a.example.text_input for b, a in made.edited)
    left = {row.example.text_input for row in made.added}
    assert not left & {row.example.text_input for row in made.removed}


@given(old=FEW, new=FEW)
def test_the_way_back_is_the_same_way(old: list[Example], new: list[Example]) -> None:
    there, back = compare(numbered(old), numbered(new)), compare(numbered(new), numbered(old))
    assert counts(came(there)) == counts(went(back))
    assert len(there.reworded) == len(back.reworded)


@given(old=FEW, random=st.randoms(use_true_random=False))
def test_a_shuffle_is_a_change_of_order_only(old: list[Example], random: Random) -> None:
    new = random.sample(old, len(old))
    made = compare(numbered(old), numbered(new))
    assert made.is_empty
    assert made.order_only is (old != new)


def test_reworded_and_edited_examples_are_told_from_new_ones() -> None:
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
    made = compare(numbered(old), numbered(new))
    assert [(b.number, a.number) for b, a in made.reworded] == [(1, 2)]
    assert [(b.number, a.number) for b, a in made.edited] == [(2, 1)]
    assert [row.number for row in made.added] == [3]
    assert [row.number for row in made.removed] == [3]


def test_long_inputs_are_compared_by_their_ends() -> None:
    old = [Example("a" * 300 + middle + "z" * 300, "x") for middle in ("one", "two")]
    new = [Example("a" * 300 + middle + "z" * 300, "x") for middle in ("uno", "due")]
    assert len(compare(numbered(old), numbered(new)).edited) == 2


def test_among_very_many_new_examples_nobody_looks_for_edited_ones() -> None:
    old = numbered(Example(f"the same question {n}", "x") for n in range(600))
    new = numbered(Example(f"the same question {n}", "x") for n in range(600, 1200))
    made = compare(old, new)
    assert (len(made.added), len(made.removed), made.edited) == (600, 600, ())


def labelled(*counts: tuple[str, int]) -> list[Numbered]:
    return numbered(Example(f"{label} {n}", label) for label, count in counts for n in range(count))


def test_labels_are_counted_before_and_after_the_most_frequent_first() -> None:
    made = compare(labelled(("bug", 8), ("old", 4)), labelled(("bug", 9), ("new", 9)))
    assert [tuple(row) for row in made.labels] == [("bug", 8, 9), ("new", 0, 9), ("old", 4, 0)]


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
    ids=["speak for themselves", "declared as none", "one of each", "declared", "long", "many"],
)
def test_outputs_are_labels_where_they_return(
    outputs: list[tuple[str, int]], *, declared: bool | None, are_labels: bool
) -> None:
    made = compare([], labelled(*outputs), has_labels=declared)
    assert bool(made.labels) is are_labels


def test_examples_know_the_lines_of_their_file(tmp_path: Path) -> None:
    rows = [json.dumps({"text_input": text, "output": "y"}) for text in "ab"]
    (tmp_path / "a.jsonl").write_text(f"\n{rows[0]}\n\n\n{rows[1]}\n")
    (tmp_path / "a.csv").write_text('text_input,output\n"x\ny",z\nb,c\n')
    for name, lines in (("a.jsonl", [2, 5]), ("a.csv", [2, 4])):
        source = Examples(path=name)
        found = load_numbered(tmp_path / name, source)
        assert [row.line for row in found] == lines
        assert [row.example for row in found] == load(tmp_path / name, source)
