"""The name that a person probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that looks most like `word`, if any does."""
    from difflib import get_close_matches  # noqa: PLC0415  # only for somebody's slip

    close = get_close_matches(word, list(names), n=1)
    return close[0] if close else None
