"""The frozen base of the label engine: from a text to the set of features it has.

A feature is a word, a pair of neighbouring words, or three or four neighbouring characters of a
word with a space at both of its ends, of the lower-cased text. Each is hashed to one of `ROWS`
numbers, so there is no vocabulary to store and no text that cannot be read. What collides in one
row is told apart by its other rows: a text has hundreds.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

ROWS = 2**14

# Weights learned on one map mean nothing on another, so adapters name theirs. Whoever changes what
# `rows_of` returns must count this up.
MAP_VERSION = "1"

_WORD_OR_SIGN = re.compile(r"\w+|[^\w\s]")
_GRAM_LENGTHS = (3, 4)


def rows_of(text: str) -> NDArray[np.intp]:
    """Return the distinct rows of a text, ascending; a text without any word has two.

    The same on every machine and in every process: crc32, since Python's `hash` is salted.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    # A text from JSON may hold half a surrogate pair, which strict UTF-8 would refuse.
    rows = {zlib.crc32(name.encode(errors="surrogatepass")) % ROWS for name in _names(plain)}
    return np.array(sorted(rows), dtype=np.intp)


def _names(text: str) -> Iterator[str]:
    words = _WORD_OR_SIGN.findall(text)
    for word in words:
        yield f"word {word}"
        spaced = f" {word} "
        for length in _GRAM_LENGTHS:
            for start in range(len(spaced) - length + 1):
                yield f"gram {spaced[start : start + length]}"
    for left, right in zip(["", *words], [*words, ""], strict=True):
        yield f"pair {left} {right}"
