"""The frozen base: the features of the input, of the answer so far, and of the copy sources.

Every feature has a name, and the hash of the name is its row in a table of fixed size, so no
vocabulary must be stored and every text can be read. An `EncodedInput` contains the parts that stay
the same while an answer is written, `AnswerPositions` those that change from unit to unit.
"""

from __future__ import annotations

import math
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunedmodels.engines.text.tokens import END, REACH, InputText

# Weights that were learned on one map are invalid on another, so adapters contain its version.
# Increase it whenever a result of this module or of `InputText` changes.
MAP_VERSION = "2"

# The groups of features of the input. Each group is normalised to a fixed length, for inputs of any
# size. Their squares are about the number of nats by which one step at the default rate can change
# an answer.
GROUP_LENGTHS = {"words": 4.0, "pairs": 4.9, "grams": 4.9}
# The input as a whole determines how the answer begins. Later it has less weight, combined with the
# history and by itself: a word may require the same unit at any position of the answer.
HISTORY_SHARE, PLAIN_SHARE = 0.5, 0.6
ANSWER_LENGTH = 4.0

# The rows of weights: the features of the input shifted by the history, the same features without
# a shift, and a group for each of the features of the answer. Rarity has one value per feature.
_GROUP_ROWS = 2**13
FEATURES = len(GROUP_LENGTHS) * _GROUP_ROWS
ANSWER_FEATURES = 4
_HISTORY_ROWS = 2**16
_ANSWER_START = _HISTORY_ROWS + FEATURES
ROWS = _ANSWER_START + ANSWER_FEATURES * _GROUP_ROWS
POINTERS = 2**16

SOURCE_KEYS = 7  # the number of features of a copy source
_FAR = 4  # tokens; the features do not distinguish larger distances from the cursor
_MAX_OUTLINE_WORDS = 12


def stable_hash(*parts: object) -> int:
    """Return a 32-bit hash that is the same on every machine; Python's `hash` is salted."""
    # A text from JSON may contain half of a surrogate pair, which strict UTF-8 rejects.
    return zlib.crc32("\x1f".join(map(str, parts)).encode(errors="surrogatepass"))


def outline(text: str) -> str:
    """Return the classes of characters without repetitions: `Aa` for `March`, `9` for `2021`."""
    kinds = (
        "9" if c.isdigit() else "A" if c.isupper() else "a" if c.isalpha() else c for c in text
    )
    return "".join(kind for kind, _ in groupby(kinds))[:8]


def input_rows(input_text: InputText) -> list[NDArray[np.intp]]:
    """Return the distinct rows (below `FEATURES`) of each group of features of the input."""
    words = [unicodedata.normalize("NFKC", word).casefold() for word in input_text.words]
    pairs = [f"{left} {right}" for left, right in pairwise(["", *words, ""])]
    grams = [
        f" {word} "[start : start + length]
        for word in words
        for length in (3, 4)
        for start in range(len(word) + 3 - length)
    ]
    return [
        np.unique(np.array([stable_hash(name) % _GROUP_ROWS for name in names], np.intp))
        + group * _GROUP_ROWS
        for group, names in enumerate((words, pairs, grams))
    ]


def feature_rarity(inputs: Sequence[InputText]) -> NDArray[np.float32]:
    """Return ln(1 + number of inputs / inputs with the feature) for each feature."""
    counts = np.zeros(FEATURES, np.float32)
    for input_text in inputs:
        counts[np.concatenate(input_rows(input_text))] += 1
    return np.log1p(len(inputs) / np.maximum(counts, 1)).astype(np.float32)


