"""The stamp: the record of ownership that a live tuned model carries in its description.

A stamp is the last line of the description, because a description is stored and returned unchanged
by every service and users can read it:
`[tunedmodels project=demo name=tone fingerprint=... dataset=... promoted=...]`.
A model without a stamp of this project is never changed. Keys that this release does not know are
kept, so that an older tool does not erase what a newer one wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from tunedmodels.text import utc_iso

MANUAL: Final = "hand"  # value of `Stamp.promoted_by`: `tunedmodels promote` was used, not apply

_LINE = re.compile(r"\[tunedmodels((?: [A-Za-z][A-Za-z0-9]*=[^\s\[\]]+)+)\]\s*\Z")
_MAX_SWEEPS: Final = 8  # in one stamp, since services limit the length of a description
# The keys in a stamp are a file format: attributes may be renamed, keys never.
_KEYS: Final = {
    "gate_record": "gate",
    "field_hashes": "words",
    "promoted_by": "by",
    "promoted_commit": "head",
    "scored_by_sweep": "tried",
    "chosen_by_sweeps": "sweep",
}


class Decision(StrEnum):
    """The decision of a gate about a version, from good to bad."""

    PASSED = "passed"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class GateRecord:
    """A decision and the gate that made it: `passed:<gate>` or `passed:<gate>:<baseline>`.

    The record holds only for the same gate and the same baseline, because a comparison with another
    baseline may lead to another decision.
    """

    decision: Decision
    gate_digest: str  #: digest of the gate
    baseline_prefix: str = ""  #: first 8 hex digits of the baseline's fingerprint; empty: none

    def __str__(self) -> str:
        """Return the record as it is written in a stamp."""
        return ":".join(filter(None, (self.decision, self.gate_digest, self.baseline_prefix)))


def parse_gate_record(text: str) -> GateRecord | None:
    """Return the record in a stamp, or None for an empty or unknown one."""
    decision, _, rest = text.partition(":")
    gate, _, baseline = rest.partition(":")
    if decision not in set(Decision) or not gate:
        return None
    return GateRecord(Decision(decision), gate, baseline)


@dataclass(frozen=True, slots=True)
class Stamp:
    """The ownership record of a live model."""

    project: str  #: name of the project that owns the model
    name: str  #: name of the TunedModel
    fingerprint: str  #: SHA-256 (hex) over all training inputs
    dataset: str  #: SHA-256 (hex) of the training examples
    examples: int  #: number of training examples
    preamble: str = ""  #: first 8 hex digits of the preamble's SHA-256, or empty
    commit: str = ""  #: the commit from which it was trained
    attempt: int = 1  #: number of creates of this fingerprint, from 1
    protect: bool = False  #: `lifecycle.protect`, needed once the manifest is gone
    retain: bool = False  #: `lifecycle.onRemoval: retain`, needed once the manifest is gone
    promoted: datetime | None = None  #: when it was last promoted (UTC); the newest one serves
    score: str = ""  #: score in the last evaluation, `exactMatch:0.912`
    gate_record: str = ""  #: a GateRecord as text
    field_hashes: str = ""  #: hashes of the mutable fields as last applied (`field_hashes`)
    promoted_by: str = ""  #: MANUAL after `tunedmodels promote`, else empty
    promoted_commit: str = ""  #: the commit from which it was last promoted
    unverified: bool = False  #: set by adopt: its training inputs cannot be proved
    scored_by_sweep: str = ""  #: digest of the sweep in which it got its `score`
    chosen_by_sweeps: str = ""  #: digests of the sweeps that chose it, comma-separated, newest last
    unknown_keys: tuple[tuple[str, str], ...] = ()  #: keys of a newer release

    @property
    def is_rejected(self) -> bool:
        """Whether a gate rejected it and it was never promoted."""
        record = parse_gate_record(self.gate_record)
        return (
            self.promoted is None and record is not None and record.decision is not Decision.PASSED
        )

    @property
    def has_lost_sweep(self) -> bool:
        """Whether a sweep scored it, no sweep chose it, and it was never promoted."""
        return bool(self.scored_by_sweep) and not self.chosen_by_sweeps and self.promoted is None

    def was_chosen_by(self, sweep_digest: str) -> bool:
        """Return whether the sweep with this digest chose it."""
        return sweep_digest in self.chosen_by_sweeps.split(",")

    def with_choice_of(self, sweep_digest: str) -> Stamp:
        """Return this stamp with a sweep added to those that chose the model.

        Earlier sweeps are kept, so that going back to one of them needs no training.
        """
        earlier = [d for d in self.chosen_by_sweeps.split(",") if d not in ("", sweep_digest)]
        digests = [*earlier[-(_MAX_SWEEPS - 1) :], sweep_digest]
        return replace(self, chosen_by_sweeps=",".join(digests))

    def promoted_at(
        self, time: datetime, *, promoted_by: str = "", promoted_commit: str = ""
    ) -> Stamp:
        """Return this stamp with the promotion time that makes its model the serving version."""
        return replace(
            self,
            promoted=time.astimezone(UTC),
            promoted_by=promoted_by,
            promoted_commit=promoted_commit,
        )


def format_description(text: str, stamp: Stamp) -> str:
    """Return one description made of the user's text and the stamp."""
    pairs = " ".join(f"{key}={value}" for key, value in _pairs(stamp))
    line = f"[tunedmodels {pairs}]"
    return f"{text}\n{line}" if text else line


def parse_description(description: str) -> tuple[str, Stamp | None]:
    """Split a description into the user's text and the stamp.

    A line that looks like a stamp but cannot be parsed is part of the text.
    """
    match = _LINE.search(description)
    if not match or (match.start() and description[match.start() - 1] != "\n"):
        return description, None
    try:
        stamp = _parse(match[1])
    except (KeyError, ValueError):
        return description, None
    return description[: match.start()].removesuffix("\n"), stamp


def _pairs(stamp: Stamp) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for field in fields(stamp):
        value = getattr(stamp, field.name)
        if field.name == "unknown_keys" or value is None or value is False or value == "":
            continue
        if isinstance(value, datetime):
            value = utc_iso(value, "microseconds")
        key = _KEYS.get(field.name, field.name)
        pairs.append((key, "true" if value is True else str(value)))
    return [*pairs, *stamp.unknown_keys]


def _parse(text: str) -> Stamp:
    values = dict(pair.split("=", 1) for pair in text.split())
    promoted = values.pop("promoted", "")
    return Stamp(
        project=values.pop("project"),
        name=values.pop("name"),
        fingerprint=values.pop("fingerprint"),
        dataset=values.pop("dataset"),
        examples=int(values.pop("examples")),
        preamble=values.pop("preamble", ""),
        commit=values.pop("commit", ""),
        attempt=int(values.pop("attempt", "1")),
        protect=values.pop("protect", "") == "true",
        retain=values.pop("retain", "") == "true",
        promoted=datetime.fromisoformat(promoted).astimezone(UTC) if promoted else None,
        score=values.pop("score", ""),
        gate_record=values.pop("gate", ""),
        field_hashes=values.pop("words", ""),
        promoted_by=values.pop("by", ""),
        promoted_commit=values.pop("head", ""),
        unverified=values.pop("unverified", "") == "true",
        scored_by_sweep=values.pop("tried", ""),
        chosen_by_sweeps=values.pop("sweep", ""),
        unknown_keys=tuple(values.items()),
    )
