"""Tests of the comparison of nested fields."""

from __future__ import annotations

import sys
from itertools import takewhile
from typing import Any

from deepdiff import DeepDiff
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.plan.diff import changed_leaves

SCALARS = st.one_of(st.none(), st.integers(2, 5), st.floats(2, 5), st.sampled_from(["", "a", "b"]))
LEAVES = st.one_of(SCALARS, st.lists(st.integers(0, 3), max_size=3))
VALUES = st.dictionaries(
    st.sampled_from("abcd"),
    st.one_of(LEAVES, st.dictionaries(st.sampled_from("abc"), LEAVES, max_size=3)),
    max_size=4,
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    before = draw(VALUES)
    if draw(st.booleans()):
        return before, draw(VALUES)
    changed = draw(st.sets(st.sampled_from(sorted(before)))) if before else set()
    return before, {key: draw(LEAVES) if key in changed else before[key] for key in before}


@given(pairs())
def test_the_paths_are_those_of_deepdiff(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    before, after = pair
    found = DeepDiff(before, after, view="tree", ignore_numeric_type_changes=True)
    expected = {
        ".".join(takewhile(lambda part: isinstance(part, str), item.path(output_format="list")))
        for items in found.values()
        for item in items
    }
    assert [change.path for change in changed_leaves(before, after)] == sorted(expected)


def test_scalars_are_compared_without_deepdiff(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "deepdiff", None)
    before = {"temperature": 0.7, "hyperparameters": {"epochCount": 5, "batchSize": 4}}
    after = {"temperature": 0.5, "hyperparameters": {"epochCount": 6, "batchSize": 4}}
    changes = changed_leaves(before, after, forces_replacement=True)
    assert [(change.path, change.before, change.after) for change in changes] == [
        ("hyperparameters.epochCount", 5, 6),
        ("temperature", 0.7, 0.5),
    ]
    assert all(change.forces_replacement for change in changes)
