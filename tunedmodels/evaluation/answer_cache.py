"""A cache of answers between runs, so that no question is asked twice.

There is one file of JSON lines per model and sampling settings, to which answers are appended: a
run that is killed loses at most one answer. A version and its preamble never change, so its answer
to an input is valid for any metric, thresholds and other examples. A line that cannot be read is
ignored, and its question is asked again.
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

MAX_FILES: Final = 200  # files: the versions of years, and the evaluation of a new one

_Line = tuple[str, str]
_DECODER: Final = msgspec.json.Decoder(_Line)


class AnswerCache:
    """The answers of one model, in a file in `directory`.

    `name` makes the file name readable. `parts` are everything that the answers depend on, except
    the inputs.
    """

    def __init__(self, directory: Path, name: str, *parts: str) -> None:
        self._file = directory / f"{name}-{_digest(*parts)[:16]}.jsonl"
        self._answers: dict[str, str] | None = None

    @classmethod
    def for_version(
        cls, directory: Path, model: ObservedModel, config: GenerationConfig
    ) -> AnswerCache:
        """Return the answers of a version.

        A version that was trained again with the same id has other answers.
        """
        created = model.created.isoformat() if model.created else ""
        parts = [model.provider, model.resource, model.fingerprint, created]
        # Endpoints of Vertex AI were asked with the default level of thinking before.
        thinking = ["lowest-thinking"] if model.resource.startswith("projects/") else []
        return cls(directory, model.model_id, *parts, *thinking, sampling_key(config))

    def get(self, text_input: str) -> str | None:
        """Return the known answer to an input, or None."""
        if self._answers is None:
            self._answers = dict(self._read())
        return self._answers.get(_digest(text_input))

    def put(self, text_input: str, answer: str) -> None:
        """Append an answer immediately. A disk error is ignored: the question is asked again."""
        key = _digest(text_input)
        if self._answers is not None:
            self._answers[key] = answer
        # The line end comes first, so that an incomplete line of a killed run damages no other.
        line = b"\n" + msgspec.json.encode((key, answer))
        with suppress(OSError):
            is_new = not self._file.exists()
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(opened, line)
            finally:
                os.close(opened)
            if is_new:
                self._delete_old_files()

    def _read(self) -> list[_Line]:
        lines: list[_Line] = []
        with suppress(OSError):
            for line in self._file.read_bytes().split(b"\n"):
                with suppress(msgspec.DecodeError, UnicodeDecodeError):
                    lines.append(_DECODER.decode(line))
        return lines

    def _delete_old_files(self) -> None:
        files = sorted(self._file.parent.glob("*.jsonl"), key=lambda file: file.stat().st_mtime)
        for old in files[:-MAX_FILES]:
            old.unlink(missing_ok=True)


class NoAnswerCache:
    """A cache without answers, so that every question is asked."""

    def get(self, text_input: str) -> str | None:
        """Return None."""

    def put(self, text_input: str, answer: str) -> None:
        """Ignore the answer."""


def sampling_key(config: GenerationConfig) -> str:
    """Return sampling settings as text, which is equal for equal settings."""
    return config.model_dump_json(exclude_none=True)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
