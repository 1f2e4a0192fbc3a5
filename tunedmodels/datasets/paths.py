"""The files that a declared path names: one, a list, or a pattern."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.source import ExampleSource, is_several
from tunedmodels.text import join


def declared_path(path: str | Sequence[str]) -> str:
    """Return a declared path as messages name it."""
    return path if isinstance(path, str) else join(path)


def source_files(
    directory: Path, path: str | Sequence[str], problems: ProblemCollector
) -> Iterator[tuple[Path, str]]:
    """Yield each file once, in the order of the list and sorted by pattern, and its display path.

    A pattern without a file, and a file outside the directory, is reported.
    """
    found: dict[Path, str] = {}
    for pattern in [path] if isinstance(path, str) else path:
        display = os.path.normpath(f"{problems.file}/{pattern}")
        if not is_several(pattern):
            found.setdefault(directory / pattern, display)
            continue
        files = sorted(file for file in _glob(directory, pattern) if file.is_file())
        if not files:
            problems.error(
                0,
                "missing-file",
                f"contains no file that matches {pattern!r}",
                "Check the pattern; it is relative to the project directory.",
            )
        for file in files:
            relative = file.relative_to(directory).as_posix()
            if not file.resolve().is_relative_to(directory.resolve()):
                problems.error(
                    0,
                    "outside-project",
                    f"contains {relative}, which links to a file outside the project",
                    "Name a pattern that does not match it, or copy the file.",
                )
                continue
            found.setdefault(file, os.path.normpath(f"{problems.file}/{relative}"))
    yield from found.items()


def files_of(file: Path, source: ExampleSource) -> list[Path]:
    """Return every file of a source, without a report; those that do not exist as well."""
    path = getattr(source, "path", "")
    if not is_several(path):
        return [file]
    ignored = ProblemCollector("")
    return [each for each, _ in source_files(file, path, ignored)]


def _glob(directory: Path, pattern: str) -> list[Path]:
    try:
        return list(directory.glob(pattern))
    except (ValueError, NotImplementedError, OSError):  # an absolute or invalid pattern
        return []
