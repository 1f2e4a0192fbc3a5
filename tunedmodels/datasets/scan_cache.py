"""Surveys remembered from run to run, as git's index does: an unchanged file costs a stat.

One file, read once and written once. An entry holds what `stat` said of the dataset when it was
read (size, times, inode); it counts as long as `stat` says the same, for the same question and the
same rules. Whatever is wrong with the cache itself, it is built anew.

A file may be edited twice within one tick of the file system's clock, before and after we read it,
and look unedited (git calls it racy). So a survey is only remembered when the file had been at rest
for longer than a tick when reading began.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Generic, Self, TypeVar

import msgspec

from tunedmodels import __version__
from tunedmodels.datasets.checks.leakage import Side, overlap
from tunedmodels.datasets.limits import GEMINI_API, Limits
from tunedmodels.datasets.scan import Survey, survey, survey_preferences
from tunedmodels.datasets.source import Source
from tunedmodels.errors import Problem

RULES = 3  # to be raised with every change of a check, a message or the digest

_TICK_NS = 100_000_000  # ten ticks of Linux (CONFIG_HZ=100)
_COARSE_TICK_NS = 2_000_000_000  # FAT; HFS+ and old NFS have 1 s
_ENTRIES = 100_000  # beyond it, what this run did not ask for is dropped

_Value = TypeVar("_Value")
State = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What `survey` is asked: see there."""

    file: Path
    source: Source
    written: str
    limits: Limits = GEMINI_API
    preamble: str = ""
    task: str | None = None
    rejected_field: str | None = None  # of preferences

    @property
    def key(self) -> str:
        """The question, apart from what stands in the file."""
        parts = (
            "survey",
            *_reading(self.file, self.source, self.written),
            _mark(self.limits),
            str(len(self.preamble)),
            str(self.preamble[-1:].isspace()),
            self.task or "",
            self.rejected_field or "",
        )
        return "\0".join(parts)

    def answer(self) -> Survey:
        """Read the file."""
        if self.rejected_field:
            return survey_preferences(
                self.file,
                self.source,
                self.rejected_field,
                written=self.written,
                limits=self.limits,
                preamble=self.preamble,
            )
        return survey(
            self.file,
            self.source,
            written=self.written,
            limits=self.limits,
            preamble=self.preamble,
            task=self.task,
        )


class _Entry(msgspec.Struct, Generic[_Value], array_like=True, frozen=True):
    states: tuple[State, ...]
    value: _Value


class _Saved(msgspec.Struct, array_like=True, frozen=True):
    rules: str
    entries: dict[str, msgspec.Raw]


class SurveyCache:
    """What is remembered in `file`. As a context manager it saves itself at the end.

    `now_ns` is the clock of the file system: nanoseconds since 1970.
    """

    def __init__(self, file: Path, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._file = file
        self._now_ns = now_ns
        self._entries = _read(file)
        self._asked: set[str] = set()
        self._changed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.save()

    def survey(self, request: Request) -> Survey:
        """Return `datasets.survey.survey` of the request, remembered or made now."""
        return self._recall(request.key, (request.file,), _SURVEYS, request.answer)

    def overlap(self, train: Side, held_out: Side) -> tuple[Problem, ...]:
        """Return `datasets.overlap.overlap`, remembered or made now."""
        key = "\0".join(["overlap", *_reading(*train), *_reading(*held_out)])
        files = (train.file, held_out.file)
        return self._recall(key, files, _OVERLAPS, lambda: overlap(train, held_out))

    def save(self) -> None:
        """Write the file if anything is new. A disk that takes nothing is no failure here."""
        if not self._changed:
            return
        entries = self._entries
        if len(entries) > _ENTRIES:
            entries = {key: entries[key] for key in self._asked if key in entries}
        half = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                half.write_bytes(msgspec.msgpack.encode(_Saved(_rules(), entries)))
                half.replace(self._file)
            finally:
                half.unlink(missing_ok=True)
        self._changed = False

    def _recall(
        self,
        key: str,
        files: tuple[Path, ...],
        decoder: msgspec.msgpack.Decoder[_Entry[_Value]],
        answer: Callable[[], _Value],
    ) -> _Value:
        self._asked.add(key)
        states = _states(files)
        if states and (raw := self._entries.get(key)):
            with suppress(msgspec.DecodeError):  # written by somebody else: made anew
                entry = decoder.decode(raw)
                if entry.states == states:
                    return entry.value
        begun_ns = self._now_ns()
        value = answer()
        if states and _at_rest(states, begun_ns) and _states(files) == states:
            self._entries[key] = msgspec.Raw(msgspec.msgpack.encode(_Entry(states, value)))
            self._changed = True
        return value


_SURVEYS = msgspec.msgpack.Decoder(_Entry[Survey])
_OVERLAPS = msgspec.msgpack.Decoder(_Entry[tuple[Problem, ...]])


def survey_all(requests: Iterable[Request], cache: SurveyCache | None = None) -> list[Survey]:
    """Survey many files, in the order of the requests; without a cache each one is read."""
    ask = cache.survey if cache else Request.answer
    return [ask(request) for request in requests]


def _read(file: Path) -> dict[str, msgspec.Raw]:
    try:
        saved = msgspec.msgpack.decode(file.read_bytes(), type=_Saved)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return saved.entries if saved.rules == _rules() else {}


def _rules() -> str:
    return f"{__version__}/{RULES}"


def _states(files: tuple[Path, ...]) -> tuple[State, ...] | None:
    """Return what changes when a file does, or None where one is not there."""
    states = []
    for file in files:
        try:
            seen = file.stat()
        except (OSError, ValueError):  # ValueError: a NUL in the path
            return None
        states.append((seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_dev))
    return tuple(states)


def _at_rest(states: tuple[State, ...], begun_ns: int) -> bool:
    for _, modified_ns, changed_ns, *_ in states:
        # A time without a fraction of a second is one of a coarse clock, in all likelihood.
        tick_ns = _TICK_NS if modified_ns % 1_000_000_000 else _COARSE_TICK_NS
        if max(modified_ns, changed_ns) + tick_ns >= begun_ns:
            return False
    return True


def _reading(file: Path, source: Source, written: str) -> tuple[str, ...]:
    whole = os.path.join(os.getcwd(), file)  # noqa: PTH109, PTH118  # a Path costs 10 times as much
    return whole, written, str(source.format), source.input_field, source.output_field


@lru_cache(maxsize=64)
def _mark(limits: Limits) -> str:
    return hashlib.sha256(repr(limits).encode()).hexdigest()[:16]


__all__ = ["Request", "SurveyCache", "survey_all"]
