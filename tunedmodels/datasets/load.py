"""All examples of a file as values, for a job that trains on them."""

from __future__ import annotations

from pathlib import Path

from tunedmodels.datasets.blocks import tidy
from tunedmodels.datasets.examples import Example
from tunedmodels.datasets.findings import Found
from tunedmodels.datasets.readers import read
from tunedmodels.datasets.source import Source
from tunedmodels.errors import ProblemsFoundError


def load(file: Path, source: Source, *, written: str | None = None) -> list[Example]:
    """Return the examples in order: those of which `survey` gives the digest.

    `written` is how problems name the file. Raises ProblemsFoundError where a row cannot be read;
    limits are not checked again.
    """
    found = Found(written or str(file))
    examples = [
        Example(text_input, output)
        for block in read(file, source, found)
        for text_input, output in tidy(block, source, found).pairs()
    ]
    if found.errors:
        raise ProblemsFoundError(found.problems())
    return examples
