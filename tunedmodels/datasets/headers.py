"""The header of a table: whether it is one, and which delimiter it has."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import Final

from tunedmodels.datasets.layout import Layout, fields_read
from tunedmodels.datasets.problems import ProblemCollector

DELIMITERS: Final = ",;\t|"
_SEP_LINE: Final = re.compile(r'^"?sep=(.)"?\r?\n', re.IGNORECASE)
_MANY_WORDS: Final = 3
_LONG_NAME: Final = 40  # characters


def declared_separator(text: str) -> str | None:
    """Return the delimiter that Excel's first line `sep=;` declares, or None."""
    match = _SEP_LINE.match(text)
    return str(match[1]) if match else None


def find_delimiter(text: str, preferred: str, fields: Sequence[str]) -> str:
    """Return the delimiter with which the header contains the fields, or the preferred one."""
    line = text.lstrip("\r\n").partition("\n")[0].rstrip("\r")
    candidates: list[str] = [preferred, *DELIMITERS.replace(preferred, "")]
    for delimiter in candidates:
        header = _split(line, delimiter)
        if len(header) > 1 and set(fields) <= {*header}:
            return delimiter
    if len(_split(line, preferred)) > 1:
        return preferred
    # A table without the fields, or without a header: the delimiter that every line has.
    lines = [each.rstrip("\r") for each in text.split("\n")[:20] if each.strip()]
    for delimiter in DELIMITERS:
        widths = {len(_split(each, delimiter)) for each in lines[:-1] or lines}
        if len(widths) == 1 and widths.pop() > 1:
            return delimiter
    return preferred


def report_other_header(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    layout: Layout,
    line: int,
    problems: ProblemCollector,
) -> bool:
    """Report a first row that is not a header, or one column that seems to be several."""
    source = layout.source
    if not source.header:
        return _report_columns(header, rows, layout, problems)
    known = {source.input_field, source.output_field, *fields_read(layout)}
    if known & {*header} or source.format in ("alpaca", "dolly", "promptCompletion"):
        return False
    if len(header) > 1 and _looks_like_rows(header, rows):
        names = [*(source.input_field, source.output_field), *_more_names(len(header) - 2)]
        problems.error(
            line,
            "no-header",
            "is an example and not a header: the file has no header",
            f"Set header: false and columns: [{', '.join(names)}], in the order of the file.",
        )
        return True
    if len(header) == 1:
        problems.error(
            line,
            "wrong-delimiter",
            f"the header is one column, {header[0]!r}",
            "Set delimiter to the character between the columns, such as delimiter: ';'"
            if any(not char.isalnum() and char not in " _-" for char in header[0])
            else "Write a column for the input and one for the output.",
        )
        return True
    return False


def _report_columns(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    layout: Layout,
    problems: ProblemCollector,
) -> bool:
    if rows or layout.source.columns:
        return False
    problems.error(
        0,
        "no-columns",
        f"has another number of columns than {len(header)}",
        "Name every column: set columns, in the order of the file.",
    )
    return True


def _looks_like_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether a first row is data: sentences, numbers, or values that occur again."""
    for column, cell in enumerate(header):
        if len(cell.split()) >= _MANY_WORDS or len(cell) > _LONG_NAME or _is_number(cell):
            return True
        if cell and any(row[column] == cell for row in rows):
            return True
    return False


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _more_names(count: int) -> list[str]:
    return [f"column{number}" for number in range(3, 3 + count)]


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
