"""A location in a manifest, and the problem at that location."""

from __future__ import annotations

from dataclasses import dataclass

from tunedmodels.errors import Problem, Severity
from tunedmodels.text import printable

PathPart = str | int


@dataclass(frozen=True, slots=True)
class Location:
    """A line and a field of a manifest file, or of a command-line option."""

    file: str
    """Relative to the working directory if possible; or an option such as `--env ci`."""
    line: int = 0
    """From 1; 0 means the whole file."""
    path: tuple[PathPart, ...] = ()

    def problem(
        self, code: str, message: str, cure: str = "", severity: Severity = Severity.ERROR
    ) -> Problem:
        """Return a problem at this location.

        `message` continues the location (`must be ...`); `cure` is a sentence of its own.
        """
        path = printable(".".join(str(part) for part in self.path))
        cure = cure[:1].upper() + cure[1:]
        return Problem(self.file, self.line, path, severity, code, message, cure)


def parse_path(path: str) -> tuple[PathPart, ...]:
    """Split a dotted path; a number is the index of a list item."""
    return tuple(int(part) if part.isdecimal() else part for part in path.split("."))
