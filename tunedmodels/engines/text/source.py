"""The input as something to copy from: its tokens, the places that can be read, and the cursor.

A token is a run of letters, a run of digits, a run of white space, or one other sign. The cursor is
the character behind the last one that was copied; an answer that goes on copying reads from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

_TOKEN = re.compile(r"[^\W\d_]+|\d+|\s+|.", re.DOTALL)

# For each unit of its answer the model looks at every place. The last tokens can be copied rather
# than the first: what differs between prompts stands at their end, a preamble at the beginning.
MOST_TOKENS = 400

# How many characters from the cursor on can be read one by one.
REACH = 3


def tokens_of(text: str) -> list[str]:
    """Split a text; the tokens join to it again."""
    return _TOKEN.findall(text)


# The ways to write what is read: as it is, in capitals, small, capitalised, and for numbers with
# two digits (3 as 03) and without leading zeros.
_WRITINGS: tuple[Callable[[str], str], ...] = (
    str,
    str.upper,
    str.lower,
    str.capitalize,
    lambda text: text.zfill(2) if text.isdecimal() else text,
    lambda text: (text.lstrip("0") or "0") if text.isdecimal() else text,
)


def writings_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number of the way, what is written), leaving out what an earlier way has written."""
    seen: set[str] = set()
    for way, write in enumerate(_WRITINGS):
        unit = write(text)
        if unit not in seen:
            seen.add(unit)
            yield way, unit


@dataclass(frozen=True, slots=True)
class Place:
    """One way to read one piece of the input: characters `start` to `end` of token `token`."""

    unit: str
    start: int
    end: int
    token: int
    is_whole: bool  # else the first letter of a longer word
    way: int


class Source:
    """An input text, of which the last `MOST_TOKENS` tokens can be copied."""

    def __init__(self, text: str) -> None:
        self.all_tokens = tokens_of(text)
        self.tokens = self.all_tokens[-MOST_TOKENS:]
        self.text = "".join(self.tokens)
        # Where each token begins, and after them the end of the text.
        self.starts = list(accumulate(map(len, self.tokens), initial=0))

    @cached_property
    def places(self) -> list[Place]:
        """Every token as a whole and the first letter of every longer word, each in all ways."""
        found = []
        for number, (token, start) in enumerate(zip(self.tokens, self.starts, strict=False)):
            end = start + len(token)
            ends = [end] if len(token) == 1 or not token[0].isalpha() else [end, start + 1]
            for stop in ends:
                for way, unit in writings_of(self.text[start:stop]):
                    found.append(Place(unit, start, stop, number, stop == end, way))
        return found

    @cached_property
    def whole(self) -> frozenset[str]:
        """What can be read as a whole token."""
        return frozenset(place.unit for place in self.places if place.is_whole)

    @cached_property
    def _spans(self) -> dict[str, list[tuple[int, int]]]:
        spans: dict[str, list[tuple[int, int]]] = {}
        for place in self.places:
            spans.setdefault(place.unit, []).append((place.start, place.end))
        return spans

    @cached_property
    def _next_token(self) -> list[int]:
        """For each character and the end, the first token that begins there or later."""
        found = [0]
        for number, token in enumerate(self.tokens):
            found += [number + 1] * len(token)
        return found

    def token_at(self, cursor: int) -> int:
        """Return the number of the first token from the cursor on, or how many there are."""
        return self._next_token[cursor]

    def is_inside(self, cursor: int) -> bool:
        """Tell whether a part of a token has been read, and not all of it."""
        return self.starts[self.token_at(cursor)] != cursor

    def rest(self, cursor: int) -> str:
        """Return what is left of the token at the cursor; nothing at the end."""
        number = self.token_at(cursor)
        if self.is_inside(cursor):
            return self.text[cursor : self.starts[number]]
        return self.tokens[number] if number < len(self.tokens) else ""

    def near(self, cursor: int) -> Iterator[tuple[int, int, str]]:
        """Yield (characters skipped, way, unit) for the next characters, one by one."""
        for skipped, character in enumerate(self.text[cursor : cursor + REACH]):
            for way, unit in writings_of(character):
                if len(unit) == 1:
                    yield skipped, way, unit

    def read(self, cursor: int, unit: str) -> tuple[int, int] | None:
        """Return where `unit` was copied from, (start, end), or None when it was not.

        At the cursor, if it can be; else close behind it; else, for words, numbers and letters, the
        next place that reads it, and after the last one the first: signs and spaces are everywhere.
        """
        spans = self._spans.get(unit, [])
        here = [span for span in spans if span[0] == cursor]
        if here:
            return max(here)
        for skipped, _, character in self.near(cursor):
            if character == unit:
                return cursor + skipped, cursor + skipped + 1
        if not spans or not unit.isalnum():
            return None
        return next((span for span in spans if span[0] > cursor), spans[0])
