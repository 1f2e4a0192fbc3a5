"""A cache in one file, for results that follow from the content of other files.

An entry belongs to the identity of the files that it was computed from. Without a key, that is
their `stat` (size, times, inode), which cannot be chosen for another machine: a cache that was
committed to a repository is of no use. With a key (TUNEDMODELS_CACHE_KEY), it is the SHA-256 of
their bytes, so that a CI can keep the cache between checkouts, and every part of the cache has a
message authentication code: what was not written with the same key is ignored.

New entries are appended, so that one change does not rewrite the file. It is written again without
outdated entries when these are the larger part. A part that cannot be read is ignored.

A file may be edited twice within one tick of the file system's clock, before and after it was read,
and look unchanged (git calls such an entry racy). So an entry is only stored if its files had not
changed for longer than a tick when reading began.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tunedmodels.errors import TunedModelsError
from tunedmodels.files import write_atomic

KEY_VARIABLE: Final = "TUNEDMODELS_CACHE_KEY"
MIN_KEY_LENGTH: Final = 16  # characters
MAX_ENTRIES: Final = 200_000  # beyond it, entries that this run did not request are removed

_TICK_NS: Final = 100_000_000  # ten ticks of Linux (CONFIG_HZ=100)
_COARSE_TICK_NS: Final = 2_000_000_000  # FAT; HFS+ and old NFS have 1 s
_MAX_SEGMENTS: Final = 50
_MIN_KEPT: Final = 1000  # entries; above, two thirds may be of former contents of files
_DIGEST_SIZE: Final = 16
_HEADER: Final = struct.Struct(f">4sQ{_DIGEST_SIZE}s")
_MAGIC: Final = b"tmc1"

FileState = tuple[int, ...]


class Identity(NamedTuple):
    """What identifies the content of files: the name of their entry, and what it must contain."""

    name: str
    proof: str


class _Segment(msgspec.Struct, array_like=True, frozen=True):
    rules: str
    entries: dict[str, msgspec.Raw]


_decode_segment = msgspec.msgpack.Decoder(_Segment).decode
_decode_known = msgspec.msgpack.Decoder(tuple[FileState, str]).decode


def cache_key(environ: Mapping[str, str]) -> bytes:
    """Return the key of the caches, empty without one. Raises TunedModelsError if it is short."""
    key = environ.get(KEY_VARIABLE, "")
    if key and len(key) < MIN_KEY_LENGTH:
        raise TunedModelsError(
            f"{KEY_VARIABLE} has {len(key)} characters; at least {MIN_KEY_LENGTH} are required",
            cure="Create one: openssl rand -hex 32",
        )
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest() if key else b""


class CacheFile:
    """The entries in `path`. `rules` is the version of the code that computes them.

    `now_ns` is the clock of the file system, in nanoseconds since 1970.
    """

    def __init__(
        self,
        path: Path,
        *,
        rules: str,
        key: bytes = b"",
        max_entries: int = MAX_ENTRIES,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._path = path
        self._rules = rules
        self._key = key
        self._max_entries = max_entries
        self._now_ns = now_ns
        self._directory = os.getcwd()  # noqa: PTH109  # once, not for each of 10,000 files
        self._entries: dict[str, msgspec.Raw] = {}
        self._requested: set[str] = set()
        self._added: set[str] = set()
        self._segments = self._outdated = 0
        self._is_damaged = False
        self._read()

    def get(self, name: str) -> msgspec.Raw | None:
        """Return the msgpack value of an entry."""
        self._requested.add(name)
        return self._entries.get(name)

    def put(self, name: str, value: bytes) -> None:
        """Set the msgpack value of an entry."""
        self._outdated += name in self._entries
        self._entries[name] = msgspec.Raw(value)
        self._requested.add(name)
        self._added.add(name)

    def save(self) -> None:
        """Write new entries. A disk error is ignored: the next run computes them again."""
        if not self._added:
            return
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._must_be_rewritten():
                names = self._requested if self._is_full() else self._entries.keys()
                kept = {name: self._entries[name] for name in names if name in self._entries}
                write_atomic(self._path, self._segment(kept))
            else:
                added = self._segment({name: self._entries[name] for name in self._added})
                with self._path.open("ab") as file:
                    file.write(added)
        self._added.clear()

    def identify(self, files: Sequence[Path | str]) -> Identity | None:
        """Return the identity of the content of files; None if one of them is missing."""
        states = file_states(files)
        if not states:
            return None
        if not self._key:
            return Identity("\0".join(map(self._absolute_path, files)), repr(states))
        digests = [self._digest(*pair) for pair in zip(files, states, strict=True)]
        return Identity("\0".join(digests), "") if all(digests) else None

    def is_unchanged(self, files: Sequence[Path | str], identity: Identity, begun_ns: int) -> bool:
        """Return whether a result of reading `files` since `begun_ns` belongs to `identity`."""
        states = file_states(files)
        return bool(states) and is_settled(states, begun_ns) and self.identify(files) == identity

    def now_ns(self) -> int:
        """Return the time of the file system's clock."""
        return self._now_ns()

    def _absolute_path(self, file: Path | str) -> str:
        return os.path.join(self._directory, file)  # noqa: PTH118  # a Path takes 10 times as long

    def _digest(self, file: Path | str, state: FileState) -> str:
        """Return the SHA-256 of a file, from the cache if its `stat` is known."""
        name = f"file\0{self._absolute_path(file)}"
        if raw := self.get(name):
            with suppress(msgspec.DecodeError):
                known_state, digest = _decode_known(raw)
                if known_state == state:
                    return digest
        begun_ns = self._now_ns()
        try:
            with Path(file).open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError:
            return ""
        if file_states([file]) != (state,):
            return ""
        if is_settled((state,), begun_ns):
            self.put(name, msgspec.msgpack.encode((state, digest)))
        return digest

    def _is_full(self) -> bool:
        few = max(_MIN_KEPT, 3 * len(self._requested))
        return len(self._entries) > min(self._max_entries, few)

    def _must_be_rewritten(self) -> bool:
        return (
            self._is_damaged
            or not self._segments
            or self._segments >= _MAX_SEGMENTS
            or self._outdated > len(self._entries) // 2
            or self._is_full()
        )

    def _read(self) -> None:
        try:
            content = memoryview(self._path.read_bytes())
        except OSError:
            return
        start = 0
        while start < len(content):
            entries, size = self._read_segment(content[start:])
            if not size:
                self._is_damaged = True
                return
            self._outdated += len(entries.keys() & self._entries.keys())
            self._entries |= entries
            self._segments += 1
            start += size

    def _read_segment(self, content: memoryview) -> tuple[dict[str, msgspec.Raw], int]:
        """Return the entries of the first segment and its size; 0 if it cannot be trusted."""
        if len(content) < _HEADER.size:
            return {}, 0
        magic, size, digest = _HEADER.unpack_from(content)
        body = content[_HEADER.size : _HEADER.size + size]
        if magic != _MAGIC or len(body) != size:
            return {}, 0
        if not hmac.compare_digest(digest, self._authentication_code(body)):
            return {}, 0
        try:
            segment = _decode_segment(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return {}, 0
        return (segment.entries, _HEADER.size + size) if segment.rules == self._rules else ({}, 0)

    def _segment(self, entries: Mapping[str, msgspec.Raw]) -> bytes:
        body = msgspec.msgpack.encode(_Segment(self._rules, dict(entries)))
        header = _HEADER.pack(_MAGIC, len(body), self._authentication_code(body))
        return header + body

    def _authentication_code(self, body: bytes | memoryview) -> bytes:
        return hashlib.blake2b(body, key=self._key, digest_size=_DIGEST_SIZE).digest()


def file_states(files: Sequence[Path | str]) -> tuple[FileState, ...]:
    """Return values that change when a file changes; empty when a file is missing."""
    states = []
    for file in files:
        try:
            stat = os.stat(file)  # noqa: PTH116  # a Path takes twice as long
        except (OSError, ValueError):  # ValueError: a NUL in the path
            return ()
        states.append((stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev))
    return tuple(states)


def is_settled(states: Sequence[FileState], begun_ns: int) -> bool:
    """Return whether all files were unchanged for longer than a tick when reading began."""
    for _, modified_ns, changed_ns, *_ in states:
        # A time without a fraction of a second most probably comes from a coarse clock.
        tick_ns = _TICK_NS if modified_ns % 1_000_000_000 else _COARSE_TICK_NS
        if max(modified_ns, changed_ns) + tick_ns >= begun_ns:
            return False
    return True
