"""How many tokens there are in a text, estimated from the kinds of its bytes; no tokenizer needed.

A tokenizer of today takes words of English nearly whole, digits one by one and other scripts by
pieces. Which kinds of bytes a text has says most of that: nine in ten texts of 4,000 characters
come out within `ERROR` of what Gemma's vocabulary of 256,000 tokens says, in prose and code and 30
languages (printed by benchmarks/tokens.py; Vietnamese is the worst, and four characters per token
are off by 47 %). Gemini's own vocabulary is not published: `plan --count-tokens` asks the service.
The weights are a least-squares fit to half of such texts, judged by the other half.
"""

from __future__ import annotations

from typing import Final

ERROR: Final = 0.15

# (lead bytes of UTF-8, tokens per character, bytes per character) of one kind of character. The
# commonest of all, lower-case letters of ASCII, are what is left when the others are counted.
_LOWER: Final = 0.21
_MARK: Final = 0.72  # punctuation
_KINDS: Final = (
    (range(0x41, 0x5B), 0.33, 1),  # capitals
    (b" ", 0.12, 1),
    (b"0123456789", 1.22, 1),
    (range(0x20), 0.84, 1),  # line ends and tabs
    (b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\x7f", _MARK, 1),
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

# What the canonical form has besides the texts: `["",""]` and a line end per row, and a backslash
# before every quote, of which an answer in JSON is full.
_ROW: Final = 7 * _MARK + 0.84
_WHOLE_BYTES: Final = 256 * 1024  # so much is weighed byte by byte; beyond it, one block in 16
_EVERY: Final = 16


def _table() -> tuple[bytes, bytes]:
    """Return what maps lead bytes to the number of their kind, and the bytes to leave out."""
    kinds = bytearray(256)
    for number, (leads, _, _) in enumerate(_KINDS):
        for lead in leads:
            kinds[lead] = number
    return bytes(kinds), bytes([*range(0x61, 0x7B), *range(0x80, 0xC0)])


_TO_KIND, _LEFT_OUT = _table()


def weigh(text: bytes) -> float:
    """Return how many tokens a text of UTF-8 has, or nearly so."""
    leads = text.translate(_TO_KIND, _LEFT_OUT)
    tokens, lower = 0.0, len(text)
    for number, (_, weight, width) in enumerate(_ASCII if text.isascii() else _KINDS):
        count = leads.count(number)
        tokens += weight * count
        lower -= width * count
    return tokens + _LOWER * max(lower, 0)


def estimate(text: str) -> int:
    """Return how many tokens a text has, or nearly so; half a surrogate pair counts for nothing."""
    return round(weigh(text.encode(errors="ignore")))


class Tally:
    """The tokens of a dataset, block by block: weighed whole if small, in parts if large."""

    def __init__(self) -> None:
        self._blocks = 0
        self._bytes = 0
        self._weighed_bytes = 0
        self._weighed = 0.0

    def add(self, canonical: bytes, rows: int) -> None:
        """Add the canonical form of some rows."""
        if self._weighed_bytes < _WHOLE_BYTES or self._blocks % _EVERY == 0:
            escapes = canonical.count(b'\\"')
            self._weighed += weigh(canonical) - rows * _ROW - escapes * _MARK
            self._weighed_bytes += len(canonical)
        self._bytes += len(canonical)
        self._blocks += 1

    @property
    def tokens(self) -> int:
        """How many tokens all of them have, or nearly so."""
        if not self._weighed_bytes:
            return 0
        return max(round(self._weighed * self._bytes / self._weighed_bytes), 0)
