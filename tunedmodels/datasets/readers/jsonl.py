"""JSON Lines: one object per line. A line ends at a line feed only.

The file is read as bytes in batches of whole lines, so memory is bounded for any length of the file
or of a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.encodings import UTF8_BOM, guess_encoding, open_utf8
from tunedmodels.datasets.layout import Layout
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers.rows import (
    ParsedRow,
    parse_row,
    report_repeated_key,
    row_parser,
    to_blocks,
)
from tunedmodels.datasets.stand_ins import CONFLICT_START, report_conflict
from tunedmodels.datasets.templates import text_of

BATCH_BYTES = 64 * 1024  # fits into a core's cache with its decoded form: the fastest size measured
MAX_LINE_BYTES = 4 * 1024 * 1024  # F9: the maximum of a whole file

_RAW_ROW = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Batch(NamedTuple):
    """Whole lines of a file."""

    first_line: int  #: the number of the first line, from 1
    line_count: int
    text: bytes

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number, line) for each line that is not blank."""
        for number, line in enumerate(self.text.split(b"\n"), self.first_line):
            if line.strip():
                yield number, line


def read_jsonl(file: Path, layout: Layout, problems: ProblemCollector) -> Iterator[Block]:
    """Yield the rows of a JSONL file."""
    if not layout.is_plain:
        yield from to_blocks(_parsed_rows(file, layout, problems))
        return
    names = layout.source.input_field, layout.source.output_field
    try:
        decoder, raw_decoder = _decoder(*names, of=str), _decoder(*names, of=msgspec.Raw)
    except ValueError:  # msgspec does not support field names that JSON must escape
        decoder = raw_decoder = msgspec.json.Decoder(_NoRow)
    keys = [_key(name) for name in names]
    for batch in read_batches(file, layout, problems):
        block = _read_batch(batch, decoder, raw_decoder, keys)
        if block is None:  # a malformed line, a blank one or a key that is there twice
            block = _read_line_by_line(batch, decoder, keys, layout, problems)
        yield block
        if problems.count("merge-conflict"):
            return


def read_batches(file: Path, layout: Layout, problems: ProblemCollector) -> Iterator[Batch]:
    """Yield the file in batches of about `BATCH_BYTES`; a byte order mark is skipped.

    A line of more than `MAX_LINE_BYTES` is reported and becomes an empty line.
    """
    first_line = 1
    is_skipping = False
    with open_utf8(file, layout.encoding) as opened:
        head = opened.read(len(UTF8_BOM))
        rest = b"" if head == UTF8_BOM else head
        while chunk := opened.read(BATCH_BYTES):
            end = chunk.rfind(b"\n") + 1
            if not end:
                rest = b"" if is_skipping else rest + chunk
            else:
                start = chunk.index(b"\n") if is_skipping else 0
                text = rest + chunk[start:end]
                line_count = text.count(b"\n")
                yield Batch(first_line, line_count, text)
                first_line += line_count
                rest, is_skipping = chunk[end:], False
            if len(rest) > MAX_LINE_BYTES:
                problems.error(
                    first_line,
                    "long-line",
                    f"is longer than {MAX_LINE_BYTES // 1024**2} MiB",
                    "Write one example per line.",
                )
                rest, is_skipping = b"", True
    if rest:
        yield Batch(first_line, 1, rest)


def repeated_key(line: bytes, keys: Sequence[bytes]) -> str | None:
    """Return a key that an object has twice, of those to look for."""
    if all(line.count(key) < len(["one", "two"]) for key in keys):
        return None
    repeated: list[str] = []

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        repeated[:] = [name for name in names if names.count(name) > 1]  # the outermost is last
        return dict(pairs)

    try:
        json.loads(line, object_pairs_hook=check)
    except (ValueError, RecursionError):
        return None
    return next((name for name in repeated if _key(name) in keys), None)


