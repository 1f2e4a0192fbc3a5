"""Held-out examples that stand in the training set too, and so measure memory instead of skill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tunedmodels.datasets.blocks import tidy
from tunedmodels.datasets.problems import Found
from tunedmodels.datasets.readers import read
from tunedmodels.datasets.source import Source
from tunedmodels.errors import Problem


class Side(NamedTuple):
    """One of two files; `written` is how problems name it."""

    file: Path
    source: Source
    written: str


def overlap(train: Side, held_out: Side) -> tuple[Problem, ...]:
    """Warn of each held-out input that is also trained on, with both lines.

    The smaller file is remembered as a 64-bit fingerprint per input (see `repeats`), the larger one
    streams. Rows that cannot be read are passed over: `survey` reports them.
    """
    found = Found(held_out.written)
    if _size(train.file) < _size(held_out.file):
        first = _first_lines(train)
        hits = [(line, first[key]) for key, line in _keys(held_out) if key in first]
    else:
        lines: dict[int, list[int]] = {}
        for key, line in _keys(held_out):
            lines.setdefault(key, []).append(line)
        hits = sorted(
            (line, trained) for key, trained in _keys(train) for line in lines.pop(key, ())
        )
    for line, trained in hits:
        found.warn(
            line,
            "overlap",
            f"the input is also trained on, at {train.written}:{trained}",
            "Hold out examples that are not in the training set.",
            path=held_out.source.input_field,
        )
    return found.problems()


def _first_lines(side: Side) -> dict[int, int]:
    first: dict[int, int] = {}
    for key, line in _keys(side):
        first.setdefault(key, line)
    return first


def _keys(side: Side) -> Iterator[tuple[int, int]]:
    """Yield (fingerprint of the input, line)."""
    ignored = Found(side.written)
    for block in read(side.file, side.source, ignored):
        rows = tidy(block, side.source, ignored)
        yield from zip(map(hash, rows.inputs), rows.lines, strict=True)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return 0
