"""From texts to the arrays that the model computes with.

A `Prompt` is all that stays the same while an answer to one input is written, `Moments` is what
differs from unit to unit. In training the answer is known, so its moments lie in blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunedmodels.engines.text.features import (
    HISTORY_LENGTHS,
    LAST_LENGTHS,
    LENGTHS,
    REGION,
    STATES,
    Written,
    input_rows,
    key,
    state_names,
    token_keys,
)
from tunedmodels.engines.text.source import REACH, Source
from tunedmodels.engines.text.units import END

# The tables of weights, one behind the other, `REGION` rows each: the input when the answer begins
# and when it goes on; the input combined with the history, and with the last two units; the answer.
BEGIN, GO_ON, BY_HISTORY, BY_LAST, ANSWER = range(0, 5 * REGION, REGION)
ROWS = 5 * REGION
POINTERS = 2**16

# The length of the features of the answer so far.
_ANSWER_LENGTH = 2.4

_NEAREST, _FARTHEST = -4, 4
_OFFSETS = np.array(
    [
        [key("offset", inside, offset) for offset in range(_NEAREST, _FARTHEST + 1)]
        for inside in (False, True)
    ],
    np.uint32,
)
_NOWHERE = (-1, (0,) * 6)


class Prompt:
    """An input as the model sees it; `numbers` gives each unit that it can write its column.

    Those of the model's list come first. Sizes: F features of the input, G of those that combine
    with the state, N places.
    """

    def __init__(
        self, source: Source, rarity: NDArray[np.float32], units: Mapping[str, int]
    ) -> None:
        self.source = source
        self.numbers = dict(units)
        groups = input_rows(source)
        # F rows and their values; G rows and, for each moment, all values (2 G + STATES).
        self.rows, self.values = _normalised(groups, rarity, LENGTHS)
        self.history_rows, by_history = _normalised(groups, rarity, HISTORY_LENGTHS)
        self.last_rows, by_last = _normalised(groups, rarity, LAST_LENGTHS)
        answer = np.full(STATES, _ANSWER_LENGTH / math.sqrt(STATES), np.float32)
        self.state_values = np.concatenate([by_history, by_last, answer])
        # N columns, tokens and kinds; N x TOKEN_KEYS.
        self.place_columns = np.array([self.column(p.unit) for p in source.places], np.intp)
        self.place_tokens = np.array([p.token for p in source.places], np.intp)
        kinds = {(w, n): key("kind", w, n) for w, n in {(p.is_whole, p.way) for p in source.places}}
        self.place_kinds = np.array([kinds[p.is_whole, p.way] for p in source.places], np.uint32)
        self.place_keys = token_keys(source)[self.place_tokens] ^ self.place_kinds[:, None]

    def column(self, unit: str) -> int:
        """Return the number of a unit, giving it one if it had none."""
        return self.numbers.setdefault(unit, len(self.numbers))


@dataclass(frozen=True, slots=True)
class Moments:
    """M moments of an answer, at each of which the next unit is to be found."""

    begins: NDArray[np.bool_]  # M: nothing is written yet
    rows: NDArray[np.intp]  # M x STATES: the features of the answer
    shifts: NDArray[np.intp]  # M x 2: where history and last units move the input's rows to
    states: NDArray[np.uint32]  # M x 3: nothing, history and last unit, to mix with places
    cursors: NDArray[np.intp]  # M x 2: is it inside a token, and which token comes next
    echoes: NDArray[np.intp]  # M: the column of what the base would go on with
    near_columns: NDArray[np.intp]  # M x R: the characters at the cursor; -1 where there is none
    near_rows: NDArray[np.intp]  # M x R x 6: their pointers

    @classmethod
    def of(cls, prompt: Prompt, answers: Sequence[Written]) -> Moments:
        """Return the moments at which these answers go on."""
        near = [_near(prompt, written) for written in answers]
        source = prompt.source
        inside = [source.is_inside(written.cursor) for written in answers]
        return cls(
            begins=np.array([not written.history for written in answers]),
            rows=np.array([_answer_rows(source, written) for written in answers], np.intp),
            shifts=np.array(
                [[key(w.history) % REGION, key(*w.last[:2]) % REGION] for w in answers], np.intp
            ),
            states=np.array([_place_states(source, written) for written in answers], np.uint32),
            cursors=np.array(
                [(i, source.token_at(w.cursor)) for i, w in zip(inside, answers, strict=True)],
                np.intp,
            ),
            echoes=np.array([prompt.column(_echo(source, w)) for w in answers], np.intp),
            near_columns=np.array([[column for column, _ in row] for row in near], np.intp),
            near_rows=_fold(np.array([[rows for _, rows in row] for row in near], np.uint32)),
        )

    def weight_rows(self, prompt: Prompt) -> NDArray[np.intp]:
        """Return the rows of weights that go with `prompt.state_values`, M x (2 G + STATES).

        All rows of one moment differ: a shift within a table keeps different rows different.
        """
        by_history = (prompt.history_rows + self.shifts[:, :1]) % REGION + BY_HISTORY
        by_last = (prompt.last_rows + self.shifts[:, 1:]) % REGION + BY_LAST
        return np.concatenate([by_history, by_last, self.rows], axis=1)

    def pointer_rows(self, prompt: Prompt) -> NDArray[np.intp]:
        """Return the pointers of every place, M x N x (2 TOKEN_KEYS + 3)."""
        inside, following = self.cursors[:, 0, None], self.cursors[:, 1, None]
        offsets = np.clip(prompt.place_tokens - following, _NEAREST, _FARTHEST) - _NEAREST
        moved = _OFFSETS[inside, offsets] ^ prompt.place_kinds
        states = self.states[:, None, :]
        return _fold(
            np.concatenate(
                [
                    prompt.place_keys ^ states[:, :, 1:2],
                    prompt.place_keys ^ states[:, :, 2:3],
                    moved[:, :, None] ^ states,
                ],
                axis=2,
            )
        )


def _normalised(
    groups: Mapping[str, NDArray[np.intp]],
    rarity: NDArray[np.float32],
    lengths: Mapping[str, float],
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Weigh each feature by its rarity, each group to its length; join those that share a row."""
    rows, values = [], []
    for group, length in lengths.items():
        weighed = rarity[groups[group]]
        rows.append(groups[group])
        values.append(weighed * (length / max(1e-9, math.sqrt(np.square(weighed).sum()))))
    distinct, where = np.unique(np.concatenate(rows), return_inverse=True)
    joined = np.bincount(where, np.concatenate(values), minlength=len(distinct))
    return distinct, joined.astype(np.float32)


