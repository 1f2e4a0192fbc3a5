"""CSV and TSV: a header, then one example per row. Quoted texts may hold line breaks."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from tunedmodels.datasets.blocks import ROWS, Block
from tunedmodels.datasets.problems import Found
from tunedmodels.datasets.readers.rows import missing
from tunedmodels.datasets.source import Source, output_setting

_LINE_CHARS = 1024 * 1024  # a longer line comes in pieces, so that memory stays flat

_Rows = Iterator[list[str]]


def read_csv(file: Path, source: Source, found: Found) -> Iterator[Block]:
    """Yield the rows of a table with commas."""
    return _read(file, ",", source, found)


def read_tsv(file: Path, source: Source, found: Found) -> Iterator[Block]:
    """Yield the rows of a table with tabs, quoted as CSV is (Excel's TSV)."""
    return _read(file, "\t", source, found)


def _read(file: Path, delimiter: str, source: Source, found: Found) -> Iterator[Block]:
    # surrogateescape: a byte that is not UTF-8 costs its own row and not the rest of the file.
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
        reader = csv.reader(
            iter(partial(opened.readline, _LINE_CHARS), ""), delimiter=delimiter, strict=True
        )
        try:
            header = next(filter(None, reader), [])
        except csv.Error as error:
            _malformed(error, 1, found)
            return
        columns = _columns(header, delimiter, source, reader.line_num, found)
        if not columns:
            return
        while True:
            before = reader.line_num
            rows: list[list[str]] = []
            try:
                rows.extend(islice(reader, ROWS))
            except csv.Error as error:  # `rows` holds what came before it
                yield _block(rows, before, columns, len(header), found)
                _malformed(error, before + sum(map(_height, rows)) + 1, found)
                continue
            if not rows:
                return
            if reader.line_num - before == len(rows) and {*map(len, rows)} == {len(header)}:
                text_input, output = columns
                yield Block(
                    [row[text_input] for row in rows],
                    [row[output] for row in rows],
                    range(before + 1, before + 1 + len(rows)),
                )
            else:
                yield _block(rows, before, columns, len(header), found)


def _columns(
    header: list[str], delimiter: str, source: Source, line: int, found: Found
) -> tuple[int, int] | None:
    """Return where the two fields stand, or None after reporting what is wrong with the header."""
    wanted = {"inputField": source.input_field, output_setting(source): source.output_field}
    other = next((mark for mark in ",\t;|" if mark != delimiter and mark in "".join(header)), None)
    if len(header) == 1 and other and header[0] not in wanted.values():
        found.error(
            line,
            "wrong-delimiter",
            f"the header is one column, {header[0]!r}: it seems to be cut by {other!r}",
            "Set format: tsv." if other == "\t" else "Save it with commas, as .csv.",
        )
        return None
    for setting, field in wanted.items():
        if header.count(field) > 1:
            found.error(
                line,
                "same-field",
                f"{header.count(field)} columns are called {field!r}",
                "Give every column a name of its own.",
            )
            return None
        if field not in header:
            missing(header, field, setting, line, found)
    try:
        return header.index(source.input_field), header.index(source.output_field)
    except ValueError:
        return None


def _block(
    rows: list[list[str]], before: int, columns: tuple[int, int], width: int, found: Found
) -> Block:
    """Go row by row: some are blank, span several lines or have another number of columns."""
    block = Block([], [], numbers := [])
    line = before + 1
    for row in rows:
        if len(row) == width:
            block.inputs.append(row[columns[0]])
            block.outputs.append(row[columns[1]])
            numbers.append(line)
        elif row:
            found.error(
                line,
                "malformed",
                f"has {len(row)} column{'s' if len(row) != 1 else ''}, the header has {width}",
                "Quote a text that holds the delimiter or a line break.",
            )
        line += _height(row)
    return block


def _height(row: list[str]) -> int:
    """Return how many lines of the file a row takes."""
    return 1 + sum(text.count("\n") + text.count("\r") - text.count("\r\n") for text in row if text)


def _malformed(error: csv.Error, line: int, found: Found) -> None:
    found.error(
        line,
        "malformed",
        f"is no row: {error}",
        'Close every quote, and write a quote inside a quoted text as "".',
    )
