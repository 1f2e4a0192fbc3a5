"""Provenance: where a version comes from, and whether git can reproduce it."""

from __future__ import annotations

from dataclasses import dataclass

from tunedmodels.observed import ObservedModel
from tunedmodels.stamp import Stamp


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit in a stamp."""

    id: str
    author: str = ""  #: empty if the commit is not in this repository
    subject: str = ""
    is_changed: bool = False  #: the working tree had uncommitted changes


@dataclass(frozen=True, slots=True)
class ProvenanceCard:
    """Everything that is known about the origin of a version."""

    project: str
    name: str
    version: ObservedModel
    stamp: Stamp
    serves: bool
    manifest: str = ""  #: the file that declares the name now
    dataset_path: str = ""  #: as it is declared now
    evaluation_path: str = ""  #: as it is declared now
    parent: str = ""  #: id of the tuned model that it continues from
    trained_from: Commit | None = None
    promoted_from: Commit | None = None
    cost_usd: float | None = None  #: None: unknown


@dataclass(frozen=True, slots=True)
class VerificationCheck:
    """One condition of a verification."""

    name: str
    is_met: bool
    message: str  #: what was found
    cure: str = ""  #: what to do if the condition is not met


@dataclass(frozen=True, slots=True)
class Verification:
    """The checks of one version."""

    name: str
    version: str
    commit: str  #: the commit in its stamp
    checks: tuple[VerificationCheck, ...]

    @property
    def is_verified(self) -> bool:
        """Whether all conditions are met."""
        return all(check.is_met for check in self.checks)
