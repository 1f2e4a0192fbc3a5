"""The problems of one dataset file, collected in bounded memory while the file is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tunedmodels.errors import Problem, Severity

MAX_PER_CODE = 1000  # problems of one code that are kept; further ones are only counted


class ProblemCollector:
    """Collects the problems of one file.

    For each code, the first `MAX_PER_CODE` problems are kept, and the others are counted.
    """

    def __init__(self, file: str) -> None:
        self.file = file  #: how problems name the file
        self.error_count = 0  #: all errors, including those that are not kept
        self._kept: dict[str, list[Problem]] = {}
        self._omitted: Counter[str] = Counter()

    def error(self, line: int, code: str, message: str, cure: str = "", *, path: str = "") -> None:
        """Report a problem that makes the file unusable. Line 0 means the file as a whole."""
        self.error_count += 1
        self._add(Problem(self.file, line, path, Severity.ERROR, code, message, cure))

    def warn(self, line: int, code: str, message: str, cure: str = "", *, path: str = "") -> None:
        """Report a probable mistake."""
        self._add(Problem(self.file, line, path, Severity.WARNING, code, message, cure))

    def report(self, severity: Severity, code: str, message: str, cure: str = "") -> None:
        """Report a problem of the file as a whole, with the given severity."""
        self.error_count += severity is Severity.ERROR
        self._add(Problem(self.file, 0, "", severity, code, message, cure))

    def add_omitted(self, code: str, count: int) -> None:
        """Count further problems of a code that was reported before, without their lines."""
        self._omitted[code] += count

    def keep_first(self, code: str) -> None:
        """Keep only the first problem of this code, because all of them have one cause."""
        self._kept[code] = self._kept.get(code, [])[:1]
        del self._omitted[code]

    def by_line(self) -> tuple[Problem, ...]:
        """Return all problems by line.

        Where problems of a code were omitted, a last problem of this code contains their number.
        """
        omitted = [
            replace(self._kept[code][-1], message=f"and {count:,} more of this kind", cure="")
            for code, count in self._omitted.items()
            if count
        ]
        kept = [problem for problems in self._kept.values() for problem in problems]
        return tuple(sorted(kept + omitted, key=_sort_key))

    def _add(self, problem: Problem) -> None:
        kept = self._kept.setdefault(problem.code, [])
        if len(kept) < MAX_PER_CODE:
            kept.append(problem)
        else:
            self._omitted[problem.code] += 1


def _sort_key(problem: Problem) -> tuple[int, str]:
    return problem.line, problem.code
