"""JSON Lines: one object per line. Fields other than the two are ignored."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import msgspec

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.problems import Found
from tunedmodels.datasets.readers.lines import Batch, batches, explained
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
