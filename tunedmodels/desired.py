"""WANTED: a manifest together with its dataset, and the fingerprint that follows from both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tunedmodels.schema.tuned_model import (
    Evaluation,
    Examples,
    GenerationConfig,
    Hyperparameters,
    Lifecycle,
)
from tunedmodels.stamp import Stamp, word_marks

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class DesiredDataset:
    """Training examples on disk: where they are, how to read them, and what was found in them.

    `written` is the path as the manifest says it, for people; `digest` is a whole SHA-256 in hex.
    `tokens`, None where unknown, are those of one epoch, the preamble before every example among
    them: estimated, unless `is_counted` says that the service counted them.
    """

    file: Path
    written: str
    source: Examples
    digest: str
    examples: int
    tokens: int | None = None
    is_counted: bool = False


@dataclass(frozen=True, slots=True)
class DesiredEvaluation:
    """Held-out examples on disk, and how answers to them are judged.

    `rules` is what the manifest says; `generation` is how answers are drawn, with what the model
    itself declares where `rules` say nothing. `preamble` is put before every input (F5), or is the
    system instruction where it stands `as_system`. None of it
    is part of the fingerprint: what is asked of a version changes nothing about the version.
    """

    file: Path
    written: str
    rules: Evaluation
    digest: str
    examples: int
    preamble: str = ""
    as_system: bool = False
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    scores: str = field(init=False, repr=False, compare=False)
    """12 hex digits over what decides answers and scores; equal ones can be compared."""
    gate: str = field(init=False, repr=False, compare=False)
    """12 hex digits over `scores` and the thresholds; empty when it is no gate."""

    def __post_init__(self) -> None:
        """Hash both, once."""
        rules = self.rules
        scores = _mark(
            {
                "examples": self.digest,
                "metric": rules.metric,
                "preamble": self.preamble,
                "generation": self.generation.model_dump(exclude_none=True, by_alias=True),
                **({"asSystem": True} if self.as_system else {}),
            }
        )
        thresholds = [rules.at_least, rules.not_worse_than_serving_by, rules.on_inconclusive]
        gate = _mark([scores, *thresholds]) if rules.is_gate else ""
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "gate", gate)

    @property
    def source(self) -> Examples:
        """How to read the file."""
        return self.rules

    @property
    def measure(self) -> DesiredEvaluation:
        """The same questions and metric, without thresholds: a score alone, and no gate."""
        open_ = {"at_least": None, "not_worse_than_serving_by": None}
        return replace(self, rules=self.rules.model_copy(update=open_))


@dataclass(frozen=True, slots=True)
class DesiredSweep:
    """The settings of all candidates of a sweep, in their declared order.

    `place` is `file:line` of it. `max_cost_usd` bounds what one plan may spend on them.
    """

    settings: tuple[Hyperparameters, ...]
    max_cost_usd: float | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Desired:
    """One declared tuned model, resolved.

    `source` is `models/NAME`, or `tunedModels/ID` when it continues from `parent`, the name of
    another TunedModel. `labels` are for people and bills, and no part of the fingerprint. `place`
    is `file:line` of the manifest. `fingerprint` is the SHA-256 (hex) of everything that cannot be
    changed after training. `encryption_key` is the name of a key of Cloud KMS, empty for Google's
    own.

    With a `sweep` it stands for all its `candidates` as long as none of them is chosen: its
    fingerprint is over theirs and over what decides their scores, and no version ever bears it.
    `chosen_by` is the digest of the sweep that chose this one among them.
    """

    project: str
    name: str
    provider: str
    source: str
    dataset: DesiredDataset
    place: str = ""
    parent: str | None = None
    preamble: str = ""
    preamble_as: Literal["input", "systemInstruction"] = "input"
    method: Literal["supervised", "preference"] = "supervised"
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)
    validation: DesiredDataset | None = None
    service_account: str = ""
    encryption_key: str = ""
    last_checkpoint_only: bool = False
    display_name: str = ""
    description: str = ""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    reader_project_numbers: tuple[int, ...] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    evaluation: DesiredEvaluation | None = None
    sweep: DesiredSweep | None = None
    chosen_by: str = ""
    fingerprint: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Hash what the fingerprint is of, once: everybody asks for it, and often."""
        tried = self.sweep.settings if self.sweep else (self.hyperparameters,)
        marks = [
            fingerprint(
                source=self.source,
                dataset=self.dataset.digest,
                preamble=self.preamble,
                hyperparameters=each,
                method=self.method,
                preamble_as=self.preamble_as,
                validation=self.validation.digest if self.validation else "",
                encryption_key=self.encryption_key,
                last_checkpoint_only=self.last_checkpoint_only,
            )
            for each in tried
        ]
        if self.sweep:
            # The provider, since versions elsewhere say nothing; sorted, since no order changes
            # what is trained, and which of equal candidates is the first is no reason to train.
            scores = self.evaluation.scores if self.evaluation else ""
            marks = [_hashed([self.provider, scores, *sorted(marks)])]
        object.__setattr__(self, "fingerprint", marks[0])

    @property
    def candidates(self) -> tuple[Desired, ...]:
        """What a sweep tries, each a declaration of its own; nothing without a sweep."""
        return tuple(
            replace(self, hyperparameters=each, sweep=None)
            for each in (self.sweep.settings if self.sweep else ())
        )

    def as_of(self, fingerprint: str) -> Desired:
        """Return the candidate with this fingerprint, or this declaration where none has it."""
        found = (each for each in self.candidates if each.fingerprint == fingerprint)
        return next(found, self)

    @property
    def sweep_digest(self) -> str:
        """The first 12 hex digits of a sweep's fingerprint, by which stamps remember it."""
        return self.fingerprint[:12] if self.sweep else self.chosen_by

    @property
    def model_id(self) -> str:
        """`<name>-<first 8 hex digits of the fingerprint>`: what makes a create idempotent."""
        return version_id(self.name, self.fingerprint)

    @property
    def preamble_mark(self) -> str:
        """What a stamp remembers of the preamble, and of the way in which it is given."""
        return preamble_mark(self.preamble, as_system=self.preamble_as == "systemInstruction")

    def stamp(self, *, commit: str = "", attempt: int = 1) -> Stamp:
        """Return the mark for a new version of this, not promoted yet."""
        return Stamp(
            project=self.project,
            name=self.name,
            fingerprint=self.fingerprint,
            dataset=self.dataset.digest,
            examples=self.dataset.examples,
            preamble=self.preamble_mark,
            commit=commit,
            attempt=attempt,
            protect=self.lifecycle.protect,
            retain=self.lifecycle.on_removal == "retain",
            words=word_marks(self),
        )


