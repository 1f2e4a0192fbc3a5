"""Where examples come from: the file on disk, its format, and the names of its two fields."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from tunedmodels.datasets.problems import Found
from tunedmodels.text import nearest

Format = Literal["jsonl", "json", "csv", "tsv", "contents"]
ENDINGS: dict[str, Format] = {".jsonl": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv"}

HEAD_BYTES = 8192

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip (perhaps Excel)", b"BZh": "bzip2"}


class Source(Protocol):
    """How to read a file of examples: the part of `spec.Examples` that a reader needs.

    A protocol, so that reading examples does not load pydantic.
    """

    @property
    def format(self) -> Format | None:
        """None means: as the file's ending says."""

    @property
    def input_field(self) -> str:
        """The column, or key, of the prompt."""

    @property
    def output_field(self) -> str:
        """The column, or key, of the expected response."""


@dataclass(frozen=True, slots=True)
class Response:
    """One of the two responses of a preference, in the place of the output: a source of its own.

    Both have the same rows and the same inputs.
    """

    of: Source
    output_field: str
    is_better: bool

    @property
    def format(self) -> Format | None:
        """That of the whole."""
        return self.of.format

    @property
    def input_field(self) -> str:
        """That of the whole."""
        return self.of.input_field


def responses(source: Source, rejected_field: str) -> tuple[Response, Response]:
    """Return the better and the worse response of a file of preferences."""
    return (
        Response(source, source.output_field, is_better=True),
        Response(source, rejected_field, is_better=False),
    )


def output_setting(source: Source) -> str:
    """Return the setting of the manifest that names the field of the output."""
    is_worse = isinstance(source, Response) and not source.is_better
    return "rejectedField" if is_worse else "outputField"


def format_of(file: Path, source: Source, found: Found) -> Format | None:
    """Return the format to read `file` in, or None after reporting that there is none."""
    known = source.format or ENDINGS.get(file.suffix.lower())
    if not known and not file.is_file():
        head_of(file, found)  # a folder, or nothing at all: its ending is the least of it
    elif not known:
        found.error(
            0,
            "unknown-format",
            f"has the ending {file.suffix!r}, which names no format",
            f"Rename it to {', '.join(ENDINGS)}, or set format to {', '.join(get_args(Format))}.",
        )
    return known


def head_of(file: Path, found: Found) -> bytes | None:
    """Return the first `HEAD_BYTES` of a file of text, or None after reporting why it is none."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            kind = "a directory" if file.is_dir() else "no regular file"
            found.error(0, "not-a-file", f"is {kind}", "Name a file of examples.")
            return None
        with file.open("rb", buffering=0) as opened:
            head = opened.read(HEAD_BYTES)
    except FileNotFoundError:
        found.error(0, "missing-file", "does not exist", _neighbour(file))
    except PermissionError:
        found.error(0, "no-permission", "may not be read", f"chmod u+r {found.file}")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        found.error(0, "unreadable", f"cannot be read: {error}", "Check the path and the disk.")
    else:
        return head if _is_text(head, found) else None
    return None


def _is_text(head: bytes, found: Found) -> bool:
    packed = next((name for mark, name in _PACKED.items() if head.startswith(mark)), None)
    if not head:
        found.error(0, "no-examples", "is empty", "Write at least one example.")
    elif head.startswith(_UTF16):
        found.error(0, "not-utf8", "is UTF-16", "Save it as UTF-8.")
    elif packed and b"\0" in head:
        found.error(0, "binary", f"is packed with {packed}", "Unpack it to a file of text.")
    elif b"\0" in head:
        at = head.index(b"\0")
        found.error(
            head.count(b"\n", 0, at) + 1,
            "binary",
            f"is no text: byte {at + 1:,} is 0x00",
            "Examples are text in UTF-8, as JSONL, JSON, CSV or TSV.",
        )
    else:
        return True
    return False


def _neighbour(file: Path) -> str:
    try:
        close = nearest(file.name, sorted(entry.name for entry in file.parent.iterdir()))
    except OSError:
        return f"There is no folder {file.parent.name!r} either."
    return f"Did you mean {close!r}?" if close else "Check the path; it starts at the Project."
