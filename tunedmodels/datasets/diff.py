"""The difference between two datasets as multisets: added, removed, relabeled and edited examples.

Examples are matched by their content, so moving, sorting or converting a file changes none of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tunedmodels.datasets.examples import Example

MAX_LABELS = 50
_MAX_LABEL_CHARS = 60
_MIN_EXAMPLES_PER_LABEL = 4  # on average; free text rarely repeats, labels do

# Two inputs that are 90 % equal are the same input with a correction. Only the ends of long texts
# are compared, and only as many pairs as one second allows.
_MIN_SIMILARITY = 90
_END_CHARS = 200
_MAX_PAIRS = 250_000


class NumberedExample(NamedTuple):
    """An example with its position in the dataset and in the file."""

    number: int  #: position in the dataset, from 1
    example: Example
    line: int = 0  #: line of the file; 0 if the examples do not come from a file


class ExamplePair(NamedTuple):
    """One example before and after a change."""

    before: NumberedExample
    after: NumberedExample


class LabelCount(NamedTuple):
    """The number of examples with one output, before and after."""

    label: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between two datasets, each part in the order of its dataset."""

    added: tuple[NumberedExample, ...] = ()
    """The examples only in the new dataset that belong to no pair."""

    removed: tuple[NumberedExample, ...] = ()
    """The examples only in the old dataset that belong to no pair."""

    relabeled: tuple[ExamplePair, ...] = ()
    """Pairs with the same input and another output."""

    edited: tuple[ExamplePair, ...] = ()
    """Pairs with nearly the same input."""

    order_only: bool = False
    """Whether only the order differs, which still changes the training."""

    labels: tuple[LabelCount, ...] = ()
    """The counts of the outputs if they are labels, otherwise empty."""

    @property
    def is_empty(self) -> bool:
        """Whether no example was added, removed or changed."""
        return not (self.added or self.removed or self.relabeled or self.edited)

    @property
    def added_count(self) -> int:
        """The examples only in the new dataset, including the new side of each pair."""
        return len(self.added) + len(self.relabeled) + len(self.edited)

    @property
    def removed_count(self) -> int:
        """The examples only in the old dataset, including the old side of each pair."""
        return len(self.removed) + len(self.relabeled) + len(self.edited)


def number_examples(examples: Iterable[Example]) -> list[NumberedExample]:
    """Return examples that do not come from a file with their numbers, from 1."""
    return [NumberedExample(number, example) for number, example in enumerate(examples, 1)]


def compare(
    old: Sequence[NumberedExample],
    new: Sequence[NumberedExample],
    *,
    has_labels: bool | None = None,
) -> Comparison:
    """Compare two datasets by content.

    `has_labels` says whether the outputs are labels; None means to decide by the outputs.
    """
    added, removed = _surplus(new, old), _surplus(old, new)
    relabeled = _pair_relabeled(removed, added)
    _remove_paired(relabeled, removed, added)
    edited = _pair_edited(removed, added)
    _remove_paired(edited, removed, added)
    is_equal = not (added or removed or relabeled or edited)
    return Comparison(
        added=tuple(added),
        removed=tuple(removed),
        relabeled=tuple(relabeled),
        edited=tuple(edited),
        order_only=is_equal and [row.example for row in old] != [row.example for row in new],
        labels=_count_labels(old, new, has_labels=has_labels),
    )


def _surplus(
    rows: Iterable[NumberedExample], others: Iterable[NumberedExample]
) -> list[NumberedExample]:
    """Return the examples that `rows` contain more often than `others`: the last of equal ones."""
    unmatched = Counter(row.example for row in others)
    surplus = []
    for row in rows:
        if unmatched[row.example] > 0:
            unmatched[row.example] -= 1
        else:
            surplus.append(row)
    return surplus


def _pair_relabeled(
    removed: Iterable[NumberedExample], added: Iterable[NumberedExample]
) -> list[ExamplePair]:
    """Pair examples with the same input, in order."""
    by_input: dict[str, deque[NumberedExample]] = defaultdict(deque)
    for row in removed:
        by_input[row.example.text_input].append(row)
    return [
        ExamplePair(by_input[row.example.text_input].popleft(), row)
        for row in added
        if by_input[row.example.text_input]
    ]


def _pair_edited(
    removed: Sequence[NumberedExample], added: Sequence[NumberedExample]
) -> list[ExamplePair]:
    """Pair examples with nearly the same input, the most similar first."""
    if not removed or not added or len(removed) * len(added) > _MAX_PAIRS:
        return []
    from rapidfuzz import fuzz, process  # noqa: PLC0415  # start-up: only for edited examples

    new_inputs = [_ends(row.example.text_input) for row in added]
    similar = [
        (-score, old, new)
        for old, row in enumerate(removed)
        for _, score, new in process.extract(
            _ends(row.example.text_input),
            new_inputs,
            scorer=fuzz.ratio,
            score_cutoff=_MIN_SIMILARITY,
            limit=None,
        )
    ]
    old_by_new: dict[int, int] = {}  # index in `added` -> index in `removed`
    paired: set[int] = set()
    for _, old, new in sorted(similar):
        if new not in old_by_new and old not in paired:
            old_by_new[new] = old
            paired.add(old)
    return [ExamplePair(removed[old_by_new[new]], added[new]) for new in sorted(old_by_new)]


def _ends(text: str) -> str:
    return text if len(text) <= 2 * _END_CHARS else text[:_END_CHARS] + text[-_END_CHARS:]


def _remove_paired(
    pairs: Iterable[ExamplePair], removed: list[NumberedExample], added: list[NumberedExample]
) -> None:
    before = {pair.before.number for pair in pairs}
    after = {pair.after.number for pair in pairs}
    removed[:] = [row for row in removed if row.number not in before]
    added[:] = [row for row in added if row.number not in after]


def _count_labels(
    old: Sequence[NumberedExample], new: Sequence[NumberedExample], *, has_labels: bool | None
) -> tuple[LabelCount, ...]:
    """Count the outputs if they are labels, the most frequent first."""
    before, after = (Counter(row.example.output for row in rows) for rows in (old, new))
    labels = before.keys() | after.keys()
    if has_labels is False or len(labels) > MAX_LABELS:
        return ()
    if has_labels is None and (
        len(after) * _MIN_EXAMPLES_PER_LABEL > len(new)
        or any(len(label) > _MAX_LABEL_CHARS for label in labels)
    ):
        return ()
    ranked = sorted(labels, key=lambda label: (-after[label], -before[label], label))
    return tuple(LabelCount(label, before[label], after[label]) for label in ranked)