def normalize_groups(
    groups: Sequence[NDArray[np.intp]], rarity: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the values of the features; rarer features are larger, each group has its length."""
    weighed = [rarity[rows] for rows in groups]
    sizes = [max(1e-9, math.sqrt(np.square(values).sum())) for values in weighed]
    parts = zip(weighed, sizes, GROUP_LENGTHS.values(), strict=True)
    return np.concatenate([values * np.float32(length / size) for values, size, length in parts])


@dataclass(frozen=True, slots=True)
class AnswerState:
    """The part of the answer so far that the next unit depends on."""

    last: tuple[str, str] = (END, END)  #: the last two units, the newest first
    history: int = 0  #: a hash of all units, in which all copied words are equal
    cursor: int = 0  #: the offset in the input at which copying continues

    def append(self, unit: str, input_text: InputText) -> AnswerState:
        """Return the state after one more unit."""
        span = input_text.find_copied_span(self.cursor, unit)
        if not span or not unit.isalnum():
            history = stable_hash(self.history, unit)
        elif span[0] == self.cursor and input_text.is_inside_token(self.cursor):
            history = self.history  # further letters of the same word
        else:
            history = stable_hash(self.history, "a copied word")
        return AnswerState((unit, self.last[0]), history, span[1] if span else self.cursor)


class EncodedInput:
    """The features of an input, and a column for each unit that can be written.

    The units of the model come first. Sizes: F features of the input, N copy sources.
    """

    def __init__(
        self, input_text: InputText, rarity: NDArray[np.float32], units: Sequence[str]
    ) -> None:
        groups, sources = input_rows(input_text), input_text.copy_sources
        self._input_text: InputText | None = input_text
        self.units = units
        self._model_columns = _model_columns(tuple(units))  # shared by all inputs of a model
        self._own_columns: dict[str, int] = {}
        self.width = len(self._model_columns)  #: the number of columns
        # 32 bits: a training run keeps all of its inputs.
        self.rows = np.concatenate(groups).astype(np.int32)
        self.values = normalize_groups(groups, rarity)
        self.columns = np.array([self.column(source.unit) for source in sources], np.int32)
        self.tokens = np.array([source.token for source in sources], np.int32)
        # N x SOURCE_KEYS; the first key is later combined with the distance from the cursor.
        kinds = np.array([stable_hash("kind", s.is_whole, s.transform) for s in sources], np.uint32)
        self.keys = _token_keys(input_text)[self.tokens] ^ kinds[:, None]

    @property
    def input_text(self) -> InputText:
        """The text. Raises ValueError after `release_text`."""
        if self._input_text is None:
            raise ValueError("the text was released")
        return self._input_text

    def release_text(self) -> None:
        """Forget the text and its own units, which take most of the memory, for training."""
        self._input_text = None
        self._own_columns = {}

    @property
    def columns_by_unit(self) -> dict[str, int]:
        """The columns of all units, in their order."""
        return {**self._model_columns, **self._own_columns}

    def column(self, unit: str) -> int:
        """Return the column of a unit, and add a column for a new unit."""
        column = self._model_columns.get(unit)
        if column is None:
            column = self._own_columns.setdefault(unit, self.width)
            self.width = len(self._model_columns) + len(self._own_columns)
        return column


@lru_cache(maxsize=4)
def _model_columns(units: tuple[str, ...]) -> dict[str, int]:
    return {unit: column for column, unit in enumerate(units)}


def _token_keys(input_text: InputText) -> NDArray[np.uint32]:
    """Return the keys of each token as a copy source, tokens x `SOURCE_KEYS`.

    The keys are the outline of the token, the token itself, its neighbours, its index among tokens
    with the same outline from the start and from the end, and its index in inputs with the same
    outlines.
    """
    words = [token for token in input_text.tokens if not token.isspace()]
    folded = ["", *map(str.casefold, words), ""]
    outlines = " ".join(map(outline, words[:_MAX_OUTLINE_WORDS]))
    before, after = Counter[str](), Counter(map(outline, words))
    keys = np.zeros((len(input_text.tokens), SOURCE_KEYS), np.uint32)
    for row, token in zip(keys, input_text.tokens, strict=True):
        kind, n = outline(token), before.total()
        row[0] = stable_hash("kind", kind)
        if not token.isspace():
            indices = ((kind, before[kind]), (kind, after[kind]), (n, outlines))
            values = (folded[n + 1], folded[n], folded[n + 2], *indices)
            row[1:] = [stable_hash(column, value) for column, value in enumerate(values)]
            before[kind] += 1
            after[kind] -= 1
    return keys


class LogitInputs(NamedTuple):
    """The summands of the logits at M positions, with P copy sources."""

    rows: NDArray[np.intp]  #: rows of weights, M x (2 F + ANSWER_FEATURES), distinct per position
    values: NDArray[np.float32]  #: the value of each of these rows
    columns: NDArray[np.int32]  #: the units of the copy sources, M x P; -1 for no unit
    pointers: NDArray[np.intp]  #: M x P x 2 SOURCE_KEYS


@dataclass(frozen=True, slots=True)
class AnswerPositions:
    """M positions of an answer, at which the next unit is predicted, in little memory.

    R copy sources are characters near the cursor, which differ from position to position.
    """

    encoded: EncodedInput
    states: NDArray[np.uint32]  #: M x 2: the history, and a key of the last unit
    rows: NDArray[np.int32]  #: M x ANSWER_FEATURES: the features of the answer
    tokens: NDArray[np.intp]  #: M: the index of the first token after the cursor
    echoes: NDArray[np.intp]  #: M: the column of the unit with which the base continues
    columns: NDArray[np.int32]  #: M x R; -1 for no character
    keys: NDArray[np.uint32]  #: M x R x SOURCE_KEYS

    @classmethod
    def from_states(cls, encoded: EncodedInput, states: Sequence[AnswerState]) -> AnswerPositions:
        """Return the positions after these states."""
        input_text, count = encoded.input_text, len(states)
        # A character has up to three units: itself and its other cases.
        columns = np.full((count, 3 * REACH), -1, np.int32)
        keys = np.zeros((count, 3 * REACH, SOURCE_KEYS), np.uint32)
        for position, state in enumerate(states):
            for index, (unit, unit_keys) in enumerate(_character_keys(input_text, state.cursor)):
                columns[position, index] = encoded.column(unit)
                keys[position, index, : len(unit_keys)] = unit_keys
        rows = [
            (
                0,
                state.history,
                stable_hash(*state.last),
                stable_hash(outline(input_text.rest_of_token(state.cursor)), state.last[0]),
            )
            for state in states
        ]
        return cls(
            encoded,
            np.array([(s.history, _last_unit_key(input_text, s)) for s in states], np.uint32),
            (
                np.array(rows, np.intp) % _GROUP_ROWS
                + _ANSWER_START
                + _GROUP_ROWS * np.arange(ANSWER_FEATURES)
            ).astype(np.int32),
            np.array([input_text.token_at(s.cursor) for s in states], np.intp),
            np.array([encoded.column(input_text.rest_of_token(s.cursor)) for s in states], np.intp),
            columns,
            keys,
        )

    def logit_inputs(self) -> LogitInputs:
        """Return the features of the input combined with the state of the answer."""
        encoded, count = self.encoded, len(self.rows)
        history = self.states[:, :1]
        shifted = (encoded.rows + history) % _HISTORY_ROWS
        plain = np.broadcast_to(encoded.rows + _HISTORY_ROWS, shifted.shape)
        shares = np.where(history, (HISTORY_SHARE, PLAIN_SHARE), (1.0, 0.0)).astype(np.float32)
        inputs = (shares[:, :, None] * encoded.values).reshape(count, -1)
        answer = np.full(self.rows.shape, ANSWER_LENGTH / np.sqrt(ANSWER_FEATURES), np.float32)
        columns = np.broadcast_to(encoded.columns, (count, len(encoded.columns)))
        keys = np.repeat(encoded.keys[None], count, axis=0)
        keys[:, :, 0] ^= _DISTANCE_KEYS[np.clip(encoded.tokens - self.tokens[:, None], -_FAR, _FAR)]
        keys = np.concatenate([keys, self.keys], axis=1)
        mixed = (keys[:, :, None, :] ^ self.states[:, None, :, None]) * np.uint32(0x9E3779B1)
        return LogitInputs(
            np.concatenate([shifted, plain, self.rows], axis=1),
            np.concatenate([inputs, answer], axis=1),
            np.concatenate([columns, self.columns], axis=1),
            # The 16 bits of a key that are mixed best.
            (mixed >> np.uint32(16)).astype(np.intp).reshape(*keys.shape[:2], -1),
        )


# Keys for the distance in tokens; sources before the cursor count from the end.
_DISTANCE_KEYS = np.array(
    [stable_hash("away", n) for n in [*range(_FAR + 1), *range(-_FAR, 0)]], np.uint32
)


def _last_unit_key(input_text: InputText, state: AnswerState) -> int:
    unit = state.last[0]
    return stable_hash(
        "last", "a word" if unit.isalnum() else unit, input_text.is_inside_token(state.cursor)
    )


def _character_keys(input_text: InputText, cursor: int) -> Iterator[tuple[str, list[int]]]:
    """Yield each character near the cursor with each transform, and its keys."""
    text, is_inside = input_text.text, input_text.is_inside_token(cursor)
    for offset, unit, transform in input_text.next_characters(cursor):
        before, after = text[max(offset - 1, 0) : offset], text[offset + 1 : offset + 2]
        values = ("", unit.casefold(), before, after, text[cursor:offset])
        yield (
            unit,
            [
                stable_hash(n, value, offset - cursor, transform, is_inside)
                for n, value in enumerate(values)
            ],
        )
