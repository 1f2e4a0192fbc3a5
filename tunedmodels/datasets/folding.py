"""What texts mean: the folded key by which spellings of one text are equal, and placeholders."""

from __future__ import annotations

import unicodedata
from typing import Final

# Characters that no reader sees: zero-width spaces and joiners, marks of direction, soft hyphens.
_INVISIBLE: Final = dict.fromkeys(
    [
        *(0x00AD, 0x061C, 0x180E, 0xFEFF),
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2065),
        *range(0x2066, 0x2070),
        *range(0xFE00, 0xFE10),
    ]
)

PLACEHOLDERS: Final = frozenset(
    {
        "#N/A", "#NA", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#ERROR!",
        "N/A", "n/a", "NA", "nan", "NaN", "NAN", "<NA>", "<null>", "NULL", "null", "Null", "None",
        "none", "nil", "undefined", "[object Object]", "TODO", "todo", "TBD", "tbd", "FIXME",
        "???", "xxx", "XXX", "Loading...", "#SPILL!", "#GETTING_DATA",
    }
)  # fmt: skip
"""Outputs that a tool or a person writes where a value is missing."""


def fold(text: str) -> str:
    """Return the key of a text: NFKC, without case, invisible characters and extra white space."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_INVISIBLE))
    return " ".join(text.casefold().split())


def is_placeholder(text: str) -> bool:
    """Return whether an output means a missing value."""
    return text.strip() in PLACEHOLDERS
