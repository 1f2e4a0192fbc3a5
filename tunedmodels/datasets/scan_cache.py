"""A cache of dataset scans between runs: an unchanged file costs one `stat`, as in git's index.

The cache is one file, read once and written once. An entry contains the `stat` of the dataset when
it was read (size, times, inode), and is valid while `stat` returns the same, for the same request
and the same `RULES`. A cache that cannot be read is rebuilt.

A file may be edited twice within one tick of the file system's clock, before and after we read it,
and look unchanged (git calls such an entry racy). So a scan is only stored if the file had not
changed for longer than a tick when reading began.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from tunedmodels import __version__
from tunedmodels.datasets.checks.leakage import DatasetFile, find_overlap
from tunedmodels.datasets.limits import GEMINI_API, Limits
from tunedmodels.datasets.scan import DatasetScan, scan, scan_preferences
from tunedmodels.datasets.source import ExampleSource
from tunedmodels.errors import Problem
from tunedmodels.files import write_atomic

RULES = 4  # increase it with every change of a check, a message or the digest

_TICK_NS = 100_000_000  # ten ticks of Linux (CONFIG_HZ=100)
_COARSE_TICK_NS = 2_000_000_000  # FAT; HFS+ and old NFS have 1 s
_MAX_ENTRIES = 100_000  # beyond it, entries that this run did not request are removed

_Value = TypeVar("_Value")
FileState = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """The arguments of `scan`, or of `scan_preferences` if `rejected_field` is set."""

    file: Path
    source: ExampleSource
    display_path: str
    limits: Limits = GEMINI_API
    preamble: str = ""
    task: str | None = None
    rejected_field: str | None = None

    @property
    def key(self) -> str:
        """The cache key: everything that the result depends on, except the content of the file."""
        parts = (
            "scan",
            *_reading_key(self.file, self.source, self.display_path),
            _limits_key(self.limits),
            str(len(self.preamble)),
            str(self.preamble[-1:].isspace()),
            self.task or "",
            self.rejected_field or "",
        )
        return "\0".join(parts)

    def scan(self) -> DatasetScan:
        """Read and scan the file."""
        if self.rejected_field:
            return scan_preferences(
                self.file,
                self.source,
                self.rejected_field,
                display_path=self.display_path,
                limits=self.limits,
                preamble=self.preamble,
            )
        return scan(
            self.file,
            self.source,
            display_path=self.display_path,
            limits=self.limits,
            preamble=self.preamble,
            task=self.task,
        )


class _Entry(msgspec.Struct, Generic[_Value], array_like=True, frozen=True):
    states: tuple[FileState, ...]
    value: _Value


class _CacheFile(msgspec.Struct, array_like=True, frozen=True):
    rules: str
    entries: dict[str, msgspec.Raw]


class ScanCache:
    """The cache in `file`; the caller saves it with `save`.

    `now_ns` is the clock of the file system, in nanoseconds since 1970.
    """

    def __init__(self, file: Path, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._file = file
        self._now_ns = now_ns
        self._entries = _read_entries(file)
        self._requested: set[str] = set()
        self._changed = False

    def scan(self, request: ScanRequest) -> DatasetScan:
        """Return the cached or new scan of the request."""
        return self._get_or_compute(request.key, (request.file,), _SCANS, request.scan)

    def find_overlap(self, train: DatasetFile, held_out: DatasetFile) -> tuple[Problem, ...]:
        """Return the cached or new result of `checks.leakage.find_overlap`."""
        key = "\0".join(["overlap", *_reading_key(*train), *_reading_key(*held_out)])
        files = (train.file, held_out.file)
        return self._get_or_compute(key, files, _OVERLAPS, lambda: find_overlap(train, held_out))

    def save(self) -> None:
        """Write the file if an entry is new. A disk error is ignored: the next run scans again."""
        if not self._changed:
            return
        entries = self._entries
        if len(entries) > _MAX_ENTRIES:
            entries = {key: entries[key] for key in self._requested if key in entries}
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._file, msgspec.msgpack.encode(_CacheFile(_rules_version(), entries)))
        self._changed = False

    def _get_or_compute(
        self,
        key: str,
        files: tuple[Path, ...],
        decoder: msgspec.msgpack.Decoder[_Entry[_Value]],
        compute: Callable[[], _Value],
    ) -> _Value:
        self._requested.add(key)
        states = _file_states(files)
        if states and (raw := self._entries.get(key)):
            with suppress(msgspec.DecodeError):  # written by another program: computed again
                entry = decoder.decode(raw)
                if entry.states == states:
                    return entry.value
        begun_ns = self._now_ns()
        value = compute()
        if states and _is_settled(states, begun_ns) and _file_states(files) == states:
            self._entries[key] = msgspec.Raw(msgspec.msgpack.encode(_Entry(states, value)))
            self._changed = True
        return value


_SCANS = msgspec.msgpack.Decoder(_Entry[DatasetScan])
_OVERLAPS = msgspec.msgpack.Decoder(_Entry[tuple[Problem, ...]])


def _read_entries(file: Path) -> dict[str, msgspec.Raw]:
    try:
        cache_file = msgspec.msgpack.decode(file.read_bytes(), type=_CacheFile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return cache_file.entries if cache_file.rules == _rules_version() else {}


def _rules_version() -> str:
    return f"{__version__}/{RULES}"


def _file_states(files: tuple[Path, ...]) -> tuple[FileState, ...] | None:
    """Return values that change when a file changes, or None when a file is missing."""
    states = []
    for file in files:
        try:
            stat = file.stat()
        except (OSError, ValueError):  # ValueError: a NUL in the path
            return None
        states.append((stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev))
    return tuple(states)


def _is_settled(states: tuple[FileState, ...], begun_ns: int) -> bool:
    """Return whether all files were unchanged for longer than a tick when reading began."""
    for _, modified_ns, changed_ns, *_ in states:
        # A time without a fraction of a second most probably comes from a coarse clock.
        tick_ns = _TICK_NS if modified_ns % 1_000_000_000 else _COARSE_TICK_NS
        if max(modified_ns, changed_ns) + tick_ns >= begun_ns:
            return False
    return True


def _reading_key(file: Path, source: ExampleSource, display_path: str) -> tuple[str, ...]:
    absolute = os.path.join(os.getcwd(), file)  # noqa: PTH109, PTH118  # a Path takes 10 times as long
    return absolute, display_path, str(source.format), source.input_field, source.output_field


@lru_cache(maxsize=64)
def _limits_key(limits: Limits) -> str:
    return hashlib.sha256(repr(limits).encode()).hexdigest()[:16]


__all__ = ["ScanCache", "ScanRequest"]
