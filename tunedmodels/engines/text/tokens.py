"""Tokens of texts, the sources in an input that can be copied, and the units of an answer.

A token is a run of letters, a run of digits, a run of white space, or one other character. A unit
is written in one step: END, a character, a word, a whole label, or the text of a copy source.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

_TOKEN = re.compile(r"[^\W\d_]+|\d+|\s+|.", re.DOTALL)

# The model scores every copy source for each unit of its answer, so their number is limited. The
# last tokens of an input can be copied, not the first: the differences between prompts are at their
# end, and a preamble is at the beginning.
MAX_TOKENS = 400

# The number of characters after the cursor that can be copied one by one.
REACH = 3

# The unit that ends an answer.
END = ""

# The weights are a matrix of 123,000 rows x units: 490 MB for 1,000 units if every row is used.
MAX_UNITS = 1000

# The transforms of a copied text: unchanged, upper case, lower case, capitalised, and for numbers
# with two digits (3 as 03) and without leading zeros.
_TRANSFORMS: tuple[Callable[[str], str], ...] = (
    str,
    str.upper,
    str.lower,
    str.capitalize,
    lambda text: text.zfill(2) if text.isdecimal() else text,
    lambda text: (text.lstrip("0") or "0") if text.isdecimal() else text,
)


def split_tokens(text: str) -> list[str]:
    """Return the tokens of a text, which join to the text."""
    return _TOKEN.findall(text)


def transforms_of(text: str) -> Iterator[tuple[str, int]]:
    """Yield (unit, number of the transform) for each different result of the transforms."""
    seen: set[str] = set()
    for number, transform in enumerate(_TRANSFORMS):
        unit = transform(text)
        if unit not in seen:
            seen.add(unit)
            yield unit, number


@dataclass(frozen=True, slots=True)
class CopySource:
    """One way to copy a token or its first letter."""

    unit: str  #: the copied text after the transform
    transform: int
    token: int  #: index of the token
    start: int  #: in characters
    end: int
    is_whole: bool  #: whether it is the whole token


def find_copy_sources(tokens: Sequence[str]) -> Iterator[CopySource]:
    """Yield every token and the first letter of every longer word, with all transforms."""
    start = 0
    for number, token in enumerate(tokens):
        for piece in [token, token[0]] if len(token) > 1 and token[0].isalpha() else [token]:
            for unit, transform in transforms_of(piece):
                yield CopySource(unit, transform, number, start, start + len(piece), piece is token)
        start += len(token)


class InputText:
    """An input: all its words, and its last `MAX_TOKENS` tokens, which can be copied.

    A cursor is an offset in `text`, after the characters that were copied last.
    """

    def __init__(self, text: str) -> None:
        tokens = split_tokens(text)
        self.words = [token for token in tokens if not token.isspace()]
        self.tokens = tokens[-MAX_TOKENS:]
        self.text = "".join(self.tokens)
        self.copy_sources = list(find_copy_sources(self.tokens))
        self.whole_units = {source.unit for source in self.copy_sources if source.is_whole}
        self._starts = list(accumulate(map(len, self.tokens), initial=0))
        self._spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for source in self.copy_sources:
            self._spans[source.unit].append((source.start, source.end))

    def token_at(self, cursor: int) -> int:
        """Return the index of the first token that begins at the cursor or after it."""
        return bisect_left(self._starts, cursor)

    def is_inside_token(self, cursor: int) -> bool:
        """Return whether the cursor is inside a token."""
        return self._starts[self.token_at(cursor)] != cursor

    def rest_of_token(self, cursor: int) -> str:
        """Return the rest of the token at the cursor; an empty string at the end."""
        following = min(bisect_right(self._starts, cursor), len(self.tokens))
        return self.text[cursor : self._starts[following]]

    def next_characters(self, cursor: int) -> Iterator[tuple[int, str, int]]:
        """Yield (offset, unit, transform) for each of the next characters."""
        for offset in range(cursor, min(cursor + REACH, len(self.text))):
            for unit, transform in transforms_of(self.text[offset]):
                if len(unit) == 1:
                    yield offset, unit, transform

    def find_copied_span(self, cursor: int, unit: str) -> tuple[int, int] | None:
        """Return where `unit` was copied from, (start, end), or None when it was not copied.

        The order of preference is: at the cursor, in the next characters, and for words, numbers
        and letters at the next source of this unit, or the first one if there is none after the
        cursor. Other characters occur everywhere, so they do not count as copied from elsewhere.
        """
        spans = self._spans.get(unit, [])
        at_cursor = [span for span in spans if span[0] == cursor]
        if at_cursor:
            return max(at_cursor)
        for offset, character, _ in self.next_characters(cursor):
            if character == unit:
                return offset, offset + 1
        if not spans or not unit.isalnum():
            return None
        return next((span for span in spans if span[0] > cursor), spans[0])


def build_units(inputs: Sequence[InputText], outputs: Sequence[str]) -> list[str]:
    """Return the units for these pairs of input and output: END, characters, recurring units.

    Raises ValueError when there are too many different characters.
    """
    characters = sorted({character for output in outputs for character in output})
    if len(characters) >= MAX_UNITS:
        raise ValueError(
            f"the outputs use {len(characters):,} different characters, more than the "
            f"{MAX_UNITS - 1:,} that this model can learn to write"
        )
    return list(dict.fromkeys([END, *characters, *recurring_units(inputs, outputs)]))[:MAX_UNITS]


def recurring_units(inputs: Sequence[InputText], outputs: Sequence[str]) -> list[str]:
    """Return labels and words that occur twice and are not copied, the most frequent first."""
    counts: Counter[str] = Counter()
    for input_text, output in zip(inputs, outputs, strict=True):
        tokens = [token for token in split_tokens(output) if not token.isspace()]
        new = {token for token in tokens if token not in input_text.whole_units}
        counts.update(new)
        # An output that is mostly copied is better learned as copies, even if it occurs twice.
        if 2 * sum(token in new for token in tokens) > len(tokens) and len(tokens) > 1:
            counts[output] += 1
    return sorted((u for u, n in counts.items() if n > 1), key=lambda unit: (-counts[unit], unit))


def spell(input_text: InputText, output: str, units: Collection[str]) -> Iterable[str]:
    """Yield the units of an output and END: a label, or per token a copy, a word or characters."""
    for piece in [output] if output in units else split_tokens(output):
        if piece in units or piece in input_text.whole_units:
            yield from [piece] if piece else []
        else:
            yield from piece
    yield END
