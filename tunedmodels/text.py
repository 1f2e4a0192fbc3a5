"""Small functions over text: suggestions, plurals, lists, escapes and times."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Literal

_CUTOFF: Final = 0.7  # of difflib's similarity; at its default of 0.6, unrelated short words match
_SHORTEST_PART: Final = 4  # letters that a word needs to be searched for inside others


def suggest(word: str, candidates: Iterable[str]) -> str:
    """Return `Did you mean CANDIDATE?`, or an empty string when no candidate is close."""
    candidate = nearest(word, candidates)
    return f"Did you mean {candidate}?" if candidate else ""


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Return the candidate closest to `word`, or an empty string; case, `_` and `-` do not count.

    A word that is part of a candidate counts as close: `epochs` for epochCount, `model` for
    baseModel.
    """
    from difflib import get_close_matches  # noqa: PLC0415  # start-up: needed after a mistake only

    by_folded = {_fold(candidate): candidate for candidate in candidates}
    folded = _fold(word[:100])
    matches = get_close_matches(folded, by_folded, n=1, cutoff=_CUTOFF)
    stem = folded.removesuffix("s")
    if not matches and len(stem) >= _SHORTEST_PART:
        matches = [candidate for candidate in by_folded if stem in candidate]
    return by_folded[matches[0]] if matches else ""


def _fold(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()


def plural(count: int, singular: str, many: str = "") -> str:
    """Return the form of a noun for a count; `many` is the plural if it is not `singular` + s."""
    return singular if count == 1 else many or f"{singular}s"


def join(words: Iterable[str], conjunction: Literal["and", "or"] = "and") -> str:
    """Join words as a sentence does: `a`, `a and b`, `a, b and c`."""
    *most, last = list(words) or [""]
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def printable(text: str, *, keep_newlines: bool = False) -> str:
    """Write every character that is not printable as an escape.

    Text from files and services must not contain control sequences that a terminal executes.
    """
    if text.isprintable():
        return text
    kept = "\n" if keep_newlines else ""
    return "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in text)


def utc_iso(
    time: datetime, timespec: Literal["auto", "milliseconds", "microseconds"] = "auto"
) -> str:
    """Return a time in UTC in the form `2026-11-22T12:54:00Z`."""
    return time.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def utc_minute(time: datetime) -> str:
    """Return a time in UTC, to the minute: `2026-11-22 12:54 UTC`."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
