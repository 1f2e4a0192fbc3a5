"""The check for examples that occur twice, and for examples that contradict each other.

Each example is kept as two 64-bit hashes (Python's SipHash, with a new key in every process), 16
bytes in all. Among n different texts, two have the same hash with a probability of n^2 / 2^65: one
in ten billion for 40,000 rows, one in two million for 4 million; the consequence is a wrong
warning. Beyond `MAX_ROWS_IN_MEMORY` rows the hashes are written to a temporary file and compared in
parts of about `PART_ROWS` rows, so memory is bounded: at most about 20 MiB, without numpy.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Self

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.problems import MAX_PER_CODE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    BoolArray = NDArray[np.bool_]
    HashChunk = tuple[Ints, Ints, Ints]

MAX_ROWS_IN_MEMORY = 512 * 1024  # rows
PART_ROWS = 256 * 1024  # rows
SLICE_ROWS = 64 * 1024  # rows that are written or read at once
_SMALL_SET_ROWS = 16 * 1024  # up to this number of rows, a set takes little memory
_MIX = 0x9E3779B97F4A7C15 - 2**64  # mixes the two hashes of a row: 2^64 / golden ratio


@dataclass(frozen=True, slots=True)
class DuplicateReport:
    """The rows that repeat an earlier row."""

    count: int = 0

    rows: tuple[tuple[int, int], ...] = ()
    """The first `MAX_PER_CODE` of them as (row, the earlier row), counted from 0."""


class ExampleHashes:
    """The hashes of all examples, in order. A context manager, since it may open a file."""

    def __init__(self) -> None:
        self.count = 0
        self._inputs = array("q")
        self._outputs = array("q")
        self._file: IO[bytes] | None = None
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._resources.close()

    def add(self, block: Block) -> None:
        """Add the next examples."""
        self._inputs.fromlist(list(map(hash, block.inputs)))
        self._outputs.fromlist(list(map(hash, block.outputs)))
        self.count += len(block.inputs)
        if len(self._inputs) >= MAX_ROWS_IN_MEMORY:
            self._write()

    def distinct_outputs(self) -> int | None:
        """Return the number of different outputs, or None when the hashes are not all in memory.

        A file of that size is too large for tuning anyway.
        """
        return None if self._file else len(set(self._outputs))

    def duplicates_and_contradictions(self) -> tuple[DuplicateReport, DuplicateReport]:
        """Return the rows that occur earlier, and those that occur earlier with another output.

        A duplicate names the first equal row, a contradiction the first row with its input.
        """
        if not self._file and not self._has_repeats():
            return DuplicateReport(), DuplicateReport()
        duplicates, contradictions = _FirstRepeats(), _FirstRepeats()
        for part in range(self._parts):
            repeated = False
            for rows, firsts, is_same in _repeated_keys(self._part(part, whole=False)):
                repeated = True
                contradictions.add(rows[~is_same], firsts[~is_same])
            if repeated:
                for rows, firsts, _ in _repeated_keys(self._part(part, whole=True)):
                    duplicates.add(rows, firsts)
        return duplicates.report(), contradictions.report()

    @property
    def _parts(self) -> int:
        """The number of parts in which the rows are compared: a power of two."""
        return 1 << (self.count // PART_ROWS).bit_length()

    def _has_repeats(self) -> bool:
        """Return whether an input occurs twice, in less time than importing numpy takes."""
        if self.count <= _SMALL_SET_ROWS:
            return len(set(self._inputs)) < self.count
        # 16 to 32 bits per row: about one row in fifty hits a bit that another row has set.
        size = 2 << self.count.bit_length()
        table = bytearray(size)
        suspects = set()
        for key in self._inputs:
            at = key & (size - 1)
            bit = 1 << (key >> 40 & 7)
            if (bits := table[at]) & bit:
                suspects.add(key)
            else:
                table[at] = bits | bit
        return len([key for key in self._inputs if key in suspects]) > len(suspects)

    def _write(self) -> None:
        if not self._file:
            from tempfile import TemporaryFile  # noqa: PLC0415  # slow to import; most files do not need it

            file = TemporaryFile()  # noqa: SIM115  # __exit__ closes it
            self._file = self._resources.enter_context(file)
        for start in range(0, len(self._inputs), SLICE_ROWS):
            rows = self._inputs[start : start + SLICE_ROWS]
            array("q", [len(rows)]).tofile(self._file)
            rows.tofile(self._file)
            self._outputs[start : start + SLICE_ROWS].tofile(self._file)
        del self._inputs[:], self._outputs[:]

    def _slices(self) -> Iterator[tuple[array[int], array[int]]]:
        """Yield (inputs, outputs) of some rows at a time, in order."""
        if self._file:
            self._file.seek(0)
            while head := self._file.read(8):
                size = array("q", head)[0]
                inputs, outputs = array("q"), array("q")
                inputs.fromfile(self._file, size)
                outputs.fromfile(self._file, size)
                yield inputs, outputs
        for start in range(0, len(self._inputs), SLICE_ROWS):
            yield (
                self._inputs[start : start + SLICE_ROWS],
                self._outputs[start : start + SLICE_ROWS],
            )

    def _part(self, part: int, *, whole: bool) -> Iterator[HashChunk]:
        """Yield (rows, keys, outputs) of the inputs in one part, mostly in a single chunk.

        The key is the hash of the input, or of the `whole` row.
        """
        import numpy as np  # noqa: PLC0415  # slow to import, and most files do not need it

        chunks: list[HashChunk] = []
        start = size = 0
        for slice_inputs, slice_outputs in self._slices():
            inputs = np.frombuffer(slice_inputs, np.int64)
            outputs = np.frombuffer(slice_outputs, np.int64)
            in_part = np.flatnonzero(inputs & (self._parts - 1) == part)
            inputs, outputs = inputs[in_part], outputs[in_part]
            keys = inputs ^ (outputs * np.int64(_MIX)) if whole else inputs
            chunks.append((in_part + start, keys, outputs))
            start += len(slice_inputs)
            size += len(in_part)
            if size > 2 * PART_ROWS:  # one input occurs very often
                yield _concatenate(chunks)
                chunks, size = [], 0
        yield _concatenate(chunks)


class _FirstRepeats:
    """The first `MAX_PER_CODE` of all repeats, and their number."""

    def __init__(self) -> None:
        self._count = 0
        self._rows: list[tuple[int, int]] = []

    def add(self, rows: Ints, firsts: Ints) -> None:
        self._count += len(rows)
        first = rows.argsort()[:MAX_PER_CODE]
        pairs = zip(rows[first].tolist(), firsts[first].tolist(), strict=True)
        self._rows = sorted([*self._rows, *pairs])[:MAX_PER_CODE]

    def report(self) -> DuplicateReport:
        return DuplicateReport(self._count, tuple(self._rows))


def _concatenate(chunks: list[HashChunk]) -> HashChunk:
    import numpy as np  # noqa: PLC0415  # slow to import, and most files do not need it

    if not chunks:
        return (np.empty(0, np.int64),) * 3
    rows, keys, outputs = map(np.concatenate, zip(*chunks, strict=True))
    return rows, keys, outputs


def _repeated_keys(chunks: Iterator[HashChunk]) -> Iterator[tuple[Ints, Ints, BoolArray]]:
    """Yield (rows whose key occurred before, the first row with it, whether its output is equal).

    Only the first row of each key is kept from chunk to chunk.
    """
    import numpy as np  # noqa: PLC0415  # slow to import, and most files do not need it

    kept: list[HashChunk] = []
    for chunk in chunks:
        rows, keys, outputs = _concatenate([*kept, chunk])
        ordered = np.sort(keys)  # several times faster than argsort, and mostly sufficient
        if (ordered[1:] == ordered[:-1]).any():
            order = keys.argsort(kind="stable")
            rows, keys, outputs = rows[order], keys[order], outputs[order]
            is_first = np.ones(len(keys), np.bool_)
            is_first[1:] = keys[1:] != keys[:-1]
            firsts = np.maximum.accumulate(np.where(is_first, np.arange(len(keys)), 0))[~is_first]
            yield rows[~is_first], rows[firsts], outputs[~is_first] == outputs[firsts]
            rows, keys, outputs = rows[is_first], keys[is_first], outputs[is_first]
        kept = [(rows, keys, outputs)]
