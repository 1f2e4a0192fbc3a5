"""What a checkup finds, and the names that its cures are filled in with. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tunedmodels.errors import TunedModelsError


class Verdict(StrEnum):
    """How one check came out; `unknown` is what nobody would tell us, and is no failure."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `check` is stable and kebab-case, for machines."""

    check: str
    verdict: Verdict
    words: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Checkup:
    """All that was found of one provider, or of this machine. `about` says in short what it is."""

    name: str
    about: str
    findings: tuple[Finding, ...]

    @property
    def is_well(self) -> bool:
        """Whether nothing fails."""
        return all(each.verdict is not Verdict.FAILED for each in self.findings)


@dataclass(slots=True)
class Notes:
    """The findings of one provider, as they come.

    `names` are what a cure leaves open, such as MEMBER or PROJECT, as far as it is known by now.
    """

    names: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def well(self, check: str, words: str) -> None:
        """Note what is as it should be."""
        self._note(check, Verdict.OK, words)

    def warn(self, check: str, words: str, cure: str = "") -> None:
        """Note what works, and may not for long or for everything."""
        self._note(check, Verdict.WARNING, words, cure)

    def unknown(self, check: str, words: str, cure: str = "") -> None:
        """Note what could not be found out; the cure says how to."""
        self._note(check, Verdict.UNKNOWN, words, cure)

    def failed(self, check: str, words: str, cure: str = "") -> None:
        """Note what does not work."""
        self._note(check, Verdict.FAILED, words, cure)

    def refused(self, check: str, error: TunedModelsError) -> None:
        """Note an error as what does not work."""
        self.failed(check, error.message, error.cure)

    def _note(self, check: str, verdict: Verdict, words: str, cure: str = "") -> None:
        self.findings.append(Finding(check, verdict, words, filled(cure, self.names)))


def filled(cure: str, names: Mapping[str, str]) -> str:
    """Put names where a cure leaves them open; what is not known stays, for a person to fill in."""
    known = {name: value for name, value in names.items() if value}
    if not known:
        return cure
    return re.sub(rf"\b({'|'.join(known)})\b", lambda found: known[found[1]], cure)
