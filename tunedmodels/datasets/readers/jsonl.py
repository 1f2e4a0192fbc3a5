"""JSON Lines: one object per line. Fields other than the two are ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.problems import Found
from tunedmodels.datasets.readers.rows import example
from tunedmodels.datasets.source import Source


def read_jsonl(file: Path, source: Source, found: Found) -> Iterator[Block]:
    """Yield the rows of a JSONL file."""
    try:
        decoder = _decoder(source.input_field, source.output_field)
    except ValueError:  # msgspec cannot look for names that JSON would have to escape
        decoder = msgspec.json.Decoder(_Nothing)
    for batch in batches(file, found):
        try:
            rows = decoder.decode_lines(batch.text)
        except (ValueError, RecursionError):
            rows = []
        if len(rows) == batch.height:
            yield Block(
                [row.text_input for row in rows],
                [row.output for row in rows],
                range(batch.first, batch.first + batch.height),
            )
        else:  # a malformed line, or a blank one
            yield _line_by_line(batch, decoder, source, found)


class _Nothing(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What no row is: sends every line to `_line_by_line`."""


@lru_cache(maxsize=64)
def _decoder(input_field: str, output_field: str) -> msgspec.json.Decoder[Any]:
    """Return the fast way to decode rows. Raises ValueError when a name holds a quote."""
    row = msgspec.defstruct(
        "Row",
        [("text_input", str), ("output", str)],
        rename={"text_input": input_field, "output": output_field},
        gc=False,
    )
    return msgspec.json.Decoder(row)


def _line_by_line(
    batch: Batch, decoder: msgspec.json.Decoder[Any], source: Source, found: Found
) -> Block:
    """Read a batch with something wrong in it; blank lines are nothing wrong."""
    block = Block([], [], numbers := [])
    for number, line in batch.lines():
        try:
            row = decoder.decode(line)
            pair = row.text_input, row.output
        except (ValueError, RecursionError):
            understand = partial(example, source=source, line=number, found=found)
            if not (understood := explained(line, number, found, understand)):
                continue
            pair = understood
        block.inputs.append(pair[0])
        block.outputs.append(pair[1])
        numbers.append(number)
    return block


# FOLDED
# JSON Lines as bytes: batches of whole lines, however long the file or a line is.
BATCH_BYTES = 64 * 1024  # with its decoded form it stays in a core's cache: measured best
LINE_BYTES = 4 * 1024 * 1024  # F9: a whole file has at most as much; keeps memory flat

_BOM = b"\xef\xbb\xbf"

Pair = tuple[str, str]


class Batch(NamedTuple):
    """Whole lines of a file: the number of the first one (from 1), how many, and their bytes."""

    first: int
    height: int
    text: bytes

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number, line) for each line that is not blank."""
        for number, line in enumerate(self.text.split(b"\n"), self.first):
            if line.strip():
                yield number, line


def batches(file: Path, found: Found) -> Iterator[Batch]:
    """Yield the file in batches of about `BATCH_BYTES`; a BOM is skipped.

    A line of more than `LINE_BYTES` is reported and comes out empty.
    """
    first = 1
    skipping = False
    with file.open("rb", buffering=0) as opened:
        head = opened.read(len(_BOM))
        rest = b"" if head == _BOM else head
        while chunk := opened.read(BATCH_BYTES):
            cut = chunk.rfind(b"\n") + 1
            if not cut:
                rest = b"" if skipping else rest + chunk
            else:
                begin = chunk.index(b"\n") if skipping else 0
                text = rest + chunk[begin:cut]
                height = text.count(b"\n")
                yield Batch(first, height, text)
                first += height
                rest, skipping = chunk[cut:], False
            if len(rest) > LINE_BYTES:
                found.error(
                    first,
                    "long-line",
                    f"is longer than {LINE_BYTES // 1024**2} MiB",
                    "Write one example per line.",
                )
                rest, skipping = b"", True
    if rest:
        yield Batch(first, 1, rest)


def explained(
    line: bytes, number: int, found: Found, understand: Callable[[object], Pair | None]
) -> Pair | None:
    """Say why a line could not be decoded; `understand` explains what is JSON and no example.

    Returns the pair where `understand` finds one after all.
    """
    try:
        line.decode()
        return understand(msgspec.json.decode(line))
    except UnicodeDecodeError as error:
        found.error(
            number,
            "not-utf8",
            f"byte 0x{line[error.start]:02x} at column {error.start + 1:,} is not UTF-8",
            "Save the file as UTF-8.",
        )
    except RecursionError:
        found.error(number, "malformed", "is nested too deeply", "An example is two texts.")
    except msgspec.DecodeError as error:
        found.error(
            number,
            "malformed",
            f"is no JSON: {str(error).removeprefix('JSON is malformed: ')}",
            'Write one JSON object per line, with every quote inside a text as \\".',
        )
    return None
