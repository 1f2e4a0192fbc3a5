"""Tables with a delimiter: a header, then one example per row. Quoted texts may span lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from tunedmodels.datasets.blocks import ROWS_PER_BLOCK, Block
from tunedmodels.datasets.encodings import is_compressed, open_utf8
from tunedmodels.datasets.headers import report_other_header
from tunedmodels.datasets.layout import Layout, resolve_fields
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers.rows import ParsedRow, row_parser, to_blocks
from tunedmodels.datasets.stand_ins import CONFLICT_START, report_conflict
from tunedmodels.text import plural

_MAX_LINE_CHARS = 1024 * 1024  # a longer line is read in pieces, so that memory is bounded
_SAMPLE_ROWS = 50

if TYPE_CHECKING:
    from _csv import Reader as CsvReader  # the type of csv.reader exists only for type checkers


def read_table(file: Path, layout: Layout, problems: ProblemCollector) -> Iterator[Block]:
    """Yield the rows of a table."""
    with _open_text(file, layout) as opened:
        for _ in range(layout.skip_lines):
            opened.readline()
        reader = csv.reader(
            iter(partial(opened.readline, _MAX_LINE_CHARS), ""),
            delimiter=layout.delimiter,
            strict=True,
        )
        table = _Table(reader, layout.skip_lines, problems)
        header = table.read_header(layout)
        if not header:
            return
        first_rows = table.peek(len(header))
        if report_other_header(header, first_rows, layout, table.header_line, problems):
            return
        sample = [dict(zip(header, row, strict=False)) for row in first_rows]
        resolved = resolve_fields(layout, header, sample, problems, line=table.header_line)
        if resolved is None:
            return
        if resolved.is_plain:
            yield from table.columns(resolved, header)
        else:
            yield from to_blocks(table.parsed_rows(resolved, header))


def _open_text(file: Path, layout: Layout) -> io.TextIOWrapper:
    # surrogateescape: a byte that is not UTF-8 makes only its own row unusable.
    if layout.encoding is None:
        with file.open("rb") as opened:
            is_plain = not is_compressed(opened)
        if is_plain:
            return file.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    stream = io.BufferedReader(cast("io.RawIOBase", open_utf8(file, layout.encoding)))
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")


class _Part(NamedTuple):
    """Consecutive rows."""

    before: int  #: the line before the first row
    rows: list[list[str]]
    is_even: bool  #: every row is one line


class _Table:
    """The rows of a table, with their lines."""

    def __init__(self, reader: CsvReader, skipped_lines: int, problems: ProblemCollector) -> None:
        self.header_line = 0
        self._reader = reader
        self._skipped = skipped_lines
        self._problems = problems
        self._peeked: _Part | None = None
        self._error: csv.Error | None = None

    def read_header(self, layout: Layout) -> list[str]:
        """Return the names of the columns; [] after reporting why there are none."""
        source = layout.source
        if not source.header:
            return list(source.columns or (source.input_field, source.output_field))
        try:
            header = next(filter(None, self._reader), [])
        except csv.Error as error:
            self._report_malformed(error, 1)
            return []
        self.header_line = self._line
        return header

    def peek(self, width: int) -> list[list[str]]:
        """Return the next well-formed rows, which are read again later."""
        self._peeked = self._read(_SAMPLE_ROWS)
        return [row for row in self._peeked.rows if len(row) == width]

    def columns(self, layout: Layout, header: list[str]) -> Iterator[Block]:
        """Yield the rows as two columns."""
        width = len(header)
        text_input = header.index(layout.source.input_field)
        output = header.index(layout.source.output_field)
        for part in self._parts():
            rows: Sequence[list[str]] = part.rows
            lines: Sequence[int] = range(part.before + 1, part.before + 1 + len(rows))
            if not part.is_even or {*map(len, rows)} != {width}:
                numbered = list(self._numbered(part, width))
                rows, lines = [row for _, row in numbered], [line for line, _ in numbered]
            yield Block([row[text_input] for row in rows], [row[output] for row in rows], lines)

    def parsed_rows(self, layout: Layout, header: list[str]) -> Iterator[ParsedRow]:
        """Yield the examples of rows of several fields."""
        parse = row_parser(layout, self._problems)
        for part in self._parts():
            for line, row in self._numbered(part, len(header)):
                yield from parse(dict(zip(header, row, strict=True)), line)

    @property
    def _line(self) -> int:
        return self._reader.line_num + self._skipped

    def _read(self, count: int) -> _Part:
        """Read rows up to a malformed one, which is kept as `_error`."""
        before = self._line
        rows: list[list[str]] = []
        try:
            rows.extend(islice(self._reader, count))
        except csv.Error as error:  # `rows` contains the rows before it
            self._error = error
        is_even = not self._error and self._line - before == len(rows)
        return _Part(before, rows, is_even)

    def _parts(self) -> Iterator[_Part]:
        """Yield all rows; a malformed row is reported and left out."""
        while not self._problems.count("merge-conflict"):
            part, self._peeked = self._peeked or self._read(ROWS_PER_BLOCK), None
            if part.rows:
                yield part
            if self._error:
                error, self._error = self._error, None
                self._report_malformed(error, part.before + sum(map(_line_count, part.rows)) + 1)
            elif not part.rows:
                return

    def _numbered(self, part: _Part, width: int) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows with their lines, without blank rows and those of another width."""
        line = part.before + 1
        for row in part.rows:
            if len(row) == width:
                if any(row):
                    yield line, row
            elif row and row[0].startswith(CONFLICT_START.decode()):
                report_conflict(line, self._problems)
                return
            elif any(row):
                self._problems.error(
                    line,
                    "malformed",
                    f"has {len(row)} {plural(len(row), 'column')}, the header has {width}",
                    "Quote a text that contains the delimiter or a line break.",
                )
            line += _line_count(row)

    def _report_malformed(self, error: csv.Error, line: int) -> None:
        self._problems.error(
            line,
            "malformed",
            f"is not a valid row: {error}",
            'Close every quote, and write a quote inside a quoted text as "".',
        )


def _line_count(row: list[str]) -> int:
    """Return the number of lines of a row in the file."""
    return 1 + sum(text.count("\n") + text.count("\r") - text.count("\r\n") for text in row if text)
