"""The source of examples: a file on disk, its format, and the names of its two fields."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.text import nearest

Format = Literal["jsonl", "json", "csv", "tsv", "contents"]
FORMAT_BY_SUFFIX: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
}

HEAD_BYTES = 8192

_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_ARCHIVE_MAGIC = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip (perhaps Excel)", b"BZh": "bzip2"}


class ExampleSource(Protocol):
    """How to read a file of examples: the fields of a manifest that a reader needs.

    A protocol, so that reading examples does not import pydantic.
    """

    @property
    def format(self) -> Format | None:
        """The declared format, or None to use the file name suffix."""

    @property
    def input_field(self) -> str:
        """The column or key of the prompt."""

    @property
    def output_field(self) -> str:
        """The column or key of the expected response."""


@dataclass(frozen=True, slots=True)
class ResponseSource:
    """A source that reads one of the two responses of each preference as the output.

    Both responses have the same rows and the same inputs.
    """

    source: ExampleSource
    output_field: str
    is_better: bool

    @property
    def format(self) -> Format | None:
        """The format of the underlying source."""
        return self.source.format

    @property
    def input_field(self) -> str:
        """The input field of the underlying source."""
        return self.source.input_field


def response_sources(
    source: ExampleSource, rejected_field: str
) -> tuple[ResponseSource, ResponseSource]:
    """Return the sources of the better and of the worse responses of a preference file."""
    return (
        ResponseSource(source, source.output_field, is_better=True),
        ResponseSource(source, rejected_field, is_better=False),
    )


def output_field_setting(source: ExampleSource) -> str:
    """Return the manifest field that contains the name of the output field."""
    is_worse = isinstance(source, ResponseSource) and not source.is_better
    return "rejectedField" if is_worse else "outputField"


def detect_format(file: Path, source: ExampleSource, problems: ProblemCollector) -> Format | None:
    """Return the format of `file`, or None after reporting that it is unknown."""
    detected = source.format or FORMAT_BY_SUFFIX.get(file.suffix.lower())
    if not detected and not file.is_file():
        read_head(file, problems)  # a directory or a missing file is the more important problem
    elif not detected:
        suffixes, formats = ", ".join(FORMAT_BY_SUFFIX), ", ".join(get_args(Format))
        problems.error(
            0,
            "unknown-format",
            f"has the suffix {file.suffix!r}, which is not that of a known format",
            f"Rename it to {suffixes}, or set format to {formats}.",
        )
    return detected


def read_head(file: Path, problems: ProblemCollector) -> bytes | None:
    """Return the first `HEAD_BYTES` of a text file, or None after reporting why there are none."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            kind = "a directory" if file.is_dir() else "not a regular file"
            problems.error(0, "not-a-file", f"is {kind}", "Set the path to a file of examples.")
            return None
        with file.open("rb", buffering=0) as opened:
            head = opened.read(HEAD_BYTES)
    except FileNotFoundError:
        problems.error(0, "missing-file", "does not exist", _suggest_file(file))
    except PermissionError:
        problems.error(
            0, "no-permission", "cannot be read: permission denied", f"chmod u+r {problems.file}"
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        problems.error(0, "unreadable", f"cannot be read: {error}", "Check the path and the disk.")
    else:
        return head if _is_text(head, problems) else None
    return None


def file_size(file: Path) -> int:
    """Return the size of a file in bytes, or 0 when it cannot be read."""
    try:
        return file.stat().st_size
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return 0


def _is_text(head: bytes, problems: ProblemCollector) -> bool:
    archive = next((name for magic, name in _ARCHIVE_MAGIC.items() if head.startswith(magic)), None)
    if not head:
        problems.error(0, "no-examples", "is empty", "Write at least one example.")
    elif head.startswith(_UTF16_BOMS):
        problems.error(0, "not-utf8", "is UTF-16", "Save it as UTF-8.")
    elif archive and b"\0" in head:
        problems.error(
            0, "binary", f"is compressed with {archive}", "Decompress it to a text file."
        )
    elif b"\0" in head:
        offset = head.index(b"\0")
        problems.error(
            head.count(b"\n", 0, offset) + 1,
            "binary",
            f"is not text: byte {offset + 1:,} is 0x00",
            "Examples are text in UTF-8, as JSONL, JSON, CSV or TSV.",
        )
    else:
        return True
    return False


def _suggest_file(file: Path) -> str:
    try:
        close = nearest(file.name, sorted(entry.name for entry in file.parent.iterdir()))
    except OSError:
        return f"The directory {file.parent.name!r} does not exist either."
    if close:
        return f"Did you mean {close!r}?"
    return "Check the path; it is relative to the project directory."
