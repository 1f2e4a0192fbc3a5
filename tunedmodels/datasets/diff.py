"""How two datasets differ, as multisets: what came, what went, and what came back in other words.

Examples are matched by what they hold, so that moving, sorting or converting a file is no change of
any of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tunedmodels.datasets.examples import Example

MOST_LABELS = 50
_LONGEST_LABEL = 60  # characters
_TIMES = 4  # a label stands in several examples; an answer in words of its own does not

# An input that is nine tenths the same is the old one with a slip mended. Only the ends of long
# texts are looked at, and not more pairs than a second is enough for.
_SIMILAR = 90
_END = 200  # characters
_MOST_PAIRS = 250_000


class Numbered(NamedTuple):
    """An example, where it stands in its dataset (from 1), and on which line of its file.

    `line` is 0 where there is no file, only the examples.
    """

    number: int
    example: Example
    line: int = 0


class Pair(NamedTuple):
    """An example that is there in other words: as it was, and as it is."""

    before: Numbered
    after: Numbered


class LabelCount(NamedTuple):
    """How many examples have one output, before and after."""

    label: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two datasets, each part in the order of its dataset.

    `reworded` has the same input and another output, `edited` nearly the same input; `added` and
    `removed` are the rest. `order_only`: the same examples in another order, which is another
    training run all the same. `labels` counts the outputs where they are labels, else it is empty.
    """

    added: tuple[Numbered, ...] = ()
    removed: tuple[Numbered, ...] = ()
    reworded: tuple[Pair, ...] = ()
    edited: tuple[Pair, ...] = ()
    order_only: bool = False
    labels: tuple[LabelCount, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether no example came, went or changed."""
        return not (self.added or self.removed or self.reworded or self.edited)


def numbered(examples: Iterable[Example]) -> list[Numbered]:
    """Give examples that come from no file their numbers, from 1."""
    return [Numbered(number, example) for number, example in enumerate(examples, 1)]


def compare(
    old: Sequence[Numbered], new: Sequence[Numbered], *, has_labels: bool | None = None
) -> Comparison:
    """Compare two datasets by what they hold.

    `has_labels` says whether the outputs are labels; None means that they speak for themselves.
    """
    added, removed = _surplus(new, old), _surplus(old, new)
    reworded = _reworded(removed, added)
    _drop(reworded, removed, added)
    edited = _edited(removed, added)
    _drop(edited, removed, added)
    moved = not (added or removed or reworded or edited)
    return Comparison(
        added=tuple(added),
        removed=tuple(removed),
        reworded=tuple(reworded),
        edited=tuple(edited),
        order_only=moved and [row.example for row in old] != [row.example for row in new],
        labels=_labels(old, new, has_labels=has_labels),
    )


def _surplus(these: Iterable[Numbered], those: Iterable[Numbered]) -> list[Numbered]:
    """Return what `these` have more often than `those`: of equal examples the last ones."""
    matched = Counter(row.example for row in those)
    surplus = []
    for row in these:
        if matched[row.example] > 0:
            matched[row.example] -= 1
        else:
            surplus.append(row)
    return surplus


def _reworded(removed: Iterable[Numbered], added: Iterable[Numbered]) -> list[Pair]:
    """Pair what has the same input, the first with the first."""
    waiting: dict[str, deque[Numbered]] = defaultdict(deque)
    for row in removed:
        waiting[row.example.text_input].append(row)
    return [
        Pair(waiting[row.example.text_input].popleft(), row)
        for row in added
        if waiting[row.example.text_input]
    ]


def _edited(removed: Sequence[Numbered], added: Sequence[Numbered]) -> list[Pair]:
    """Pair what has nearly the same input, the most similar first."""
    if not removed or not added or len(removed) * len(added) > _MOST_PAIRS:
        return []
    from rapidfuzz import fuzz, process  # noqa: PLC0415  # only where something was edited

    new = [_ends(row.example.text_input) for row in added]
    similar = [
        (-score, then, now)
        for then, row in enumerate(removed)
        for _, score, now in process.extract(
            _ends(row.example.text_input),
            new,
            scorer=fuzz.ratio,
            score_cutoff=_SIMILAR,
            limit=None,
        )
    ]
    pairs: dict[int, int] = {}  # place in `added` -> place in `removed`
    taken: set[int] = set()
    for _, then, now in sorted(similar):
        if now not in pairs and then not in taken:
            pairs[now] = then
            taken.add(then)
    return [Pair(removed[pairs[now]], added[now]) for now in sorted(pairs)]


def _ends(text: str) -> str:
    return text if len(text) <= 2 * _END else text[:_END] + text[-_END:]


def _drop(pairs: Iterable[Pair], removed: list[Numbered], added: list[Numbered]) -> None:
    then = {pair.before.number for pair in pairs}
    now = {pair.after.number for pair in pairs}
    removed[:] = [row for row in removed if row.number not in then]
    added[:] = [row for row in added if row.number not in now]


def _labels(
    old: Sequence[Numbered], new: Sequence[Numbered], *, has_labels: bool | None
) -> tuple[LabelCount, ...]:
    """Count the outputs, the most frequent first, where they are labels."""
    before, after = (Counter(row.example.output for row in rows) for rows in (old, new))
    labels = before.keys() | after.keys()
    if has_labels is False or len(labels) > MOST_LABELS:
        return ()
    if has_labels is None and (
        len(after) * _TIMES > len(new) or any(len(label) > _LONGEST_LABEL for label in labels)
    ):
        return ()
    ranked = sorted(labels, key=lambda label: (-after[label], -before[label], label))
    return tuple(LabelCount(label, before[label], after[label]) for label in ranked)
