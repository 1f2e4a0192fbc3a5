"""CSV and TSV: a header, then one example per row. Quoted texts may contain line breaks."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from tunedmodels.datasets.blocks import ROWS_PER_BLOCK, Block
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers.rows import report_missing_field
from tunedmodels.datasets.source import ExampleSource, output_field_setting
from tunedmodels.text import plural

_MAX_LINE_CHARS = 1024 * 1024  # a longer line is read in pieces, so that memory is bounded


def read_csv(file: Path, source: ExampleSource, problems: ProblemCollector) -> Iterator[Block]:
    """Yield the rows of a comma-separated table."""
    return _read(file, ",", source, problems)


def read_tsv(file: Path, source: ExampleSource, problems: ProblemCollector) -> Iterator[Block]:
    """Yield the rows of a tab-separated table, quoted as in CSV (Excel's TSV)."""
    return _read(file, "\t", source, problems)


def _read(
    file: Path, delimiter: str, source: ExampleSource, problems: ProblemCollector
) -> Iterator[Block]:
    # surrogateescape: a byte that is not UTF-8 makes only its own row unusable.
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
        reader = csv.reader(
            iter(partial(opened.readline, _MAX_LINE_CHARS), ""), delimiter=delimiter, strict=True
        )
        try:
            header = next(filter(None, reader), [])
        except csv.Error as error:
            _report_malformed(error, 1, problems)
            return
        columns = _find_columns(header, delimiter, source, reader.line_num, problems)
        if not columns:
            return
        while True:
            before = reader.line_num
            rows: list[list[str]] = []
            try:
                rows.extend(islice(reader, ROWS_PER_BLOCK))
            except csv.Error as error:  # `rows` contains the rows before it
                yield _read_block(rows, before, columns, len(header), problems)
                _report_malformed(error, before + sum(map(_line_count, rows)) + 1, problems)
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
                yield _read_block(rows, before, columns, len(header), problems)


def _find_columns(
    header: list[str], delimiter: str, source: ExampleSource, line: int, problems: ProblemCollector
) -> tuple[int, int] | None:
    """Return the columns of the two fields, or None after reporting the problems of the header."""
    fields = {"inputField": source.input_field, output_field_setting(source): source.output_field}
    other = next((char for char in ",\t;|" if char != delimiter and char in "".join(header)), None)
    if len(header) == 1 and other and header[0] not in fields.values():
        problems.error(
            line,
            "wrong-delimiter",
            f"the header is one column, {header[0]!r}; its delimiter seems to be {other!r}",
            "Set format: tsv." if other == "\t" else "Save it with commas, as .csv.",
        )
        return None
    for setting, field in fields.items():
        if header.count(field) > 1:
            problems.error(
                line,
                "same-field",
                f"has {header.count(field)} columns named {field!r}",
                "Give every column a unique name.",
            )
            return None
        if field not in header:
            report_missing_field(header, field, setting, line, problems)
    try:
        return header.index(source.input_field), header.index(source.output_field)
    except ValueError:
        return None


def _read_block(
    rows: list[list[str]],
    before: int,
    columns: tuple[int, int],
    width: int,
    problems: ProblemCollector,
) -> Block:
    """Return rows of which some are blank, span several lines or have another number of columns."""
    block = Block([], [], numbers := [])
    line = before + 1
    for row in rows:
        if len(row) == width:
            block.inputs.append(row[columns[0]])
            block.outputs.append(row[columns[1]])
            numbers.append(line)
        elif row:
            problems.error(
                line,
                "malformed",
                f"has {len(row)} {plural(len(row), 'column')}, the header has {width}",
                "Quote a text that contains the delimiter or a line break.",
            )
        line += _line_count(row)
    return block


def _line_count(row: list[str]) -> int:
    """Return the number of lines of a row in the file."""
    return 1 + sum(text.count("\n") + text.count("\r") - text.count("\r\n") for text in row if text)


def _report_malformed(error: csv.Error, line: int, problems: ProblemCollector) -> None:
    problems.error(
        line,
        "malformed",
        f"is not a valid row: {error}",
        'Close every quote, and write a quote inside a quoted text as "".',
    )
