"""The frozen base: what is looked at in the input, in the answer so far, and in a place to copy.

Every feature has a name; a hash of the name is its row in a table of fixed size, so there is no
vocabulary to store and no text that cannot be read. A feature together with a state of the answer
("the word March, when `2021-` is written") is another row: the state shifts or mixes the number.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections import Counter
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from tunedmodels.engines.text.source import Source

# Weights learned on one map mean nothing on another, so adapters name theirs. Whoever changes what
# this room returns, or how a source is read, must count this up.
MAP_VERSION = "1"

# Rows of the features of the input, and of each of the tables that combine them with the answer.
REGION = 2**14

# Groups of features of the input, each normalised to a length of its own whatever the size of the
# input. Their squares are about how many nats one step at the default rate can move one answer.
LENGTHS = {"words": 4.0, "pairs": 4.9, "grams": 4.9}
HISTORY_LENGTHS = {"words": 2.4, "forms": 2.0}
LAST_LENGTHS = {"words": 2.4}

_GRAM_LENGTHS = (3, 4)
# Where things stand tells nothing about a text, and everything about a date or a name.
_MOST_FORMED = 30
_MOST_SIGNED = 12
_FAR = 20


def key(*parts: object) -> int:
    """Return the 32 bits of a name: the same on every machine, since Python's `hash` is salted."""
    # A text from JSON may hold half a surrogate pair, which strict UTF-8 would refuse.
    return zlib.crc32("\x1f".join(map(str, parts)).encode(errors="surrogatepass"))


def shape(text: str) -> str:
    """Return the text with letters and digits replaced by their kind: `Aa-99` for `Up-07`."""
    return "".join(
        "9" if c.isdigit() else "A" if c.isupper() else "a" if c.isalpha() else c for c in text[:8]
    )


def outline(text: str) -> str:
    """Return the shape without repetitions: `Aa` for `March`."""
    return "".join(kind for kind, _ in groupby(shape(text)))


def input_rows(source: Source) -> dict[str, NDArray[np.intp]]:
    """Return the distinct rows (below `REGION`) of each group of features of the input."""
    tokens = [token for token in source.all_tokens if not token.isspace()]
    words = [unicodedata.normalize("NFKC", token).casefold() for token in tokens]
    names = {
        "words": words,
        "pairs": [f"{left} {right}" for left, right in pairwise(["", *words, ""])],
        "grams": [
            f" {word} "[start : start + length]
            for word in words
            for length in _GRAM_LENGTHS
            for start in range(len(word) + 3 - length)
        ],
        "forms": _forms(tokens, words) if len(tokens) <= _MOST_FORMED else [],
    }
    return {
        group: np.unique(np.array([key(group, name) % REGION for name in found], np.intp))
        for group, found in names.items()
    }


def _forms(tokens: list[str], words: list[str]) -> list[str]:
    signature = _signature(tokens)
    found = [signature, " ".join(map(shape, tokens[:_MOST_SIGNED]))]
    for place, (token, word) in enumerate(zip(tokens, words, strict=True)):
        from_end = place - len(tokens)
        found += [f"{place} {word} {signature}", f"{from_end} {word}"]
        found += [f"{place} shape {shape(token)}", f"{from_end} shape {shape(token)}"]
    return found


def _signature(tokens: list[str]) -> str:
    return " ".join(map(outline, tokens[:_MOST_SIGNED]))


@dataclass(frozen=True, slots=True)
class Written:
    """The answer so far, as far as the next unit depends on it."""

    tail: str = ""  # its last characters
    last: tuple[str, str, str] = ("", "", "")  # its last units, the newest first
    history: int = 0  # a hash of all units, where each copied word counts as the same
    cursor: int = 0  # where in the source copying would go on

    def then(self, unit: str, source: Source) -> Written:
        """Return the answer with one more unit."""
        span = source.read(self.cursor, unit)
        if not span or not unit.isalnum():
            history = key(self.history, unit)
        elif span[0] == self.cursor and source.is_inside(self.cursor):
            history = self.history  # more letters of the same word
        else:
            history = key(self.history, "a copied word")
        return Written(
            tail=(self.tail + unit)[-6:],
            last=(unit, *self.last[:2]),
            history=history,
            cursor=span[1] if span else self.cursor,
        )


def state_names(written: Written, source: Source) -> tuple[tuple[object, ...], ...]:
    """Return the names of the features of the answer so far and of what the cursor points at."""
    cursor, history = written.cursor, written.history
    one, two, three = written.last
    character = source.text[cursor : cursor + 1]
    rest = source.rest(cursor)
    return (
        (),
        (history,),
        (one,),
        (one, two),
        (one, two, three),
        (shape(written.tail),),
        (character,),
        (source.text[cursor : cursor + 2],),
        (character, one),
        (rest,),
        (rest, history),
        (outline(rest), history),
        (shape(rest), one, two),
        (not character, source.is_inside(cursor), one),
    )


STATES = len(state_names(Written(), Source("")))


def token_keys(source: Source) -> NDArray[np.uint32]:
    """Return what is known about each token as something to copy, tokens x `TOKEN_KEYS`.

    Its number from the start and the end, its shape, its neighbours, which one of its outline it is
    from the start and the end, its number in inputs of the same signature, and itself.
    """
    solid = [token for token in source.tokens if not token.isspace()]
    around = ["", *(token.casefold() for token in solid), ""]
    signature, left = _signature(solid), Counter(map(outline, solid))
    seen: Counter[str] = Counter()
    found, n = [], 0
    for token in source.tokens:
        if token.isspace():
            found.append([key("space", column) for column in range(TOKEN_KEYS)])
            continue
        kind = outline(token)
        values = (
            min(n, _FAR),
            min(len(solid) - n, _FAR),
            shape(token),
            around[n],
            around[n + 2],
            (kind, seen[kind]),
            (kind, left[kind]),
            (n, signature),
            around[n + 1],
        )
        found.append([key(column, value) for column, value in enumerate(values)])
        seen[kind] += 1
        left[kind] -= 1
        n += 1
    return np.array(found, np.uint32).reshape(len(source.tokens), TOKEN_KEYS)


TOKEN_KEYS = 9
