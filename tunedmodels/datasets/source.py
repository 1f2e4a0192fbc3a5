"""The source of examples: files on disk, their format, and which of their rows are read."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final, Literal, Protocol

from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.text import nearest

Container = Literal["jsonl", "json", "csv", "tsv", "parquet"]
Format = Literal[
    "jsonl",
    "json",
    "csv",
    "tsv",
    "parquet",
    "contents",
    "messages",
    "conversations",
    "promptCompletion",
    "alpaca",
    "dolly",
]
FORMAT_BY_SUFFIX: dict[str, Container] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}

INPUT_FIELD: Final = "text_input"
OUTPUT_FIELD: Final = "output"
HEAD_BYTES = 8192


class HoldOut(Protocol):
    """A share of the examples that training leaves out."""

    @property
    def part(self) -> str:
        """The part that reads them: evaluation, validation or none."""

    @property
    def share(self) -> float:
        """The share, for example 0.1."""

    @property
    def by(self) -> str | None:
        """The field of the group, whose rows stay together; None for the input."""

    @property
    def seed(self) -> int:
        """Another seed holds out other examples."""


class ExampleSource(Protocol):
    """How to read a file of examples: the fields of a manifest that every source has.

    A protocol, so that reading examples does not import pydantic. `Source.of` reads the others.
    """

    @property
    def format(self) -> Format | None:
        """The declared format, or None to recognise it."""

    @property
    def input_field(self) -> str:
        """The column or key of the prompt."""

    @property
    def output_field(self) -> str:
        """The column or key of the expected response."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source with every setting; the defaults are those of a manifest."""

    format: Format | None = None
    input_field: str = INPUT_FIELD
    output_field: str = OUTPUT_FIELD
    path: str | tuple[str, ...] = ""
    """As declared; several, or a pattern, are relative to the directory that is read."""
    input: str | None = None
    output: str | None = None
    system: str | None = None
    turns: Literal["keep", "split", "splitWithHistory"] = "keep"
    delimiter: str | None = None
    encoding: str | None = None
    header: bool = True
    columns: tuple[str, ...] | None = None
    limit: int | None = None
    sample: int | None = None
    seed: int = 0
    drop: tuple[str, ...] = ()
    max_sizes: tuple[int, int, int] = (40_000, 5_000, 0)
    """For drop: [tooLong]: characters of an input, of an output, and tokens of both (0: any)."""
    part: str = "training"
    hold_outs: tuple[HoldOut, ...] = ()
    is_preference: bool = False
    is_better: bool = True  #: which of the two responses is the output

    @classmethod
    def of(cls, source: ExampleSource) -> Source:
        """Return a source with the settings that a declaration has."""
        if isinstance(source, Source):
            return source
        settings = getattr(source, "settings", None)
        if settings is None:
            settings = {name: getattr(source, name) for name in _NAMES if hasattr(source, name)}
        return cls(**settings)

    @property
    def is_several(self) -> bool:
        """Whether the path names several files, so that it is read below a directory."""
        return is_several(self.path)

    @property
    def is_selective(self) -> bool:
        """Whether not every row of the files is an example of this source."""
        return bool(
            self.drop or self.hold_outs or self.limit is not None or self.sample is not None
        )

    @property
    def key(self) -> tuple[str, ...]:
        """Every setting but the path that differs from its default, for the key of a cache."""
        return tuple(
            f"{name}={getattr(self, name)!r}"
            for name in _NAMES
            if getattr(self, name) != getattr(_DEFAULT, name)
        )


_NAMES: Final = tuple(each.name for each in fields(Source))
_DEFAULT: Final = Source()


_PATTERN: Final = frozenset("*?[")


def is_several(path: str | Sequence[str]) -> bool:
    """Return whether a declared path is a list or a pattern."""
    return not isinstance(path, str) or not _PATTERN.isdisjoint(path)


def response_sources(source: ExampleSource, rejected_field: str) -> tuple[Source, Source]:
    """Return the sources of the better and of the worse responses of a preference file.

    Both have the same rows and the same inputs.
    """
    better = replace(Source.of(source), is_preference=True)
    return better, replace(better, output_field=rejected_field, is_better=False)


def output_field_setting(source: ExampleSource) -> str:
    """Return the manifest field that contains the name of the output field."""
    is_worse = isinstance(source, Source) and source.is_preference and not source.is_better
    return "rejectedField" if is_worse else "outputField"


def read_head(file: Path, problems: ProblemCollector) -> bytes | None:
    """Return the first `HEAD_BYTES` of a file, or None after reporting why there are none."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            is_directory = file.is_dir()
            problems.error(
                0,
                "not-a-file",
                f"is {'a directory' if is_directory else 'not a regular file'}",
                "Set the path to a file of examples, or to a pattern such as *.jsonl."
                if is_directory
                else "Set the path to a file of examples.",
            )
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
        if head:
            return head
        problems.error(0, "no-examples", "is empty", "Write at least one example.")
    return None


def file_size(file: Path) -> int:
    """Return the size of a file in bytes, or 0 when it cannot be read."""
    try:
        return file.stat().st_size
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return 0


def _suggest_file(file: Path) -> str:
    from tunedmodels.datasets.stand_ins import pull_command  # noqa: PLC0415  # imports this module

    if command := pull_command(file):
        return command
    try:
        close = nearest(file.name, sorted(entry.name for entry in file.parent.iterdir()))
    except OSError:
        return f"The directory {file.parent.name!r} does not exist either."
    if close:
        return f"Did you mean {close!r}?"
    return "Check the path; it is relative to the project directory."


__all__ = [
    "FORMAT_BY_SUFFIX",
    "HEAD_BYTES",
    "INPUT_FIELD",
    "OUTPUT_FIELD",
    "Container",
    "ExampleSource",
    "Format",
    "HoldOut",
    "Source",
    "file_size",
    "is_several",
    "output_field_setting",
    "read_head",
    "response_sources",
]
