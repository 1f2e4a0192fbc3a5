"""The frozen base of the label engine: the map from a text to its features.

A feature is a word, a pair of adjacent words, or three or four adjacent characters of a word with a
space at both ends, of the lower-cased text. Each feature is hashed to one of `ROWS` numbers, so no
vocabulary must be stored and every text can be read. Texts that collide in one row differ in other
rows, since a text has hundreds of them.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

ROWS = 2**14

# Weights that were learned on one map are invalid on another, so adapters contain its version.
# Increase it whenever the result of `feature_rows` changes.
MAP_VERSION = "1"

_WORD_OR_SIGN = re.compile(r"\w+|[^\w\s]")
_GRAM_LENGTHS = (3, 4)


def feature_rows(text: str) -> NDArray[np.intp]:
    """Return the distinct rows of a text in ascending order; a text without words has two.

    The result is the same on every machine and in every process: the hash is crc32, because
    Python's `hash` is salted.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    # A text from JSON may contain half of a surrogate pair, which strict UTF-8 rejects.
    rows = {
        zlib.crc32(name.encode(errors="surrogatepass")) % ROWS for name in _feature_names(plain)
    }
    return np.array(sorted(rows), dtype=np.intp)


def _feature_names(text: str) -> Iterator[str]:
    words = _WORD_OR_SIGN.findall(text)
    for word in words:
        yield f"word {word}"
        spaced = f" {word} "
        for length in _GRAM_LENGTHS:
            for start in range(len(spaced) - length + 1):
                yield f"gram {spaced[start : start + length]}"
    for left, right in zip(["", *words], [*words, ""], strict=True):
        yield f"pair {left} {right}"
