"""The log-linear model: scores of the next unit, and one step down their gradient."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunedmodels.engines.engine import STEPS_NOTE, Adapter
from tunedmodels.engines.text.features import MAP_VERSION, REGION
from tunedmodels.engines.text.prompts import BEGIN, GO_ON, POINTERS, ROWS, Moments, Prompt
from tunedmodels.engines.text.source import Source
from tunedmodels.engines.text.units import END, MOST_UNITS

# How much likelier the base finds the next piece of the input than anything else, in nats.
ECHO = 4.0

# The value of each feature of a place.
SCALE = 1.5

# The input as a whole decides how the answer begins; later, what is written decides with it.
_SHARES = ((BEGIN, 1.0), (GO_ON, 0.5))


@dataclass(frozen=True, slots=True)
class Scores:
    """Logits of M moments x T units, and the rows that they came from, for the way back."""

    logits: NDArray[np.float64]
    weight_rows: NDArray[np.intp]
    pointer_rows: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class TextModel:
    """U units with their columns, rarity (REGION), weights and pointers (POINTERS).

    `longest` is the number of characters of the longest output that it learned from.

    Row r of the tables lies in row `slots[r]` of `weights`: its own while learning; in a model that
    was read back, all that was never touched is one row of zeros at the end.
    """

    units: Mapping[str, int]
    rarity: NDArray[np.float32]
    slots: NDArray[np.intp]
    weights: NDArray[np.float32]
    pointers: NDArray[np.float32]
    longest: int

    @classmethod
    def untuned(cls, rarity: NDArray[np.float32] | None = None) -> TextModel:
        """Return the base: it has learned nothing, and echoes."""
        return cls(
            {END: 0},
            np.ones(REGION, np.float32) if rarity is None else rarity,
            np.zeros(ROWS, np.intp),
            np.zeros((1, 1), np.float32),
            np.zeros(POINTERS, np.float32),
            longest=0,
        )

    @classmethod
    def of(cls, adapter: Adapter, base_model: str) -> TextModel:
        """Read an adapter, without arrays the base itself. Raises ValueError in words."""
        if adapter.base_model != base_model:
            raise ValueError(
                f"these parameters were learned on {adapter.base_model} and mean nothing on "
                f"{base_model}"
            )
        if not adapter.arrays:
            return cls.untuned()
        if adapter.notes.get("features") != MAP_VERSION:
            raise ValueError(
                "these parameters were learned by another version of the feature map; "
                "train the model again"
            )
        units = json.loads(adapter.notes["units"])
        touched = adapter.arrays["weight_rows"]
        slots = np.full(ROWS, len(touched), np.intp)
        slots[touched] = np.arange(len(touched))
        pointers = np.zeros(POINTERS, np.float32)
        pointers[adapter.arrays["pointer_rows"]] = adapter.arrays["pointers"]
        weights = adapter.arrays["weights"]
        longest = int(adapter.notes["longest"])
        return cls(_numbered(units), adapter.arrays["rarity"], slots, weights, pointers, longest)

    def adapter(self, base_model: str, steps: int) -> Adapter:
        """Return a copy of what was learned: the rows that are not zero, and one that is."""
        weight_rows = np.flatnonzero(self.weights.any(axis=1)).astype(np.int32)
        weights = np.zeros((len(weight_rows) + 1, len(self.units)), np.float32)
        weights[:-1] = self.weights[weight_rows]
        pointer_rows = np.flatnonzero(self.pointers).astype(np.int32)
        return Adapter(
            base_model=base_model,
            arrays={
                "rarity": self.rarity,
                "weight_rows": weight_rows,
                "weights": weights,
                "pointer_rows": pointer_rows,
                "pointers": self.pointers[pointer_rows],
            },
            notes={
                "units": json.dumps(list(self.units)),
                "longest": str(self.longest),
                "features": MAP_VERSION,
                STEPS_NOTE: str(steps),
            },
        )

    def joined(self, units: Iterable[str], longest: int) -> TextModel:
        """Return a copy that can learn and also knows `units`, which begin with zero weights.

        Raises ValueError when they become too many.
        """
        wider = list(dict.fromkeys([*self.units, *units]))
        if len(wider) > MOST_UNITS:
            raise ValueError(
                f"together with what its parent knows, this model would have {len(wider):,} units "
                f"to write with, and {MOST_UNITS:,} are the most; tune the base model instead"
            )
        # Pages of zeros that nobody touches take no memory.
        weights = np.zeros((ROWS, len(wider)), np.float32)
        learned = np.flatnonzero(self.slots < len(self.weights) - 1)
        weights[learned, : len(self.units)] = self.weights[self.slots[learned]]
        own = np.arange(ROWS)
        return TextModel(
            _numbered(wider),
            self.rarity,
            own,
            weights,
            self.pointers.copy(),
            max(longest, self.longest),
        )

    def prompt(self, source: Source) -> Prompt:
        """Return an input as this model sees it."""
        return Prompt(source, self.rarity, self.units)

    def scores(self, prompt: Prompt, moments: Moments) -> Scores:
        """Return the logit of every unit that the prompt has a column for, at each moment."""
        weight_rows = self.slots[moments.weight_rows(prompt)]
        pointer_rows = moments.pointer_rows(prompt)
        # One more column, for places that read nothing. Not `@` anywhere: a BLAS may add in another
        # order on another machine or thread count.
        logits = np.zeros((len(moments.begins), len(prompt.numbers) + 1))
        learned = logits[:, : len(self.units)]
        learned += np.einsum("k,mku->mu", prompt.state_values, self.weights[weight_rows])
        for (table, share), chosen in zip(_SHARES, (moments.begins, ~moments.begins), strict=True):
            if chosen.any():
                weights = self.weights[self.slots[prompt.rows + table]]
                learned[chosen] += share * np.einsum("k,ku->u", prompt.values, weights)
        _add(logits, prompt.place_columns, SCALE * self.pointers[pointer_rows].sum(axis=2))
        _add(logits, moments.near_columns, SCALE * self.pointers[moments.near_rows].sum(axis=2))
        logits[np.arange(len(logits)), moments.echoes] += ECHO
        return Scores(logits[:, :-1], weight_rows, pointer_rows)

    def descend(
        self, prompt: Prompt, moments: Moments, scores: Scores, errors: NDArray[np.float64]
    ) -> None:
        """Subtract the gradient of a loss with the derivatives `errors` by the logits, M x T."""
        learned = errors[:, : len(self.units)].astype(np.float32)
        for rows, error in zip(scores.weight_rows, learned, strict=True):
            self.weights[rows] -= np.outer(prompt.state_values, error)
        for (table, share), chosen in zip(_SHARES, (moments.begins, ~moments.begins), strict=True):
            if chosen.any():
                error = share * learned[chosen].sum(axis=0)
                self.weights[prompt.rows + table] -= np.outer(prompt.values, error)
        errors = np.pad(errors, ((0, 0), (0, 1)))
        places = errors[:, prompt.place_columns]
        near = np.take_along_axis(errors, moments.near_columns, axis=1)
        for rows, error in ((scores.pointer_rows, places), (moments.near_rows, near)):
            each = np.broadcast_to((SCALE * error).astype(np.float32)[:, :, None], rows.shape)
            np.subtract.at(self.pointers, rows.ravel(), each.ravel())


def _numbered(units: Sequence[str]) -> dict[str, int]:
    return {unit: column for column, unit in enumerate(units)}


def _add(
    logits: NDArray[np.float64], columns: NDArray[np.intp], values: NDArray[np.float32]
) -> None:
    """Add M x N `values` to the columns (N or M x N) of M logits; several may be the same one."""
    count, width = logits.shape
    flat = columns % width + np.arange(count)[:, None] * width
    added = np.bincount(flat.ravel(), values.ravel(), minlength=logits.size)
    logits += added.reshape(logits.shape)