def fingerprint(
    *,
    source: str,
    dataset: str,
    preamble: str,
    hyperparameters: Hyperparameters,
    method: str = "supervised",
    preamble_as: str = "input",
    validation: str = "",
    encryption_key: str = "",
    last_checkpoint_only: bool = False,
) -> str:
    """Hash, as canonical JSON, everything that cannot be changed after training.

    Hyperparameters count as declared: a service that changes a default does not make every model
    stale. What was added later counts only where it is set, so that no model of before is stale
    either. The account that a job runs as is left out: it leaves no trace in the model.
    """
    parts: dict[str, Any] = {
        "source": source,
        "dataset": dataset,
        "preamble": preamble,
        "hyperparameters": hyperparameters.model_dump(exclude_none=True, by_alias=True),
        "method": method,
    }
    later = {
        "preambleAs": "" if preamble_as == "input" else preamble_as,
        "validation": validation,
        "encryptionKey": encryption_key,
        "exportLastCheckpointOnly": last_checkpoint_only,
    }
    parts |= {key: value for key, value in later.items() if value}
    return _hashed(parts)


def _mark(value: object) -> str:
    return _hashed(value)[:12]


def _hashed(value: object) -> str:
    return hashlib.sha256(_canonical(value).encode()).hexdigest()


def version_id(name: str, fingerprint: str) -> str:
    """Return the id of a version: at most 31 + 1 + 8 = 40 characters, the API's limit."""
    return f"{name}-{fingerprint[:8]}"


def preamble_mark(preamble: str, *, as_system: bool) -> str:
    """Return the 8 hex digits by which a stamp remembers a preamble, or nothing for none.

    The same words as a system instruction are another one: a version that learned them before
    every input is wronged by a question that gives them otherwise.
    """
    text = f"\0{preamble}" if as_system else preamble
    return hashlib.sha256(text.encode()).hexdigest()[:8] if preamble else ""
