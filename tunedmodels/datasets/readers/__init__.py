"""One reader per format: a new format is one file and one line in `READERS`.

A reader goes through a file once, in blocks, and yields the rows that hold two texts. What else it
meets it reports with its line, and goes on with the next row. It never raises for what a file
holds; OSError passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.problems import Found
from tunedmodels.datasets.readers.delimited import read_csv, read_tsv
from tunedmodels.datasets.readers.json_document import read_document
from tunedmodels.datasets.readers.jsonl import read_jsonl
from tunedmodels.datasets.readers.vertex_jsonl import looks_like_contents, read_contents
from tunedmodels.datasets.source import Format, Source, format_of, head_of

Reader = Callable[[Path, Source, Found], Iterator[Block]]

READERS: dict[Format, Reader] = {
    "jsonl": read_jsonl,
    "json": read_document,
    "csv": read_csv,
    "tsv": read_tsv,
    "contents": read_contents,
}


def read(file: Path, source: Source, found: Found) -> Iterator[Block]:
    """Yield the rows of `file`, whatever its format; a file that cannot be read yields nothing."""
    if source.input_field == source.output_field:
        found.error(
            0,
            "same-field",
            f"inputField and outputField are both {source.input_field!r}",
            "Name the field of the prompt and the field of the response.",
        )
        return
    form = format_of(file, source, found)
    head = head_of(file, found) if form else None
    if not form or head is None:
        return
    if form == "jsonl" and source.format is None and looks_like_contents(head, source):
        form = "contents"
    try:
        yield from READERS[form](file, source, found)
    except OSError as error:  # the disk failed, or the file went away, after it was opened
        found.error(0, "unreadable", f"cannot be read: {error.strerror}", "Check the disk.")


__all__ = ["READERS", "Reader", "read"]
