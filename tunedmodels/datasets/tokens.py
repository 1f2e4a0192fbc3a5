"""An estimate of the number of tokens in a text, from the kinds of its bytes, without a tokenizer.

Current tokenizers keep most English words whole, and split digits one by one and other scripts into
pieces. So the kinds of bytes in a text determine most of its token count: for nine in ten texts of
4,000 characters, the estimate is within `RELATIVE_ERROR` of the count by Gemma's vocabulary of
256,000 tokens, in prose and code and 30 languages (printed by benchmarks/tokens.py; Vietnamese is
the worst, and the rule of four characters per token is off by 47 %). Gemini's own vocabulary is not
published: `plan --count-tokens` asks the service. The weights are a least-squares fit to half of
such texts, and were tested on the other half.
"""

from __future__ import annotations

from typing import Final

RELATIVE_ERROR: Final = 0.15

# (lead bytes of UTF-8, tokens per character, bytes per character) for each kind of character. The
# most common kind, lower-case letters of ASCII, is the rest after the others are counted.
_LOWERCASE: Final = 0.21
_PUNCTUATION: Final = 0.72  # punctuation
_KINDS: Final = (
    (range(0x41, 0x5B), 0.33, 1),  # capitals
    (b" ", 0.12, 1),
    (b"0123456789", 1.22, 1),
    (range(0x20), 0.84, 1),  # line ends and tabs
    (b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\x7f", _PUNCTUATION, 1),
    (range(0xC0, 0xCC), 1.01, 2),  # letters of Latin with marks
    (range(0xCC, 0xD0), 0.41, 2),  # Greek
    (range(0xD0, 0xD4), 0.31, 2),  # Cyrillic
    (range(0xD4, 0xE0), 0.37, 2),  # Hebrew, Arabic
    (b"\xe0", 0.41, 3),  # Indic scripts, Thai
    (b"\xe1", 0.71, 3),  # Georgian, marks of Vietnamese
    (b"\xe2\xef", 1.0, 3),  # symbols
    (b"\xe3", 0.39, 3),  # kana
    (range(0xE4, 0xEA), 0.79, 3),  # Chinese characters
    (range(0xEA, 0xEF), 0.82, 3),  # Hangul
    (range(0xF0, 0x100), 1.5, 4),  # emoji
)
_ASCII: Final = tuple(kind for kind in _KINDS if kind[2] == 1)

# The tokens that the canonical form adds to the texts of a row: `["",""]` and a line end. It also
# adds a backslash before every quote, of which responses in JSON contain many.
_ROW_TOKENS: Final = 7 * _PUNCTUATION + 0.84
_FULL_COUNT_BYTES: Final = 256 * 1024  # all blocks up to here are counted, then one block in 16
_SAMPLING_STEP: Final = 16


def _translation_tables() -> tuple[bytes, bytes]:
    """Return the map from lead bytes to the number of their kind, and the bytes to delete."""
    kinds = bytearray(256)
    for number, (leads, _, _) in enumerate(_KINDS):
        for lead in leads:
            kinds[lead] = number
    return bytes(kinds), bytes([*range(0x61, 0x7B), *range(0x80, 0xC0)])


_TO_KIND, _OMITTED = _translation_tables()


def estimate_utf8(text: bytes) -> float:
    """Return the estimated number of tokens in UTF-8 text."""
    leads = text.translate(_TO_KIND, _OMITTED)
    tokens, lower = 0.0, len(text)
    for number, (_, weight, width) in enumerate(_ASCII if text.isascii() else _KINDS):
        count = leads.count(number)
        tokens += weight * count
        lower -= width * count
    return tokens + _LOWERCASE * max(lower, 0)


def estimate_tokens(text: str) -> int:
    """Return the estimated number of tokens; half of a surrogate pair counts as nothing."""
    return round(estimate_utf8(text.encode(errors="ignore")))


class TokenCounter:
    """Estimates the tokens of a dataset block by block; in a large one, from a sample of blocks."""

    def __init__(self) -> None:
        self._blocks = 0
        self._bytes = 0
        self._counted_bytes = 0
        self._counted_tokens = 0.0

    def add(self, canonical: bytes, rows: int) -> None:
        """Add the canonical form of some rows."""
        if self._counted_bytes < _FULL_COUNT_BYTES or self._blocks % _SAMPLING_STEP == 0:
            escapes = canonical.count(b'\\"')
            self._counted_tokens += (
                estimate_utf8(canonical) - rows * _ROW_TOKENS - escapes * _PUNCTUATION
            )
            self._counted_bytes += len(canonical)
        self._bytes += len(canonical)
        self._blocks += 1

    @property
    def tokens(self) -> int:
        """The estimated number of tokens in all blocks."""
        if not self._counted_bytes:
            return 0
        return max(round(self._counted_tokens * self._bytes / self._counted_bytes), 0)
