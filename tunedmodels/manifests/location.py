"""A place in what a person wrote, and the problem that is there."""

from __future__ import annotations

from dataclasses import dataclass

from tunedmodels.errors import Problem, Severity
from tunedmodels.manifests.yaml_scalars import visible

Step = str | int


@dataclass(frozen=True, slots=True)
class Place:
    """`file` is a file as the person would type it, or an option; line 0 means the whole of it."""

    file: str
    line: int = 0
    path: tuple[Step, ...] = ()

    def problem(
        self, code: str, message: str, cure: str = "", severity: Severity = Severity.ERROR
    ) -> Problem:
        """Say what is wrong here."""
        path = visible(".".join(str(step) for step in self.path))
        # A message goes on from the place; a cure is a sentence of its own.
        cure = cure[:1].upper() + cure[1:]
        return Problem(self.file, self.line, path, severity, code, message, cure)


def steps(path: str) -> tuple[Step, ...]:
    """Split a dotted path; a number is the index of a list's item."""
    return tuple(int(step) if step.isdecimal() else step for step in path.split("."))
