"""JSON Lines as bytes: batches of whole lines, however long the file or a line is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from tunedmodels.datasets.problems import Found

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
