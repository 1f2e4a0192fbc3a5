"""The selection of rows: what is dropped, held out, sampled or beyond the limit.

A row is held out by a hash of its input, or of its group, so that the same rows are held out when
others are added. A sample is chosen by hash as well; the limit keeps the first rows.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Sequence
from typing import Final

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.folding import fold, is_placeholder
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.source import HoldOut, Source
from tunedmodels.datasets.tokens import estimate_tokens

TRAINING: Final = "training"
_DROP_NAMES: Final = {
    "empty": "with an empty text",
    "duplicates": "that occur earlier",
    "placeholders": "whose output is a placeholder",
    "tooLong": "that are too long",
}
_SHOWN_LINES: Final = 5


def select(blocks: Iterator[Block], source: Source, problems: ProblemCollector) -> Iterator[Block]:
    """Yield the rows that `source` selects."""
    dropper = _Dropper(source, problems)
    kept: Iterator[Block] = (_held(dropper.drop(block), source) for block in blocks)
    if source.sample is not None:
        kept = iter(_sample(list(kept), source.sample, source.seed))
    remaining = source.limit
    for block in kept:
        chosen = block
        if remaining is not None:
            chosen = block.select(range(min(remaining, len(block.inputs))))
            remaining -= len(chosen.inputs)
        if chosen.inputs:
            yield chosen
        if remaining == 0:
            break
    dropper.report()


class _Dropper:
    """Drops the rows that a source declares as unwanted, and counts them."""

    def __init__(self, source: Source, problems: ProblemCollector) -> None:
        self._kinds = source.drop
        self._problems = problems
        self._counts = dict.fromkeys(source.drop, 0)
        self._lines: dict[str, list[int]] = {kind: [] for kind in source.drop}
        self._seen: set[bytes] = set()
        self._max_sizes = source.max_sizes

    def drop(self, block: Block) -> Block:
        """Return the rows to keep."""
        if not self._kinds:
            return block
        kept = []
        for number, (text_input, output) in enumerate(block.pairs()):
            kind = self._kind(text_input, output)
            if kind is None:
                kept.append(number)
                continue
            self._counts[kind] += 1
            if len(self._lines[kind]) < _SHOWN_LINES:
                self._lines[kind].append(block.lines[number])
        return block.select(kept)

    def report(self) -> None:
        """Tell how many rows were dropped, and where the first ones are."""
        for kind, count in self._counts.items():
            if count:
                places = [self._problems.locate(line) for line in self._lines[kind]]
                lines = ", ".join(str(line) for _, line in places)
                self._problems.note_dropped(kind, count, _DROP_NAMES[kind], lines)

    def _kind(self, text_input: str, output: str) -> str | None:
        if "empty" in self._kinds and not (text_input.strip() and output.strip()):
            return "empty"
        if "placeholders" in self._kinds and is_placeholder(output):
            return "placeholders"
        if "tooLong" in self._kinds and self._is_too_long(text_input, output):
            return "tooLong"
        if "duplicates" in self._kinds:
            key = _digest(f"{fold(text_input)}\0{fold(output)}")
            if key in self._seen:
                return "duplicates"
            self._seen.add(key)
        return None

    def _is_too_long(self, text_input: str, output: str) -> bool:
        longest_input, longest_output, most_tokens = self._max_sizes
        if len(text_input) > longest_input or len(output) > longest_output:
            return True
        if not most_tokens or 2 * (len(text_input) + len(output)) <= most_tokens:
            return False
        return estimate_tokens(text_input) + estimate_tokens(output) > most_tokens


def _held(block: Block, source: Source) -> Block:
    """Return the rows of the part that `source` reads: those held out for it, or the others."""
    if not source.hold_outs:
        return block
    fields = tuple(dict.fromkeys(each.by for each in source.hold_outs if each.by))
    kept = []
    for number, text_input in enumerate(block.inputs):
        groups = (block.groups[number] if block.groups else "").split("\0")
        values = dict(zip(fields, groups, strict=False))
        if _part(text_input, values, source.hold_outs) == source.part:
            kept.append(number)
    return block.select(kept)


def _part(text_input: str, groups: dict[str, str], hold_outs: Sequence[HoldOut]) -> str:
    """Return the part of a row: the first hold-out whose share its hash falls in, or training."""
    for each in hold_outs:
        key = groups.get(each.by, "") if each.by else fold(text_input)
        if _fraction(f"{each.part}\0{each.seed}\0{key}") < each.share:
            return each.part
    return TRAINING


def _sample(blocks: list[Block], size: int, seed: int) -> list[Block]:
    """Return `size` rows in their order, chosen by a hash of their texts."""
    ranked = (
        (_digest(f"{seed}\0{pair[0]}\0{pair[1]}"), block_number, number)
        for block_number, block in enumerate(blocks)
        for number, pair in enumerate(block.pairs())
    )
    chosen: dict[int, list[int]] = {}
    for _, block_number, number in heapq.nsmallest(size, ranked):
        chosen.setdefault(block_number, []).append(number)
    return [blocks[number].select(sorted(chosen[number])) for number in sorted(chosen)]


def _fraction(key: str) -> float:
    return int.from_bytes(_digest(key)[:8]) / 2**64


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]
