"""Results of the checks of `doctor`. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tunedmodels.errors import TunedModelsError


class Verdict(StrEnum):
    """The outcome of a check; `unknown` is not a failure."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check."""

    check: str
    """Stable and in kebab-case, for programs."""
    verdict: Verdict
    message: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """All results for one provider or for this machine."""

    name: str
    description: str
    """For a provider: its type, and for example its location."""
    findings: tuple[CheckResult, ...]

    @property
    def has_no_failures(self) -> bool:
        """Whether no check failed."""
        return all(result.verdict is not Verdict.FAILED for result in self.findings)


@dataclass(slots=True)
class Findings:
    """Collects the results for one provider."""

    placeholders: dict[str, str] = field(default_factory=dict)
    """Values for the placeholders in cures, such as MEMBER or PROJECT, as far as known."""
    results: list[CheckResult] = field(default_factory=list)

    def ok(self, check: str, message: str) -> None:
        """Add a check that succeeded."""
        self._add(check, Verdict.OK, message)

    def warning(self, check: str, message: str, cure: str = "") -> None:
        """Add a check that succeeded with a limitation."""
        self._add(check, Verdict.WARNING, message, cure)

    def unknown(self, check: str, message: str, cure: str = "") -> None:
        """Add a check without a result; the cure says how to get one."""
        self._add(check, Verdict.UNKNOWN, message, cure)

    def failed(self, check: str, message: str, cure: str = "") -> None:
        """Add a check that failed."""
        self._add(check, Verdict.FAILED, message, cure)

    def error(self, check: str, error: TunedModelsError) -> None:
        """Add a check that failed with an error."""
        self.failed(check, error.message, error.cure)

    def _add(self, check: str, verdict: Verdict, message: str, cure: str = "") -> None:
        filled_cure = fill_placeholders(cure, self.placeholders)
        self.results.append(CheckResult(check, verdict, message, filled_cure))


def fill_placeholders(cure: str, values: Mapping[str, str]) -> str:
    """Replace the placeholders in a cure; those without a value remain for the user to replace."""
    known = {name: value for name, value in values.items() if value}
    if not known:
        return cure
    return re.sub(rf"\b({'|'.join(known)})\b", lambda match: known[match[1]], cure)
