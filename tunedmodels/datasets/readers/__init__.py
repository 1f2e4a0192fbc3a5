"""Readers of example files: to add a container, add a module and an entry in `READERS`.

A reader goes through a file once and yields blocks of the rows that contain two texts. It reports
every other row with its line and continues with the next row. It raises no error for the content of
a file; OSError propagates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.encodings import GZIP_ERRORS, report_gzip
from tunedmodels.datasets.layout import Layout
from tunedmodels.datasets.paths import source_files
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers.delimited import read_table
from tunedmodels.datasets.readers.json_document import read_json
from tunedmodels.datasets.readers.jsonl import read_jsonl
from tunedmodels.datasets.readers.parquet import read_parquet
from tunedmodels.datasets.recognise import recognise
from tunedmodels.datasets.selection import select
from tunedmodels.datasets.source import Container, ExampleSource, Source

Reader = Callable[[Path, Layout, ProblemCollector], Iterator[Block]]

READERS: dict[Container, Reader] = {
    "jsonl": read_jsonl,
    "json": read_json,
    "csv": read_table,
    "tsv": read_table,
    "parquet": read_parquet,
}


def read(file: Path, source: ExampleSource, problems: ProblemCollector) -> Iterator[Block]:
    """Yield the rows that `source` selects of its files; nothing of a file that cannot be read.

    `file` is the file, or for several files the directory that their paths are relative to.
    """
    full = Source.of(source)
    if full.input_field == full.output_field and not (full.input or full.output):
        problems.error(
            0,
            "same-field",
            f"inputField and outputField are both {full.input_field!r}",
            "Name the field of the prompt and the field of the response.",
        )
        return
    blocks = _read_all(file, full, problems)
    yield from select(blocks, full, problems) if full.is_selective else blocks


def _read_all(file: Path, source: Source, problems: ProblemCollector) -> Iterator[Block]:
    if not source.is_several:
        yield from _read_file(file, source, problems)
        return
    for path, display_path in source_files(file, source.path, problems):
        offset = problems.begin_file(display_path)
        for block in _read_file(path, source, problems):
            yield block.shift(offset)
    problems.end_files()


def _read_file(file: Path, source: Source, problems: ProblemCollector) -> Iterator[Block]:
    try:
        layout = recognise(file, source, problems)
        if layout:
            yield from READERS[layout.container](file, layout, problems)
    except GZIP_ERRORS:
        report_gzip(problems)
    except OSError as error:  # the disk failed, or the file was removed, after it was opened
        problems.error(0, "unreadable", f"cannot be read: {error.strerror}", "Check the disk.")


__all__ = ["READERS", "Reader", "read"]
