"""What is wrong with a file of examples, gathered while it is read, in bounded memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tunedmodels.errors import Problem, Severity

PER_CODE = 1000  # a person mends the first few; the rest is a number


class Found:
    """The problems of one file: up to `PER_CODE` of each code, and how many more there are.

    `file` is how problems name it. `errors` counts all errors, kept or not.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors = 0
        self._kept: dict[str, list[Problem]] = {}
        self._more: Counter[str] = Counter()

    def error(self, line: int, code: str, message: str, cure: str = "", *, path: str = "") -> None:
        """Report what stops the file from being used. `line` 0 means the file as a whole."""
        self.errors += 1
        self._add(Problem(self.file, line, path, Severity.ERROR, code, message, cure))

    def warn(self, line: int, code: str, message: str, cure: str = "", *, path: str = "") -> None:
        """Report what is probably a mistake."""
        self._add(Problem(self.file, line, path, Severity.WARNING, code, message, cure))

    def say(self, severity: Severity, code: str, message: str, cure: str = "") -> None:
        """Report on the file as a whole, as badly as `severity` says."""
        self.errors += severity is Severity.ERROR
        self._add(Problem(self.file, 0, "", severity, code, message, cure))

    def count(self, code: str, more: int) -> None:
        """Add `more` problems of a code that was reported before, without naming their lines."""
        self._more[code] += more

    def only_first(self, code: str) -> None:
        """Keep one problem of this code: all of them have one cause."""
        self._kept[code] = self._kept.get(code, [])[:1]
        del self._more[code]

    def problems(self) -> tuple[Problem, ...]:
        """Return everything, by line; after the last of a crowded code, how many more there are."""
        rest = [
            replace(self._kept[code][-1], message=f"and {more:,} more of this kind", cure="")
            for code, more in self._more.items()
            if more
        ]
        kept = [problem for problems in self._kept.values() for problem in problems]
        return tuple(sorted(kept + rest, key=_by_line))

    def _add(self, problem: Problem) -> None:
        kept = self._kept.setdefault(problem.code, [])
        if len(kept) < PER_CODE:
            kept.append(problem)
        else:
            self._more[problem.code] += 1


def _by_line(problem: Problem) -> tuple[int, str]:
    return problem.line, problem.code
