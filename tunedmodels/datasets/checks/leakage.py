"""The check for leakage: held-out inputs that are in the training set.

Such examples measure memory instead of skill.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tunedmodels.datasets.blocks import normalize
from tunedmodels.datasets.folding import fold
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers import read
from tunedmodels.datasets.source import ExampleSource, file_size
from tunedmodels.errors import Problem


class DatasetFile(NamedTuple):
    """One of the two files; `display_path` is how problems name it."""

    file: Path
    source: ExampleSource
    display_path: str


def find_overlap(train: DatasetFile, held_out: DatasetFile) -> tuple[Problem, ...]:
    """Return a warning for each held-out input that is in the training set, with both lines.

    Inputs are the same if only case, white space or invisible characters differ.

    For the smaller file a 64-bit hash per input is kept in memory (see `checks.duplicates`), and
    the larger one is streamed. Rows that cannot be read are skipped, because `scan` reports them.
    """
    problems = ProblemCollector(held_out.display_path)
    training = ProblemCollector(train.display_path)
    if file_size(train.file) < file_size(held_out.file):
        first_lines = _first_lines(train, training)
        overlap = [
            (line, first_lines[key])
            for key, line in _input_hashes(held_out, problems)
            if key in first_lines
        ]
    else:
        lines: dict[int, list[int]] = {}
        for key, line in _input_hashes(held_out, problems):
            lines.setdefault(key, []).append(line)
        overlap = sorted(
            (line, train_line)
            for key, train_line in _input_hashes(train, training)
            for line in lines.pop(key, ())
        )
    for line, train_line in overlap:
        place = training.locate(train_line)
        problems.warn(
            line,
            "overlap",
            f"the input is also in the training set, at {':'.join(map(str, place))}",
            "Use held-out examples that are not in the training set.",
            path=held_out.source.input_field,
        )
    return tuple(problem for problem in problems.by_line() if problem.code == "overlap")


def _first_lines(dataset: DatasetFile, problems: ProblemCollector) -> dict[int, int]:
    first_lines: dict[int, int] = {}
    for key, line in _input_hashes(dataset, problems):
        first_lines.setdefault(key, line)
    return first_lines


def _input_hashes(dataset: DatasetFile, problems: ProblemCollector) -> Iterator[tuple[int, int]]:
    """Yield (hash of the folded input, position)."""
    for block in read(dataset.file, dataset.source, problems):
        rows = normalize(block, dataset.source, problems)
        yield from zip(map(hash, map(fold, rows.inputs)), rows.lines, strict=True)
