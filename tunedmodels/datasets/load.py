"""Loading all examples of a file as values, for training, evaluation and comparison."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tunedmodels.datasets.blocks import normalize
from tunedmodels.datasets.diff import NumberedExample
from tunedmodels.datasets.examples import (
    Conversation,
    ConversationPreference,
    Example,
    Preference,
)
from tunedmodels.datasets.problems import FILE_STRIDE, ProblemCollector
from tunedmodels.datasets.readers import read
from tunedmodels.datasets.source import ExampleSource, response_sources
from tunedmodels.errors import ProblemsFoundError


def load(file: Path, source: ExampleSource, *, display_path: str | None = None) -> list[Example]:
    """Return the examples in order, the same ones whose digest `scan` returns.

    `display_path` is how problems name the file. Raises ProblemsFoundError when a row cannot be
    read; limits are not checked.
    """
    return [example for example, _ in _read_examples(file, source, display_path)]


def load_preferences(
    file: Path, source: ExampleSource, rejected_field: str, *, display_path: str | None = None
) -> list[Preference]:
    """Return the preferences in order, the same ones whose digest `scan_preferences` returns.

    Raises ProblemsFoundError as `load` does.
    """
    better, worse = response_sources(source, rejected_field)
    rows = zip(
        _read_examples(file, better, display_path),
        _read_examples(file, worse, display_path),
        strict=True,
    )
    return [_preference(better_one, worse_one.output) for (better_one, _), (worse_one, _) in rows]


def load_numbered(
    file: Path, source: ExampleSource, *, display_path: str | None = None
) -> list[NumberedExample]:
    """Return the examples as `load` does, each with the line on which it begins."""
    rows = enumerate(_read_examples(file, source, display_path), 1)
    return [
        NumberedExample(number, example, position % FILE_STRIDE)
        for number, (example, position) in rows
    ]


def _preference(better: Example, rejected: str) -> Preference:
    if isinstance(better, Conversation):
        return ConversationPreference(
            better.text_input, better.output, rejected, better.row, better.is_pair
        )
    return Preference(better.text_input, better.output, rejected)


def _read_examples(
    file: Path, source: ExampleSource, display_path: str | None
) -> Iterator[tuple[Example, int]]:
    problems = ProblemCollector(display_path or str(file))
    for block in read(file, source, problems):
        rows = normalize(block, source, problems)
        yield from zip(rows.examples(), rows.lines, strict=True)
    if problems.error_count:
        raise ProblemsFoundError(problems.by_line())
