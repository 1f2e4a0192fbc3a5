"""JSON Lines: one object per line. Fields other than the input and the output are ignored.

The file is read as bytes in batches of whole lines, so memory is bounded for any length of the file
or of a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers.rows import parse_row
from tunedmodels.datasets.source import ExampleSource

BATCH_BYTES = 64 * 1024  # fits into a core's cache with its decoded form: the fastest size measured
MAX_LINE_BYTES = 4 * 1024 * 1024  # F9: the maximum of a whole file

_BOM = b"\xef\xbb\xbf"

TextPair = tuple[str, str]


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


def read_jsonl(file: Path, source: ExampleSource, problems: ProblemCollector) -> Iterator[Block]:
    """Yield the rows of a JSONL file."""
    try:
        decoder = _decoder(source.input_field, source.output_field)
    except ValueError:  # msgspec does not support field names that JSON must escape
        decoder = msgspec.json.Decoder(_NoRow)
    for batch in read_batches(file, problems):
        try:
            rows = decoder.decode_lines(batch.text)
        except (ValueError, RecursionError):
            rows = []
        if len(rows) == batch.line_count:
            yield Block(
                [row.text_input for row in rows],
                [row.output for row in rows],
                range(batch.first_line, batch.first_line + batch.line_count),
            )
        else:  # a malformed line or a blank one
            yield _read_line_by_line(batch, decoder, source, problems)


def read_batches(file: Path, problems: ProblemCollector) -> Iterator[Batch]:
    """Yield the file in batches of about `BATCH_BYTES`; a byte order mark is skipped.

    A line of more than `MAX_LINE_BYTES` is reported and becomes an empty line.
    """
    first_line = 1
    is_skipping = False
    with file.open("rb", buffering=0) as opened:
        head = opened.read(len(_BOM))
        rest = b"" if head == _BOM else head
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


def report_malformed_line(
    line: bytes,
    number: int,
    problems: ProblemCollector,
    parse: Callable[[object], TextPair | None],
) -> TextPair | None:
    """Report why a line could not be decoded; `parse` reports valid JSON that is not an example.

    Returns the result of `parse`, which may be a pair of texts after all.
    """
    try:
        line.decode()
        return parse(msgspec.json.decode(line))
    except UnicodeDecodeError as error:
        problems.error(
            number,
            "not-utf8",
            f"byte 0x{line[error.start]:02x} at column {error.start + 1:,} is not UTF-8",
            "Save the file as UTF-8.",
        )
    except RecursionError:
        problems.error(
            number, "malformed", "is nested too deeply", "An example consists of two strings."
        )
    except msgspec.DecodeError as error:
        problems.error(
            number,
            "malformed",
            f"is not valid JSON: {str(error).removeprefix('JSON is malformed: ')}",
            'Write one JSON object per line, with every quote inside a text as \\".',
        )
    return None


class _NoRow(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A struct that matches no row, so that every line is read by `_read_line_by_line`."""


@lru_cache(maxsize=64)
def _decoder(input_field: str, output_field: str) -> msgspec.json.Decoder[Any]:
    """Return a fast decoder of rows. Raises ValueError when a field name contains a quote."""
    row = msgspec.defstruct(
        "Row",
        [("text_input", str), ("output", str)],
        rename={"text_input": input_field, "output": output_field},
        gc=False,
    )
    return msgspec.json.Decoder(row)


def _read_line_by_line(
    batch: Batch,
    decoder: msgspec.json.Decoder[Any],
    source: ExampleSource,
    problems: ProblemCollector,
) -> Block:
    """Return the rows of a batch that has blank lines, which are allowed, or malformed ones."""
    block = Block([], [], numbers := [])
    for number, line in batch.lines():
        try:
            row = decoder.decode(line)
            pair = row.text_input, row.output
        except (ValueError, RecursionError):
            parse = partial(parse_row, source=source, line=number, problems=problems)
            parsed = report_malformed_line(line, number, problems, parse)
            if not parsed:
                continue
            pair = parsed
        block.inputs.append(pair[0])
        block.outputs.append(pair[1])
        numbers.append(number)
    return block
