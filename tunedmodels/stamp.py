"""The stamp: the mark of ownership that a live tuned model carries in its description.

A stamp is the last line of the description, so that it survives wherever a description does and can
be read by people: `[tunedmodels project=demo name=tone fingerprint=... dataset=... promoted=...]`.
What has no stamp of this project is never touched. Keys that this version does not know are kept as
they are, so that an older tool never erases what a newer one wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

_LINE = re.compile(r"\[tunedmodels((?: [A-Za-z][A-Za-z0-9]*=[^\s\[\]]+)+)\]\s*\Z")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a live model says about itself.

    `fingerprint` and `dataset` are whole SHA-256 digests in hex. `examples` is the number of
    training examples. `attempt` counts the creates of this fingerprint from 1. `promoted` (UTC) is
    set on the versions that were made to serve; the newest one serves. `protect` and `retain`
    remember `lifecycle.protect` and `onRemoval: retain`, for the day when the manifest is gone.
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
    others: tuple[tuple[str, str], ...] = ()

    def promoted_at(self, now: datetime) -> Stamp:
        """Return this stamp with the mark that makes its model the serving one."""
        return replace(self, promoted=now.astimezone(UTC))


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
        others=tuple(values.items()),
    )
