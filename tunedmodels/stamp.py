"""The stamp: the mark of ownership that a live tuned model carries in its description.

A stamp is the last line of the description, so that it survives wherever a description does and can
be read by people: `[tunedmodels project=demo name=tone fingerprint=... dataset=... promoted=...]`.
What has no stamp of this project is never touched. Keys that this version does not know are kept as
they are, so that an older tool never erases what a newer one wrote.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Protocol

_LINE = re.compile(r"\[tunedmodels((?: [A-Za-z][A-Za-z0-9]*=[^\s\[\]]+)+)\]\s*\Z")


class Decision(StrEnum):
    """What a gate says of a version, from good to bad."""

    PASSED = "passed"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class GateMark:
    """A decision, with what it was made under: `passed:<gate>` or `passed:<gate>:<against>`.

    `gate` is the digest of the gate. `against` holds the first 8 hex digits of the fingerprint of
    the version it was compared with, or nothing where the gate compares with none: beside another
    version the same gate may decide otherwise.
    """

    decision: Decision
    gate: str
    against: str = ""

    def __str__(self) -> str:
        """Write the mark as a stamp holds it."""
        return ":".join(filter(None, (self.decision.value, self.gate, self.against)))


def gate_mark(text: str) -> GateMark | None:
    """Read the mark of a stamp; None for none, and for one that this version does not know."""
    decision, _, rest = text.partition(":")
    gate, _, against = rest.partition(":")
    if decision not in set(Decision) or not gate:
        return None
    return GateMark(Decision(decision), gate, against)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a live model says about itself.

    `fingerprint` and `dataset` are whole SHA-256 digests in hex. `examples` is the number of
    training examples. `attempt` counts the creates of this fingerprint from 1. `promoted` (UTC) is
    set on the versions that were made to serve; the newest one serves. `protect` and `retain`
    remember `lifecycle.protect` and `onRemoval: retain`, for the day when the manifest is gone.
    `words` are the marks of the mutable fields as they were last applied (`word_marks`), `by` is
    `hand` on a version that a person promoted, and `unverified` stands on one that was adopted:
    nobody can prove what it was trained on. `commit` is the one that it was trained from, `head`
    the one that it was last promoted from. `score` (`exactMatch:0.912`) and `gate` (a GateMark) say
    how it was judged. `tried` is the digest of the sweep under which a candidate got its `score`,
    `sweep` those of the sweeps that chose it, joined by commas, the newest last.
    """

    project: str
    name: str
    fingerprint: str
    dataset: str
    examples: int
    preamble: str = ""  # first 8 hex digits of the preamble's SHA-256, or empty
    commit: str = ""
    attempt: int = 1
    protect: bool = False
    retain: bool = False
    promoted: datetime | None = None
    score: str = ""
    gate: str = ""
    words: str = ""
    by: str = ""
    head: str = ""
    unverified: bool = False
    tried: str = ""
    sweep: str = ""
    others: tuple[tuple[str, str], ...] = ()

    @property
    def is_rejected(self) -> bool:
        """Whether a gate kept it from serving, and nobody made it serve all the same."""
        mark = gate_mark(self.gate)
        return self.promoted is None and mark is not None and mark.decision is not Decision.PASSED

    @property
    def has_lost(self) -> bool:
        """Whether a sweep tried it, and neither chose it nor did anybody ever make it serve."""
        return bool(self.tried) and not self.sweep and self.promoted is None

    def was_chosen_by(self, sweep: str) -> bool:
        """Whether the sweep with this digest chose it."""
        return sweep in self.sweep.split(",")

    def chosen_by(self, sweep: str) -> Stamp:
        """Return this stamp with the mark that a sweep chose its model.

        The marks of earlier sweeps stay, so that going back to one of them trains nothing.
        """
        former = [mark for mark in self.sweep.split(",") if mark not in ("", sweep)]
        return replace(self, sweep=",".join([*former[-(_SWEEPS - 1) :], sweep]))

    def promoted_at(self, now: datetime, *, by: str = "", head: str = "") -> Stamp:
        """Return this stamp with the mark that makes its model the serving one."""
        return replace(self, promoted=now.astimezone(UTC), by=by, head=head)


class Worded(Protocol):
    """Whatever has the fields that can be changed after training: declared, planned or live."""

    @property
    def description(self) -> str:
        """The person's own words, without the stamp."""

    @property
    def display_name(self) -> str:
        """Empty where it is not declared."""

    @property
    def temperature(self) -> float | None:
        """None where it is not declared, as for the others."""

    @property
    def top_p(self) -> float | None:
        """From 0 to 1."""

    @property
    def top_k(self) -> int | None:
        """From 1."""

    @property
    def reader_project_numbers(self) -> tuple[int, ...] | None:
        """In any order."""


_SWEEPS: Final = 8  # that a stamp remembers: a description is not endless
HAND: Final = "hand"  # in `by`: a person promoted it, and no apply did

_WORDS: Final = (
    "description",
    "displayName",
    "temperature",
    "topP",
    "topK",
    "readerProjectNumbers",
)
_UNMANAGED: Final = "-"


def word_marks(of: Worded) -> str:
    """Return what a stamp remembers of the mutable fields: 4 hex digits each, `-` where unset.

    One mark per field, so that a plan can tell which of them was changed behind its back. Whoever
    is unlucky once in 65,536 times is told of a change in the manifest instead.
    """
    values = (
        of.description,
        of.display_name or None,  # what is not declared is the service's to choose
        of.temperature,
        of.top_p,
        of.top_k,
        None if of.reader_project_numbers is None else sorted(set(of.reader_project_numbers)),
    )
    return ".".join(map(_mark, values))


def marks_by_field(words: str) -> Mapping[str, str]:
    """Return the marks by the path of their field, without the unset ones; empty if unknown."""
    marks = words.split(".")
    if len(marks) != len(_WORDS):
        return {}
    return {path: mark for path, mark in zip(_WORDS, marks, strict=True) if mark != _UNMANAGED}


def _mark(value: object) -> str:
    if value is None:
        return _UNMANAGED
    # A service may keep floats in 32 bits and answer 0.699999988 for 0.7.
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:4]


def write(words: str, stamp: Stamp) -> str:
    """Join the person's own description and the stamp into one description."""
    pairs = [f"{key}={value}" for key, value in _pairs(stamp)]
    line = f"[tunedmodels {' '.join(pairs)}]"
    return f"{words}\n{line}" if words else line


def read(description: str) -> tuple[str, Stamp | None]:
    """Split a description into the person's own words and the stamp.

    A line that looks like a stamp and cannot be read as one is no stamp: it stays in the words.
    """
    found = _LINE.search(description)
    if not found or (found.start() and description[found.start() - 1] != "\n"):
        return description, None
    try:
        stamp = _parse(found[1])
    except (KeyError, ValueError):
        return description, None
    return description[: found.start()].removesuffix("\n"), stamp


def _pairs(stamp: Stamp) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for field in fields(stamp):
        value = getattr(stamp, field.name)
        if field.name == "others" or value is None or value is False or value == "":
            continue
        if isinstance(value, datetime):
            value = value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        pairs.append((field.name, "true" if value is True else str(value)))
    return [*pairs, *stamp.others]


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
        gate=values.pop("gate", ""),
        words=values.pop("words", ""),
        by=values.pop("by", ""),
        head=values.pop("head", ""),
        unverified=values.pop("unverified", "") == "true",
        tried=values.pop("tried", ""),
        sweep=values.pop("sweep", ""),
        others=tuple(values.items()),
    )
