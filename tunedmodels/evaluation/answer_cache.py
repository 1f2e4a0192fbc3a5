"""Answers remembered from run to run, so that nothing is asked twice.

One file of JSON lines per model and manner of asking, only appended to: a run that was killed lost
one answer at most. A version never changes, and neither does its preamble, so its answer to an
input holds whatever the metric, the thresholds or the other examples become. A line that cannot be
read is asked again.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from tunedmodels.observed import ObservedModel
from tunedmodels.schema.tuned_model import GenerationConfig

KEPT: Final = 200  # files; the versions of years, and an evaluation in the making

_Line = tuple[str, str]
_DECODER: Final = msgspec.json.Decoder(_Line)


class Answers:
    """What one model answered, in a file below `folder`.

    `name` is for people. `parts` are all that decides its answers apart from the input.
    """

    def __init__(self, folder: Path, name: str, *parts: str) -> None:
        self._file = folder / f"{name}-{_digest(*parts)[:16]}.jsonl"
        self._got: dict[str, str] | None = None

    @classmethod
    def of_version(cls, folder: Path, model: ObservedModel, how: GenerationConfig) -> Answers:
        """Return what a version answered; one that was trained anew under its id is another one."""
        made = model.created.isoformat() if model.created else ""
        parts = (model.provider, model.resource, model.fingerprint, made)
        return cls(folder, model.model_id, *parts, drawn(how))

    def get(self, text_input: str) -> str | None:
        """Return the answer to an input, if it is known."""
        if self._got is None:
            self._got = dict(self._read())
        return self._got.get(_digest(text_input))

    def put(self, text_input: str, got: str) -> None:
        """Remember an answer at once. A disk that takes nothing is no failure here."""
        key = _digest(text_input)
        if self._got is not None:
            self._got[key] = got
        # The line end comes first, so that half a line of a run that was killed spoils no other.
        line = b"\n" + msgspec.json.encode((key, got))
        with suppress(OSError):
            is_new = not self._file.exists()
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(opened, line)
            finally:
                os.close(opened)
            if is_new:
                self._tidy()

    def _read(self) -> list[_Line]:
        lines: list[_Line] = []
        with suppress(OSError):
            for line in self._file.read_bytes().splitlines():
                with suppress(msgspec.DecodeError, UnicodeDecodeError):
                    lines.append(_DECODER.decode(line))
        return lines

    def _tidy(self) -> None:
        files = sorted(self._file.parent.glob("*.jsonl"), key=lambda file: file.stat().st_mtime)
        for old in files[:-KEPT]:
            old.unlink(missing_ok=True)


class Forgetful:
    """Knows nothing and remembers nothing: everything is asked."""

    def get(self, text_input: str) -> str | None:
        """Return nothing."""

    def put(self, text_input: str, got: str) -> None:
        """Forget it."""


def drawn(how: GenerationConfig) -> str:
    """Return a way of drawing answers as text that is equal for equal ways."""
    return how.model_dump_json(exclude_none=True)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
