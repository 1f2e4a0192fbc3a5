"""Which examples stand in a file twice, and which contradict each other, however long it is.

An example is remembered as two 64-bit fingerprints (Python's SipHash, keyed anew in every process),
16 bytes in all. Two unlike texts among n share one with a chance of n^2 / 2^65: one in ten billion
for 40,000 rows, one in two million for 4 million; what hangs on it is a warning. Beyond `HELD` rows
the fingerprints go to a temporary file, and they are compared in parts of some `PART` rows, so
memory stays flat: at most about 20 MiB, numpy not counted.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Self

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.problems import PER_CODE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    BoolArray = NDArray[np.bool_]
    Fingerprint = tuple[Ints, Ints, Ints]

HELD = 512 * 1024  # rows
PART = 256 * 1024  # rows
SLICE = 64 * 1024  # rows that are written or read at once
_FEW = 16 * 1024  # rows of which a set is small
_ODD = 0x9E3779B97F4A7C15 - 2**64  # mixes the two fingerprints of a row: 2^64 / golden ratio


@dataclass(frozen=True, slots=True)
class Repeats:
    """`count` rows, and for the first `PER_CODE` of them (row, the earlier row), from 0."""

    count: int = 0
    rows: tuple[tuple[int, int], ...] = ()


class Fingerprints:
    """The fingerprints of all examples, in order. A context manager: it may hold a file."""

    def __init__(self) -> None:
        self.count = 0
        self._inputs = array("q")
        self._outputs = array("q")
        self._file: IO[bytes] | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def add(self, block: Block) -> None:
        """Remember the next examples."""
        self._inputs.fromlist(list(map(hash, block.inputs)))
        self._outputs.fromlist(list(map(hash, block.outputs)))
        self.count += len(block.inputs)
        if len(self._inputs) >= HELD:
            self._write()

    def distinct_outputs(self) -> int | None:
        """Return how many outputs there are; None for a file too large to be tuned on anyway."""
        return None if self._file else len(set(self._outputs))

    def duplicates_and_contradictions(self) -> tuple[Repeats, Repeats]:
        """Return the rows that stand earlier too, and those that stand with another output earlier.

        A duplicate names the first row of its like, a contradiction the first with its input.
        """
        if not self._file and not self._has_repeats():
            return Repeats(), Repeats()
        duplicates, contradictions = _Earliest(), _Earliest()
        for part in range(self._parts):
            repeated = False
            for rows, firsts, is_same in _again(self._part(part, whole=False)):
                repeated = True
                contradictions.add(rows[~is_same], firsts[~is_same])
            if repeated:
                for rows, firsts, _ in _again(self._part(part, whole=True)):
                    duplicates.add(rows, firsts)
        return duplicates.repeats(), contradictions.repeats()

    @property
    def _parts(self) -> int:
        """How many parts the rows are compared in: a power of two."""
        return 1 << (self.count // PART).bit_length()

    def _has_repeats(self) -> bool:
        """Tell whether an input stands twice, sooner than numpy is imported."""
        if self.count <= _FEW:
            return len(set(self._inputs)) < self.count
        # 16 to 32 bits a row: about one row in fifty falls on a bit that was another's.
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
            from tempfile import TemporaryFile  # noqa: PLC0415  # heavy; most files never need it

            file = TemporaryFile()  # noqa: SIM115  # __exit__ closes it
            self._file = self._open.enter_context(file)
        for start in range(0, len(self._inputs), SLICE):
            rows = self._inputs[start : start + SLICE]
            array("q", [len(rows)]).tofile(self._file)
            rows.tofile(self._file)
            self._outputs[start : start + SLICE].tofile(self._file)
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
        for start in range(0, len(self._inputs), SLICE):
            yield self._inputs[start : start + SLICE], self._outputs[start : start + SLICE]

    def _part(self, part: int, *, whole: bool) -> Iterator[Fingerprint]:
        """Yield (rows, keys, outputs) of the inputs that fall into one part, mostly all at once.

        The key is the input, or the `whole` row.
        """
        import numpy as np  # noqa: PLC0415  # heavy, and most files never need it

        gathered: list[Fingerprint] = []
        start = size = 0
        for slice_inputs, slice_outputs in self._slices():
            inputs = np.frombuffer(slice_inputs, np.int64)
            outputs = np.frombuffer(slice_outputs, np.int64)
            mine = np.flatnonzero(inputs & (self._parts - 1) == part)
            inputs, outputs = inputs[mine], outputs[mine]
            keys = inputs ^ (outputs * np.int64(_ODD)) if whole else inputs
            gathered.append((mine + start, keys, outputs))
            start += len(slice_inputs)
            size += len(mine)
            if size > 2 * PART:  # one input stands very often
                yield _joined(gathered)
                gathered, size = [], 0
        yield _joined(gathered)


class _Earliest:
    """The earliest `PER_CODE` of many repeats, and their number."""

    def __init__(self) -> None:
        self._count = 0
        self._rows: list[tuple[int, int]] = []

    def add(self, rows: Ints, firsts: Ints) -> None:
        self._count += len(rows)
        early = rows.argsort()[:PER_CODE]
        more = zip(rows[early].tolist(), firsts[early].tolist(), strict=True)
        self._rows = sorted([*self._rows, *more])[:PER_CODE]

    def repeats(self) -> Repeats:
        return Repeats(self._count, tuple(self._rows))


def _joined(gathered: list[Fingerprint]) -> Fingerprint:
    import numpy as np  # noqa: PLC0415  # heavy, and most files never need it

    if not gathered:
        return (np.empty(0, np.int64),) * 3
    rows, keys, outputs = map(np.concatenate, zip(*gathered, strict=True))
    return rows, keys, outputs


def _again(chunks: Iterator[Fingerprint]) -> Iterator[tuple[Ints, Ints, BoolArray]]:
    """Yield (rows whose key came before, the first row with it, whether its output is the same).

    Only the first row of each key is carried from chunk to chunk.
    """
    import numpy as np  # noqa: PLC0415  # heavy, and most files never need it

    carried: list[Fingerprint] = []
    for chunk in chunks:
        rows, keys, outputs = _joined([*carried, chunk])
        ordered = np.sort(keys)  # several times faster than argsort, and mostly all that is needed
        if (ordered[1:] == ordered[:-1]).any():
            order = keys.argsort(kind="stable")
            rows, keys, outputs = rows[order], keys[order], outputs[order]
            is_first = np.ones(len(keys), np.bool_)
            is_first[1:] = keys[1:] != keys[:-1]
            firsts = np.maximum.accumulate(np.where(is_first, np.arange(len(keys)), 0))[~is_first]
            yield rows[~is_first], rows[firsts], outputs[~is_first] == outputs[firsts]
            rows, keys, outputs = rows[is_first], keys[is_first], outputs[is_first]
        carried = [(rows, keys, outputs)]
