"""Readers of example files: to add a format, add a module and an entry in `READERS`.

A reader goes through a file once and yields blocks of the rows that contain two texts. It reports
every other row with its line and continues with the next row. It raises no error for the content of
a file; OSError propagates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers.delimited import read_csv, read_tsv
from tunedmodels.datasets.readers.json_document import read_json
from tunedmodels.datasets.readers.jsonl import read_jsonl
from tunedmodels.datasets.readers.vertex_jsonl import looks_like_contents, read_contents
from tunedmodels.datasets.source import ExampleSource, Format, detect_format, read_head

Reader = Callable[[Path, ExampleSource, ProblemCollector], Iterator[Block]]

READERS: dict[Format, Reader] = {
    "jsonl": read_jsonl,
    "json": read_json,
    "csv": read_csv,
    "tsv": read_tsv,
    "contents": read_contents,
}


def read(file: Path, source: ExampleSource, problems: ProblemCollector) -> Iterator[Block]:
    """Yield the rows of `file` in its format; nothing if the file cannot be read."""
    if source.input_field == source.output_field:
        problems.error(
            0,
            "same-field",
            f"inputField and outputField are both {source.input_field!r}",
            "Name the field of the prompt and the field of the response.",
        )
        return
    format_ = detect_format(file, source, problems)
    head = read_head(file, problems) if format_ else None
    if not format_ or head is None:
        return
    if format_ == "jsonl" and source.format is None and looks_like_contents(head, source):
        format_ = "contents"
    try:
        yield from READERS[format_](file, source, problems)
    except OSError as error:  # the disk failed, or the file was removed, after it was opened
        problems.error(0, "unreadable", f"cannot be read: {error.strerror}", "Check the disk.")


__all__ = ["READERS", "Reader", "read"]
