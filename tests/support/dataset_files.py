"""Small dataset files, and what a reader returns for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers import read
from tunedmodels.datasets.source import Format
from tunedmodels.schema.tuned_model import ExampleFile

ONE = '{"text_input": "one", "output": "1"}'
TWO = '{"output": "2", "more": [1], "text_input": "two"}'

Row = tuple[str, str, int]
"""(input, output, line)"""

WriteFile = Callable[[str, str | bytes], Path]


def source(format_: Format | None = None, **fields: Any) -> ExampleFile:
    """Return the declaration of a file of examples."""
    return ExampleFile(path="x", format=format_, **fields)


def read_rows(file: Path, declared: ExampleFile | None = None) -> tuple[list[Row], list[str]]:
    """Return the rows of a file, and `line: code: message` of its problems."""
    problems = ProblemCollector("data")
    rows = [
        row
        for block in read(file, declared or source(), problems)
        for row in zip(block.inputs, block.outputs, block.lines, strict=True)
    ]
    return rows, [f"{p.line}: {p.code}: {p.message}" for p in problems.by_line()]