class _NoRow(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A struct that matches no row, so that every line is read by `_read_line_by_line`."""


@lru_cache(maxsize=64)
def _decoder(input_field: str, output_field: str, *, of: type) -> msgspec.json.Decoder[Any]:
    """Return a fast decoder of rows. Raises ValueError when a field name contains a quote."""
    row = msgspec.defstruct(
        "Row",
        [("text_input", of), ("output", of)],
        rename={"text_input": input_field, "output": output_field},
        gc=False,
    )
    return msgspec.json.Decoder(row)


def _key(name: str) -> bytes:
    return msgspec.json.encode(name)


def _read_batch(
    batch: Batch,
    decoder: msgspec.json.Decoder[Any],
    raw_decoder: msgspec.json.Decoder[Any],
    keys: Sequence[bytes],
) -> Block | None:
    """Return the rows of a batch, or None if a line must be looked at."""
    if any(batch.text.count(key) != batch.line_count for key in keys):
        return None
    lines = range(batch.first_line, batch.first_line + batch.line_count)
    try:
        rows = decoder.decode_lines(batch.text)
    except (ValueError, RecursionError):
        pass  # perhaps numbers or booleans
    else:
        if len(rows) != batch.line_count:
            return None
        return Block([row.text_input for row in rows], [row.output for row in rows], lines)
    try:
        rows = raw_decoder.decode_lines(batch.text)
        inputs = [text_of(row.text_input) for row in rows]
        outputs = [text_of(row.output) for row in rows]
    except (ValueError, RecursionError):
        return None
    if len(rows) != batch.line_count or None in inputs or None in outputs:
        return None
    return Block([text or "" for text in inputs], [text or "" for text in outputs], lines)


def _read_line_by_line(
    batch: Batch,
    decoder: msgspec.json.Decoder[Any],
    keys: Sequence[bytes],
    layout: Layout,
    problems: ProblemCollector,
) -> Block:
    """Return the rows of a batch that has blank lines, which are allowed, or malformed ones."""
    block = Block([], [], numbers := [])
    for number, line in batch.lines():
        if key := repeated_key(line, keys):
            report_repeated_key(key, number, problems)
            continue
        try:
            row = decoder.decode(line)
            pair = row.text_input, row.output
        except (ValueError, RecursionError):
            value = _decode(line, number, problems)
            if problems.count("merge-conflict"):
                return block
            parsed = None if value is _MALFORMED else parse_row(value, layout, number, problems)
            if not parsed:
                continue
            pair = parsed
        block.inputs.append(pair[0])
        block.outputs.append(pair[1])
        numbers.append(number)
    return block


def _parsed_rows(file: Path, layout: Layout, problems: ProblemCollector) -> Iterator[ParsedRow]:
    parse = row_parser(layout, problems)
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder() if layout.chat else _RAW_ROW
    names = (*(layout.templates.fields if layout.templates else ()), *layout.group_fields)
    keys = [_key(name) for name in ([layout.chat] if layout.chat else names)]
    for batch in read_batches(file, layout, problems):
        for number, line in batch.lines():
            if key := repeated_key(line, keys):
                report_repeated_key(key, number, problems)
                continue
            try:
                value = decoder.decode(line)
            except (ValueError, RecursionError):
                value = _decode(line, number, problems)
                if problems.count("merge-conflict"):
                    return
            if value is not _MALFORMED:
                yield from parse(value, number)


_MALFORMED = object()


def _decode(line: bytes, number: int, problems: ProblemCollector) -> object:
    """Return the value of a line, with numbers as their text; report a malformed one."""
    try:
        line.decode()
        value = msgspec.json.decode(line)
        return _RAW_ROW.decode(line) if isinstance(value, dict) else value
    except UnicodeDecodeError as error:
        encoding = guess_encoding(line)
        problems.error(
            number,
            "not-utf8",
            f"byte 0x{line[error.start]:02x} at column {error.start + 1:,} is not UTF-8",
            f"Save the file as UTF-8, or set encoding: {encoding or 'windows-1252'}",
        )
    except RecursionError:
        problems.error(
            number, "malformed", "is nested too deeply", "An example consists of two strings."
        )
    except msgspec.DecodeError as error:
        if line.startswith(CONFLICT_START):
            report_conflict(number, problems)
            return _MALFORMED
        problems.error(
            number,
            "malformed",
            f"is not valid JSON: {str(error).removeprefix('JSON is malformed: ')}",
            'Write one JSON object per line, with every quote inside a text as \\".',
        )
    return _MALFORMED
