"""The stamp: the record of ownership that a live tuned model carries in its description.

A stamp is the last line of the description, because a description is stored and returned unchanged
by every service and users can read it:
`[tunedmodels project=demo name=tone fingerprint=... dataset=... promoted=...]`.
A model without a stamp of this project is never changed. Keys that this release does not know are
kept, so that an older tool does not erase what a newer one wrote.

The stamp is written by the home of a version, the environment that trained it. Every other
environment that uses the version adds a line of its own after the stamp:
`[tunedmodels-use env=production promoted=...]`. A tool that does not know such a line sees no
stamp.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from tunedmodels.text import utc_iso

MANUAL: Final = "hand"  # value of `Stamp.promoted_by`: `tunedmodels promote` was used, not apply

DEFAULT_ENVIRONMENT: Final = "default"  # the home of a version whose stamp has no `env`
MAX_USES: Final = 8  # environments that may promote from one home

_PAIRS = r"((?: [A-Za-z][A-Za-z0-9]*=[^\s\[\]]+)+)"
_LINES = re.compile(rf"\[tunedmodels{_PAIRS}\]((?:\n\[tunedmodels-use{_PAIRS}\])*)\s*\Z")
_USE_LINE = re.compile(rf"\[tunedmodels-use{_PAIRS}\]")
_MAX_SWEEPS: Final = 8  # in one stamp, since services limit the length of a description
# The keys in a stamp are a file format: attributes may be renamed, keys never.
_KEYS: Final = {
    "gate_record": "gate",
    "field_hashes": "words",
    "promoted_by": "by",
    "promoted_commit": "head",
    "scored_by_sweep": "tried",
    "chosen_by_sweeps": "sweep",
    "environment": "env",
    "is_leaving": "leaving",
}
_FIRST: Final = ("lineage", "project", "environment")  # whose version it is comes first


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
class Use:
    """The use of a version by an environment that promotes it and did not train it.

    The values are those of a stamp, for this environment.
    """

    environment: str
    promoted: datetime | None = None
    promoted_commit: str = ""
    score: str = ""
    gate_record: str = ""
    promoted_by: str = ""
    protect: bool = False
    retain: bool = False
    unknown_keys: tuple[tuple[str, str], ...] = ()  #: keys of a newer release


_USE_VALUES: Final = tuple(
    each.name for each in fields(Use) if each.name not in ("environment", "unknown_keys")
)


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
    lineage: str = ""  #: lineage of the project; empty: it was made before projects had one
    environment: str = DEFAULT_ENVIRONMENT  #: the home: the environment that trained it
    is_leaving: bool = (
        False  #: its home is about to delete it, so no environment may begin to use it
    )
    uses: tuple[Use, ...] = ()  #: the other environments that use it
    unknown_keys: tuple[tuple[str, str], ...] = ()  #: keys of a newer release

    @property
    def identity(self) -> tuple[str, str, str, str, str]:
        """The version that it is the stamp of."""
        return self.project, self.lineage, self.environment, self.name, self.fingerprint

    def use_by(self, environment: str) -> Use | None:
        """Return the use of an environment, or None."""
        return next((use for use in self.uses if use.environment == environment), None)

    def as_used_by(self, environment: str) -> Stamp:
        """Return this stamp with the promotion, score and gate of another environment."""
        use = self.use_by(environment) or Use(environment)
        return replace(
            self,
            **{name: getattr(use, name) for name in _USE_VALUES},
            scored_by_sweep="",
        )

    def with_use(self, environment: str, values: Stamp) -> Stamp:
        """Return this stamp with the line of an environment; `values` has its promotion."""
        others = [use for use in self.uses if use.environment != environment]
        known = self.use_by(environment) or Use(environment)
        use = replace(known, **{name: getattr(values, name) for name in _USE_VALUES})
        return replace(self, uses=tuple(sorted([*others, use], key=lambda use: use.environment)))

    def without_use(self, environment: str) -> Stamp:
        """Return this stamp without the line of an environment."""
        others = tuple(use for use in self.uses if use.environment != environment)
        return replace(self, uses=others)

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
    """Return one description made of the user's text, the stamp and the lines of its uses."""
    lines = [f"[tunedmodels {_format_pairs(stamp)}]"]
    lines += [f"[tunedmodels-use {_format_pairs(use)}]" for use in stamp.uses]
    return "\n".join([text, *lines] if text else lines)


def parse_description(description: str) -> tuple[str, Stamp | None]:
    """Split a description into the user's text and the stamp.

    Lines that look like a stamp but cannot be parsed, also one of a use, are part of the text.
    """
    match = _LINES.search(description)
    if not match or (match.start() and description[match.start() - 1] != "\n"):
        return description, None
    try:
        uses = tuple(_parse_use(line[1]) for line in _USE_LINE.finditer(match[2]))
        stamp = replace(_parse(match[1]), uses=uses)
    except (KeyError, ValueError):
        return description, None
    if len({use.environment for use in uses} | {stamp.environment}) <= len(uses):
        return description, None  # two lines of one environment
    return description[: match.start()].removesuffix("\n"), stamp


def _format_pairs(part: Stamp | Use) -> str:
    return " ".join(f"{key}={value}" for key, value in _pairs(part))


def _pairs(part: Stamp | Use) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    names = [each.name for each in fields(part) if each.name not in ("unknown_keys", "uses")]
    for name in sorted(
        names, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST)
    ):
        value = getattr(part, name)
        if value is None or value is False or value == "":
            continue
        if isinstance(part, Stamp) and (name, value) == ("environment", DEFAULT_ENVIRONMENT):
            continue  # as in stamps that were written before environments existed
        if isinstance(value, datetime):
            value = utc_iso(value, "microseconds")
        pairs.append((_KEYS.get(name, name), "true" if value is True else str(value)))
    return [*pairs, *part.unknown_keys]


def _parse(text: str) -> Stamp:
    values = dict(pair.split("=", 1) for pair in text.split())
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
        promoted=_parse_time(values.pop("promoted", "")),
        score=values.pop("score", ""),
        gate_record=values.pop("gate", ""),
        field_hashes=values.pop("words", ""),
        promoted_by=values.pop("by", ""),
        promoted_commit=values.pop("head", ""),
        unverified=values.pop("unverified", "") == "true",
        scored_by_sweep=values.pop("tried", ""),
        chosen_by_sweeps=values.pop("sweep", ""),
        lineage=values.pop("lineage", ""),
        environment=values.pop("env", DEFAULT_ENVIRONMENT),
        is_leaving=values.pop("leaving", "") == "true",
        unknown_keys=tuple(values.items()),
    )


def _parse_use(text: str) -> Use:
    values = dict(pair.split("=", 1) for pair in text.split())
    return Use(
        environment=values.pop("env"),
        promoted=_parse_time(values.pop("promoted", "")),
        promoted_commit=values.pop("head", ""),
        score=values.pop("score", ""),
        gate_record=values.pop("gate", ""),
        promoted_by=values.pop("by", ""),
        protect=values.pop("protect", "") == "true",
        retain=values.pop("retain", "") == "true",
        unknown_keys=tuple(values.items()),
    )


def _parse_time(text: str) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
