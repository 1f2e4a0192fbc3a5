"""TODO-DOC."""

from __future__ import annotations

from dataclasses import dataclass

from tunedmodels.observed import ObservedModel
from tunedmodels.stamp import Stamp


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit in a stamp. `author` and `subject` are empty where it is not in this repository.

    `is_changed` says that the working tree had changes beside it.
    """

    id: str
    author: str = ""
    subject: str = ""
    is_changed: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """Everything that is known of a version.

    `manifest`, `dataset_path` and `evaluation_path` are where its name is declared now. `parent`
    is the id of the tuned model that it continues from. `cost_usd` is None where unknown.
    """

    project: str
    name: str
    version: ObservedModel
    stamp: Stamp
    serves: bool
    manifest: str = ""
    dataset_path: str = ""
    evaluation_path: str = ""
    parent: str = ""
    trained_from: Commit | None = None
    promoted_from: Commit | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be so. `words` say what was found; `cure` what to do where it is not."""

    name: str
    holds: bool
    words: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared for one version; `commit` is the one that its stamp names."""

    name: str
    version: str
    commit: str
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether every check does."""
        return all(check.holds for check in self.checks)
