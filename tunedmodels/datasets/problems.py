"""The problems of the files of a dataset, collected in bounded memory while they are read.

A row is known by its position: its line, plus `FILE_STRIDE` for each file before its own. So the
positions in a dataset of one file are its lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tunedmodels.errors import Problem, Severity

MAX_PER_CODE = 1000  # problems of one code that are kept; further ones are only counted
FILE_STRIDE: Final = 1 << 40


class ProblemCollector:
    """Collects the problems of one dataset.

    For each code, the first `MAX_PER_CODE` problems are kept, and the others are counted.
    """

    def __init__(self, file: str) -> None:
        self.error_count = 0  #: all errors, including those that are not kept
        self._files = [file]
        self._offset = 0
        self._kept: dict[str, list[Problem]] = {}
        self._omitted: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self.unread: tuple[str, ...] = ()  #: fields with text that no example contains
        self.unread_cure = ""
        self.layout: object = None  #: how the first file is read: a `layout.Layout`
        self.field_names: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """How problems name the file that is being read."""
        return self._files[self._offset // FILE_STRIDE]

    def begin_file(self, file: str) -> int:
        """Name the next file of several; return what to add to its lines."""
        if self._files[-1] != file:
            self._files.append(file)
        self._offset = (len(self._files) - 1) * FILE_STRIDE
        return self._offset

    def end_files(self) -> None:
        """From now on, report by position."""
        self._offset = 0

    def locate(self, position: int) -> tuple[str, int]:
        """Return the file and the line of a position."""
        if position < FILE_STRIDE:
            position += self._offset
        return self._files[position // FILE_STRIDE], position % FILE_STRIDE

    def place(self, position: int) -> str:
        """Return how a message names another row: `line 5`, or `FILE:5` in another file."""
        file, line = self.locate(position)
        return f"line {line}" if len(self._files) == 1 else f"{file}:{line}"

    def error(self, line: int, code: str, message: str, cure: str = "", *, path: str = "") -> None:
        """Report a problem that makes the file unusable. Line 0 means the file as a whole."""
        self.error_count += 1
        self._add(line, path, Severity.ERROR, code, message, cure)

    def warn(self, line: int, code: str, message: str, cure: str = "", *, path: str = "") -> None:
        """Report a probable mistake."""
        self._add(line, path, Severity.WARNING, code, message, cure)

    def report(self, severity: Severity, code: str, message: str, cure: str = "") -> None:
        """Report a problem of the file as a whole, with the given severity."""
        self.error_count += severity is Severity.ERROR
        self._add(0, "", severity, code, message, cure)

    def note_layout(self, layout: object, names: Sequence[str]) -> None:
        """Remember how the first file is read, and the fields that it has."""
        if self.layout is None:
            self.layout, self.field_names = layout, tuple(names)

    def note_unread(self, cure: str, fields: tuple[str, ...]) -> None:
        """Remember fields with text that are not read, and how to read them."""
        if fields and not self.unread:
            self.unread, self.unread_cure = fields, cure

    def note_dropped(self, kind: str, count: int, name: str, lines: str) -> None:
        """Tell that rows were dropped, as the manifest declares."""
        rows = "row" if count == 1 else "rows"
        self.report(
            Severity.ADVICE,
            f"dropped-{kind}",
            f"drop: {kind} leaves out {count:,} {rows} {name} (line {lines}"
            f"{', ...' if count > lines.count(',') + 1 else ''})",
        )

    def count(self, code: str) -> int:
        """Return how often a code was reported."""
        return self._counts[code]

    def add_omitted(self, code: str, count: int) -> None:
        """Count further problems of a code that was reported before, without their lines."""
        self._omitted[code] += count

    def keep_first(self, code: str) -> None:
        """Keep only the first problem of this code, because all of them have one cause."""
        self._kept[code] = self._kept.get(code, [])[:1]
        del self._omitted[code]

    def by_line(self) -> tuple[Problem, ...]:
        """Return all problems by file and line.

        Where problems of a code were omitted, a last problem of this code contains their number.
        """
        omitted = [
            replace(
                self._kept[code][-1],
                message=f"and {count:,} more of this kind",
                cure="",
                count=count,
            )
            for code, count in self._omitted.items()
            if count
        ]
        kept = [problem for problems in self._kept.values() for problem in problems]
        order = {file: number for number, file in enumerate(self._files)}
        return tuple(sorted(kept + omitted, key=lambda p: (order[p.file], p.line, p.code)))

    def _add(  # noqa: PLR0917  # as a Problem has them
        self, line: int, path: str, severity: Severity, code: str, message: str, cure: str
    ) -> None:
        self._counts[code] += 1
        kept = self._kept.setdefault(code, [])
        if len(kept) < MAX_PER_CODE:
            file, line = self.locate(line)
            kept.append(Problem(file, line, path, severity, code, message, cure))
        else:
            self._omitted[code] += 1
