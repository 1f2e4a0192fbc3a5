"""Parquet, with the extra `parquet`: rows in batches, so that memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunedmodels.datasets.blocks import ROWS_PER_BLOCK, Block
from tunedmodels.datasets.layout import (
    Layout,
    report_missing_field,
    resolve_fields,
)
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers.rows import ParsedRow, row_parser, to_blocks

INSTALL = "pip install 'tunedmodels[parquet]'"


def read_parquet(file: Path, layout: Layout, problems: ProblemCollector) -> Iterator[Block]:
    """Yield the rows of a Parquet file; their lines are the numbers of the rows."""
    try:
        from pyarrow import ArrowException  # noqa: PLC0415  # an extra, and slow to import
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415  # the same
    except ImportError:
        problems.error(0, "no-parquet", "is Parquet, which needs an extra package", INSTALL)
        return
    try:
        with ParquetFile(file) as parquet:
            names = list(parquet.schema_arrow.names)
            batches = parquet.iter_batches(batch_size=ROWS_PER_BLOCK)
            first = next(batches, None)
            rows = first.to_pylist() if first is not None else []
            resolved = resolve_fields(layout, names, rows[:50], problems, line=0)
            if resolved is None or not _has_fields(resolved, names, problems):
                return
            yield from to_blocks(_parse(rows, batches, resolved, problems))
    except (ArrowException, OSError) as error:
        problems.error(0, "damaged", f"cannot be read as Parquet: {error}", "Write the file again.")


def _has_fields(layout: Layout, names: list[str], problems: ProblemCollector) -> bool:
    if layout.chat or layout.templates:
        return True
    before = problems.error_count
    for name, setting in (
        (layout.source.input_field, "inputField"),
        (layout.source.output_field, "outputField"),
    ):
        if name not in names:
            report_missing_field(names, name, setting, 0, problems)
    return problems.error_count == before


def _parse(
    first: list[dict[str, Any]], batches: Iterator[Any], layout: Layout, problems: ProblemCollector
) -> Iterator[ParsedRow]:
    parse = row_parser(layout, problems)
    number = 0
    for row in first:
        number += 1
        yield from parse(row, number)
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield from parse(row, number)
