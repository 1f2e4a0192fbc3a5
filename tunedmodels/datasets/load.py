"""All examples of a file as values, for a job that trains on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tunedmodels.datasets.blocks import tidy
from tunedmodels.datasets.diff import Numbered
from tunedmodels.datasets.examples import Example, Preference
from tunedmodels.datasets.problems import Found
from tunedmodels.datasets.readers import read
from tunedmodels.datasets.source import Source, responses
from tunedmodels.errors import ProblemsFoundError


def load(file: Path, source: Source, *, written: str | None = None) -> list[Example]:
    """Return the examples in order: those of which `survey` gives the digest.

    `written` is how problems name the file. Raises ProblemsFoundError where a row cannot be read;
    limits are not checked again.
    """
    return [Example(*pair) for pair, _ in _rows(file, source, written)]


def load_preferences(
    file: Path, source: Source, rejected_field: str, *, written: str | None = None
) -> list[Preference]:
    """Return the preferences in order: those of which `survey_preferences` gives the digest.

    Raises ProblemsFoundError as `load` does.
    """
    better, worse = responses(source, rejected_field)
    rows = zip(_rows(file, better, written), _rows(file, worse, written), strict=True)
    return [Preference(*pair, rejected) for (pair, _), ((_, rejected), _) in rows]


def load_numbered(file: Path, source: Source, *, written: str | None = None) -> list[Numbered]:
    """Return the examples as `load` does, each with the line of the file on which it begins."""
    rows = enumerate(_rows(file, source, written), 1)
    return [Numbered(number, Example(*pair), line) for number, (pair, line) in rows]


def _rows(file: Path, source: Source, written: str | None) -> Iterator[tuple[tuple[str, str], int]]:
    found = Found(written or str(file))
    for block in read(file, source, found):
        rows = tidy(block, source, found)
        yield from zip(rows.pairs(), rows.lines, strict=True)
    if found.errors:
        raise ProblemsFoundError(found.problems())