def _answer_rows(source: Source, written: Written) -> list[int]:
    rows: dict[int, None] = {}
    for number, name in enumerate(state_names(written, source)):
        row = key(number, *name) % REGION
        while row in rows:
            row = (row + 1) % REGION
        rows[row] = None
    return [ANSWER + row for row in rows]


def _place_states(source: Source, written: Written) -> tuple[int, int, int]:
    last = "a word" if written.last[0].isalnum() else written.last[0]
    return (
        key("anywhere"),
        key("history", written.history),
        key("last", last, source.is_inside(written.cursor)),
    )


def _echo(source: Source, written: Written) -> str:
    """Return what a copy of the input goes on with."""
    if source.is_inside(written.cursor):
        return source.text[written.cursor]
    return source.rest(written.cursor) or END


def _near(prompt: Prompt, written: Written) -> Sequence[tuple[int, tuple[int, ...]]]:
    """Return the column and six pointers of each character near the cursor, padded."""
    source, cursor = prompt.source, written.cursor
    anywhere, history, last = _place_states(source, written)
    found = []
    for skipped, way, unit in source.near(cursor):
        place = key("near", skipped, way, source.is_inside(cursor))
        at = cursor + skipped
        rows = (
            place ^ anywhere,
            place ^ history,
            place ^ last,
            key(place, "skips", source.text[cursor:at]),
            key(place, "reads", unit.casefold()),
            key(place, "before", source.text[at + 1 : at + 2]),
        )
        found.append((prompt.column(unit), rows))
    # As it is, and in the other case, or capital and small of a third kind.
    return found + [_NOWHERE] * (3 * REACH - len(found))


def _fold(keys: NDArray[np.uint32]) -> NDArray[np.intp]:
    """Return the row of pointers of each key: its best mixed 16 bits."""
    return np.asarray((keys * np.uint32(0x9E3779B1)) >> np.uint32(16), np.intp)
