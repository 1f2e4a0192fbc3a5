"""The frozen base: what is looked at in the input, in the answer so far, and in a place to copy.

Every feature has a name; a hash of the name is its row in a table of fixed size, so there is no
vocabulary to store and no text that cannot be read. A `Prompt` is all that stays the same while an
answer to one input is written, `Moments` is what differs from unit to unit.
"""

from __future__ import annotations

import math
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunedmodels.engines.text.tokens import END, REACH, Source

# Weights learned on one map mean nothing on another, so adapters name theirs. Whoever changes what
# this room returns, or how a source is read, must count this up.
MAP_VERSION = "2"

# The groups of features of the input, each normalised to a length of its own whatever the size of
# the input. Their squares are about how many nats one step at the default rate can move an answer.
LENGTHS = {"words": 4.0, "pairs": 4.9, "grams": 4.9}
# The input as a whole decides how the answer begins. Later it counts less, together with what is
# written and by itself: a word may ask for the same unit wherever in the answer it comes.
TOGETHER, ALONE = 0.5, 0.6
ANSWER_LENGTH = 4.0

# The rows of weights: the features of the input moved by the history, the same as they are, and a
# part for each of the `ANSWERS` features of the answer. Rarity is that of the features.
_PART = 2**13
FEATURES = len(LENGTHS) * _PART
ANSWERS = 4
_MOVED = 2**16
_ANSWER = _MOVED + FEATURES
ROWS = _ANSWER + ANSWERS * _PART
POINTERS = 2**16

# How many things are known about a place, and how many tokens away it is just "far".
KNOWN = 7
_FAR = 4
_MOST_ALIKE = 12


def key(*parts: object) -> int:
    """Return the 32 bits of a name: the same on every machine, since Python's `hash` is salted."""
    # A text from JSON may hold half a surrogate pair, which strict UTF-8 would refuse.
    return zlib.crc32("\x1f".join(map(str, parts)).encode(errors="surrogatepass"))


def outline(text: str) -> str:
    """Return the kinds of characters without repetitions: `Aa` for `March`, `9` for `2021`."""
    kinds = (
        "9" if c.isdigit() else "A" if c.isupper() else "a" if c.isalpha() else c for c in text
    )
    return "".join(kind for kind, _ in groupby(kinds))[:8]


def input_rows(source: Source) -> list[NDArray[np.intp]]:
    """Return the distinct rows (below `FEATURES`) of each group of features of the input."""
    words = [unicodedata.normalize("NFKC", word).casefold() for word in source.words]
    pairs = [f"{left} {right}" for left, right in pairwise(["", *words, ""])]
    grams = [
        f" {word} "[start : start + length]
        for word in words
        for length in (3, 4)
        for start in range(len(word) + 3 - length)
    ]
    return [
        np.unique(np.array([key(name) % _PART for name in names], np.intp)) + group * _PART
        for group, names in enumerate((words, pairs, grams))
    ]


def rarity_of(inputs: Sequence[Source]) -> NDArray[np.float32]:
    """Return ln(1 + inputs / inputs with it) for each feature."""
    inputs_with = np.zeros(FEATURES, np.float32)
    for source in inputs:
        inputs_with[np.concatenate(input_rows(source))] += 1
    return np.log1p(len(inputs) / np.maximum(inputs_with, 1)).astype(np.float32)


