"""The name that a person probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that looks most like `word`, if any does."""
    from difflib import get_close_matches  # noqa: PLC0415  # only for somebody's slip

    close = get_close_matches(word, list(names), n=1)
    return close[0] if close else None


def visible(text: str) -> str:
    """Make control characters visible, so that nothing from a file steers the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


_PART: Final = 4  # letters of a word that is looked for inside others


def did_you_mean(word: str, among: Iterable[str]) -> str:
    """Return the sentence for a cure, or nothing when no word is close."""
    near = closest(word, among)
    return f"Did you mean {near}?" if near else ""


def closest(word: str, among: Iterable[str]) -> str:
    """Return the closest word, or nothing; case, `_` and `-` do not count.

    A word that is part of one counts as close: `epochs` for epochCount, `model` for baseModel.
    """
    from difflib import get_close_matches  # noqa: PLC0415  # only for somebody's slip

    folded = {_fold(other): other for other in among}
    sought = _fold(word[:100])
    found = get_close_matches(sought, folded, n=1, cutoff=0.7)
    stem = sought.removesuffix("s")
    if not found and len(stem) >= _PART:
        found = [other for other in folded if stem in other]
    return folded[found[0]] if found else ""


def _fold(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()
