"""Texts as pieces: what can be copied from an input, and the units that an answer is spelled in.

A token is a run of letters, a run of digits, a run of white space, or one other sign. A unit is
what is written at once: END, a character, a word, a whole label, or anything that a place of the
input reads.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

_TOKEN = re.compile(r"[^\W\d_]+|\d+|\s+|.", re.DOTALL)

# For each unit of its answer the model looks at every place. The last tokens can be copied rather
# than the first: what differs between prompts stands at their end, a preamble at the beginning.
MOST_TOKENS = 400

# How many characters from the cursor on can be read one by one.
REACH = 3

# The unit that ends an answer.
END = ""

# The weights are a matrix of 123,000 rows by the units: 1,000 are 490 MB if every row is touched.
MOST_UNITS = 1000

# The ways to write what is read: as it is, in capitals, small, capitalised, and for numbers with
# two digits (3 as 03) and without leading zeros.
_WAYS: tuple[Callable[[str], str], ...] = (
    str,
    str.upper,
    str.lower,
    str.capitalize,
    lambda text: text.zfill(2) if text.isdecimal() else text,
    lambda text: (text.lstrip("0") or "0") if text.isdecimal() else text,
)


def tokens_of(text: str) -> list[str]:
    """Split a text; the tokens join to it again."""
    return _TOKEN.findall(text)


def ways_of(text: str) -> Iterator[tuple[str, int]]:
    """Yield (what is written, number of the way), without what an earlier way has written."""
    seen: set[str] = set()
    for number, way in enumerate(_WAYS):
        unit = way(text)
        if unit not in seen:
            seen.add(unit)
            yield unit, number


@dataclass(frozen=True, slots=True)
class Place:
    """One way to read token number `token`, or its first letter: characters `start` to `end`."""

    unit: str
    way: int
    token: int
    start: int
    end: int
    is_whole: bool


def places_of(tokens: Sequence[str]) -> Iterator[Place]:
    """Yield every token as a whole and the first letter of every longer word, in all ways."""
    start = 0
    for number, token in enumerate(tokens):
        for piece in [token, token[0]] if len(token) > 1 and token[0].isalpha() else [token]:
            for unit, way in ways_of(piece):
                yield Place(unit, way, number, start, start + len(piece), piece is token)
        start += len(token)


class Source:
    """An input. `words` are all of it; only the last `MOST_TOKENS` tokens can be copied.

    A cursor is a number of characters of `text`: those that a copy has read.
    """

    def __init__(self, text: str) -> None:
        tokens = tokens_of(text)
        self.words = [token for token in tokens if not token.isspace()]
        self.tokens = tokens[-MOST_TOKENS:]
        self.text = "".join(self.tokens)
        self.places = list(places_of(self.tokens))
        self.whole = {place.unit for place in self.places if place.is_whole}
        self._starts = list(accumulate(map(len, self.tokens), initial=0))
        self._spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for place in self.places:
            self._spans[place.unit].append((place.start, place.end))

    def token_at(self, cursor: int) -> int:
        """Return the number of the first token that begins at the cursor or behind it."""
        return bisect_left(self._starts, cursor)

    def is_inside(self, cursor: int) -> bool:
        """Tell whether a part of a token has been read, and not all of it."""
        return self._starts[self.token_at(cursor)] != cursor

    def rest(self, cursor: int) -> str:
        """Return what is left of the token at the cursor; nothing at the end."""
        following = min(bisect_right(self._starts, cursor), len(self.tokens))
        return self.text[cursor : self._starts[following]]

    def near(self, cursor: int) -> Iterator[tuple[int, str, int]]:
        """Yield (position, unit, way) for the next characters, one by one."""
        for position in range(cursor, min(cursor + REACH, len(self.text))):
            for unit, way in ways_of(self.text[position]):
                if len(unit) == 1:
                    yield position, unit, way

    def read(self, cursor: int, unit: str) -> tuple[int, int] | None:
        """Return where `unit` was copied from, (start, end), or None when it was not.

        At the cursor, if it can be; else close behind it; else, for words, numbers and letters, the
        next place that reads it, and after the last one the first: signs and spaces are everywhere.
        """
        spans = self._spans.get(unit, [])
        here = [span for span in spans if span[0] == cursor]
        near = [(at, at + 1) for at, character, _ in self.near(cursor) if character == unit]
        if here or near:
            return max(here) if here else near[0]
        if not spans or not unit.isalnum():
            return None
        return next((span for span in spans if span[0] > cursor), spans[0])


def learned_units(sources: Sequence[Source], outputs: Sequence[str]) -> list[str]:
    """Return the units for these pairs of input and output: END, characters, then what recurs.

    Raises ValueError, in words, when the characters alone are too many.
    """
    characters = sorted({character for output in outputs for character in output})
    if len(characters) >= MOST_UNITS:
        raise ValueError(
            f"the outputs use {len(characters):,} different characters, more than the "
            f"{MOST_UNITS - 1:,} that this model can learn to write"
        )
    return list(dict.fromkeys([END, *characters, *recurring(sources, outputs)]))[:MOST_UNITS]


def recurring(sources: Sequence[Source], outputs: Sequence[str]) -> list[str]:
    """Return labels and words that come up twice and are not copied, the most frequent first."""
    found: Counter[str] = Counter()
    for source, output in zip(sources, outputs, strict=True):
        tokens = [token for token in tokens_of(output) if not token.isspace()]
        new = {token for token in tokens if token not in source.whole}
        found.update(new)
        # What is mostly copied is better learned as that, even if it comes up twice.
        if 2 * sum(token in new for token in tokens) > len(tokens) and len(tokens) > 1:
            found[output] += 1
    return sorted((u for u, n in found.items() if n > 1), key=lambda unit: (-found[unit], unit))


def spelled(source: Source, output: str, units: Collection[str]) -> Iterable[str]:
    """Yield the units of an output, END last: the label, or per token a copy, a word or letters."""
    for piece in [output] if output in units else tokens_of(output):
        if piece in units or piece in source.whole:
            yield from [piece] if piece else []
        else:
            yield from piece
    yield END