def normalised(
    groups: Sequence[NDArray[np.intp]], rarity: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the values of the features: rare ones are larger, each group has its length."""
    weighed = [rarity[rows] for rows in groups]
    sizes = [max(1e-9, math.sqrt(np.square(values).sum())) for values in weighed]
    parts = zip(weighed, sizes, LENGTHS.values(), strict=True)
    return np.concatenate([values * np.float32(length / size) for values, size, length in parts])


@dataclass(frozen=True, slots=True)
class Written:
    """The answer so far, as far as the next unit depends on it."""

    last: tuple[str, str] = (END, END)  # its last units, the newest first
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
        return Written((unit, self.last[0]), history, span[1] if span else self.cursor)


class Prompt:
    """An input as the model sees it; `numbers` gives each unit that it can write its column.

    Those of the model's list come first. Sizes: F features of the input, N places.
    """

    def __init__(self, source: Source, rarity: NDArray[np.float32], units: Sequence[str]) -> None:
        groups, places = input_rows(source), source.places
        self.source = source
        self.known = units
        self.numbers = {unit: column for column, unit in enumerate(units)}
        self.rows = np.concatenate(groups)
        self.values = normalised(groups, rarity)
        self.columns = np.array([self.column(place.unit) for place in places], np.intp)
        self.tokens = np.array([place.token for place in places], np.intp)
        # N x KNOWN; the first is to be combined with the distance from the cursor.
        kinds = np.array([key("kind", p.is_whole, p.way) for p in places], np.uint32)
        self.keys = _token_keys(source)[self.tokens] ^ kinds[:, None]

    def column(self, unit: str) -> int:
        """Return the number of a unit, giving it one if it had none."""
        return self.numbers.setdefault(unit, len(self.numbers))


def _token_keys(source: Source) -> NDArray[np.uint32]:
    """Return what is known about each token as something to copy, tokens x `KNOWN`.

    Its outline, itself, its neighbours, which one of its outline it is from the start and from the
    end, and its number in inputs that are written alike.
    """
    words = [token for token in source.tokens if not token.isspace()]
    around = ["", *map(str.casefold, words), ""]
    alike = " ".join(map(outline, words[:_MOST_ALIKE]))
    seen, left = Counter[str](), Counter(map(outline, words))
    keys = np.zeros((len(source.tokens), KNOWN), np.uint32)
    for row, token in zip(keys, source.tokens, strict=True):
        kind, n = outline(token), seen.total()
        row[0] = key("kind", kind)
        if not token.isspace():
            which = ((kind, seen[kind]), (kind, left[kind]), (n, alike))
            known = (around[n + 1], around[n], around[n + 2], *which)
            row[1:] = [key(column, value) for column, value in enumerate(known)]
            seen[kind] += 1
            left[kind] -= 1
    return keys


class Sight(NamedTuple):
    """What the logits of M moments are summed from. P places read the units of the columns."""

    rows: NDArray[np.intp]  # M x (2 F + ANSWERS), of the weights; all of a moment differ
    values: NDArray[np.float32]  # that go with them
    columns: NDArray[np.intp]  # M x P; -1 reads nothing
    pointers: NDArray[np.intp]  # M x P x 2 KNOWN


@dataclass(frozen=True, slots=True)
class Moments:
    """M moments of an answer, at each of which the next unit is to be found, in little memory.

    R places are the characters near the cursor, which are others at each moment.
    """

    prompt: Prompt
    states: NDArray[np.uint32]  # M x 2: the history, and what the last unit was like
    rows: NDArray[np.intp]  # M x ANSWERS: the features of the answer
    tokens: NDArray[np.intp]  # M: the first one behind the cursor
    echoes: NDArray[np.intp]  # M: the column of what the base would go on with
    columns: NDArray[np.intp]  # M x R; -1 where there is no character
    keys: NDArray[np.uint32]  # M x R x KNOWN

    @classmethod
    def of(cls, prompt: Prompt, answers: Sequence[Written]) -> Moments:
        """Return the moments at which these answers go on."""
        source, count = prompt.source, len(answers)
        # A character is read as it is, in the other case, or as capital and small of a third kind.
        columns = np.full((count, 3 * REACH), -1, np.intp)
        keys = np.zeros((count, 3 * REACH, KNOWN), np.uint32)
        for moment, written in enumerate(answers):
            for place, (unit, known) in enumerate(_near(source, written.cursor)):
                columns[moment, place] = prompt.column(unit)
                keys[moment, place, : len(known)] = known
        rows = [
            (0, w.history, key(*w.last), key(outline(source.rest(w.cursor)), w.last[0]))
            for w in answers
        ]
        return cls(
            prompt,
            np.array([(w.history, _last(source, w)) for w in answers], np.uint32),
            np.array(rows, np.intp) % _PART + _ANSWER + _PART * np.arange(ANSWERS),
            np.array([source.token_at(written.cursor) for written in answers], np.intp),
            np.array([prompt.column(source.rest(w.cursor)) for w in answers], np.intp),
            columns,
            keys,
        )

    def seen(self) -> Sight:
        """Combine what is known of the input with the answer."""
        prompt, count = self.prompt, len(self.rows)
        history = self.states[:, :1]
        moved = (prompt.rows + history) % _MOVED
        alone = np.broadcast_to(prompt.rows + _MOVED, moved.shape)
        shares = np.where(history, (TOGETHER, ALONE), (1.0, 0.0)).astype(np.float32)
        inputs = (shares[:, :, None] * prompt.values).reshape(count, -1)
        answer = np.full(self.rows.shape, ANSWER_LENGTH / np.sqrt(ANSWERS), np.float32)
        columns = np.broadcast_to(prompt.columns, (count, len(prompt.columns)))
        keys = np.repeat(prompt.keys[None], count, axis=0)
        keys[:, :, 0] ^= _AWAY[np.clip(prompt.tokens - self.tokens[:, None], -_FAR, _FAR)]
        keys = np.concatenate([keys, self.keys], axis=1)
        mixed = (keys[:, :, None, :] ^ self.states[:, None, :, None]) * np.uint32(0x9E3779B1)
        return Sight(
            np.concatenate([moved, alone, self.rows], axis=1),
            np.concatenate([inputs, answer], axis=1),
            np.concatenate([columns, self.columns], axis=1),
            # The best mixed 16 bits of a key.
            (mixed >> np.uint32(16)).astype(np.intp).reshape(*keys.shape[:2], -1),
        )


# How many tokens away a place is; those before the cursor count from the end.
_AWAY = np.array([key("away", n) for n in [*range(_FAR + 1), *range(-_FAR, 0)]], np.uint32)


def _last(source: Source, written: Written) -> int:
    unit = written.last[0]
    return key("last", "a word" if unit.isalnum() else unit, source.is_inside(written.cursor))


def _near(source: Source, cursor: int) -> Iterator[tuple[str, list[int]]]:
    """Yield each character near the cursor, in each way, and what is known about it."""
    text, inside = source.text, source.is_inside(cursor)
    for at, unit, way in source.near(cursor):
        before, after = text[max(at - 1, 0) : at], text[at + 1 : at + 2]
        known = ("", unit.casefold(), before, after, text[cursor:at])
        yield unit, [key(n, value, at - cursor, way, inside) for n, value in enumerate(known)]
