"""A cache of dataset scans between runs: an unchanged file costs one `stat`, as in git's index.

`cache_file` says when an entry is valid. An entry also belongs to the request and to `RULES`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import msgspec

from tunedmodels import __version__
from tunedmodels.cache_file import MAX_ENTRIES, CacheFile
from tunedmodels.datasets.checks.leakage import DatasetFile, find_overlap
from tunedmodels.datasets.limits import GEMINI_API, Limits
from tunedmodels.datasets.paths import files_of
from tunedmodels.datasets.scan import DatasetScan, scan, scan_preferences
from tunedmodels.datasets.source import ExampleSource, Source
from tunedmodels.errors import Problem

RULES = 5  # increase it with every change of a check, a message or the digest

_MAX_ENTRIES = MAX_ENTRIES

_Value = TypeVar("_Value")


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
        """The cache key: everything that the result depends on, except the file."""
        parts = (
            "scan",
            *_reading_key(self.source, self.display_path),
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


class ScanCache:
    """The cache in `file`; the caller saves it with `save`. See CacheFile."""

    def __init__(
        self, file: Path, *, key: bytes = b"", now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._cache = CacheFile(
            file,
            rules=f"{__version__}/{RULES}",
            key=key,
            max_entries=_MAX_ENTRIES,
            now_ns=now_ns,
        )

    def scan(self, request: ScanRequest) -> DatasetScan:
        """Return the cached or new scan of the request."""
        files = tuple(files_of(request.file, request.source))
        return self._get_or_compute(request.key, files, _SCANS, request.scan)

    def find_overlap(self, train: DatasetFile, held_out: DatasetFile) -> tuple[Problem, ...]:
        """Return the cached or new result of `checks.leakage.find_overlap`."""
        keys = (_reading_key(part.source, part.display_path) for part in (train, held_out))
        key = "\0".join(["overlap", *(text for part in keys for text in part)])
        files = (
            *files_of(train.file, train.source),
            *files_of(held_out.file, held_out.source),
        )
        return self._get_or_compute(key, files, _OVERLAPS, lambda: find_overlap(train, held_out))

    def save(self) -> None:
        """Write new entries to the file."""
        self._cache.save()

    def _get_or_compute(
        self,
        key: str,
        files: tuple[Path, ...],
        decoder: msgspec.msgpack.Decoder[tuple[str, _Value]],
        compute: Callable[[], _Value],
    ) -> _Value:
        cache = self._cache
        begun_ns = cache.now_ns()
        identity = cache.identify(files)
        if identity is None:
            return compute()
        name = f"{key}\0{identity.name}"
        if raw := cache.get(name):
            with suppress(msgspec.DecodeError):  # written by another program: computed again
                proof, value = decoder.decode(raw)
                if proof == identity.proof:
                    return value
        value = compute()
        if cache.is_unchanged(files, identity, begun_ns):
            cache.put(name, msgspec.msgpack.encode((identity.proof, value)))
        return value


_SCANS = msgspec.msgpack.Decoder(tuple[str, DatasetScan])
_OVERLAPS = msgspec.msgpack.Decoder(tuple[str, tuple[Problem, ...]])


def _reading_key(source: ExampleSource, display_path: str) -> tuple[str, ...]:
    key = (display_path, str(source.format), source.input_field, source.output_field)
    if isinstance(source, Source):
        return (*key, *source.key)
    if getattr(source, "is_basic", False):
        return key
    return (*key, *Source.of(source).key)


@lru_cache(maxsize=64)
def _limits_key(limits: Limits) -> str:
    return hashlib.sha256(repr(limits).encode()).hexdigest()[:16]


__all__ = ["ScanCache", "ScanRequest"]
