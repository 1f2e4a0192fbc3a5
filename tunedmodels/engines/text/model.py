"""The log-linear model: scores of the next unit, steps down their gradient, and writing by them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from tunedmodels.engines.engine import MAP_NOTE, STEPS_NOTE, Adapter, Sampling, TuningRequest
from tunedmodels.engines.sampling import choose, pieces
from tunedmodels.engines.sgd import Descent, check_base
from tunedmodels.engines.text.features import (
    FEATURES,
    MAP_VERSION,
    POINTERS,
    ROWS,
    Moments,
    Prompt,
    Sight,
    Written,
    rarity_of,
)
from tunedmodels.engines.text.tokens import END, MOST_UNITS, Source, learned_units, spelled

# How much likelier the base finds the next piece of the input than anything else, in nats.
ECHO = 4.0

# The value of each feature of a place.
SCALE = 1.5

# The API's default rate 0.001 is a step of 0.1: from 0.4 to 4 times as much learns about as well, a
# hundredth still falls after five epochs, and a hundred times jumps above the untuned loss.
RATE_SCALE = 100.0

# Moments that are computed at once: enough for most answers, and little memory for long inputs.
_BLOCK = 16


@dataclass(frozen=True, slots=True)
class TextModel:
    """U units in the order of the columns, rarity (FEATURES), weights and pointers (POINTERS).

    Row r of the table of weights lies in row `slots[r]` of `weights`: its own while learning; in a
    model that was read back, all that was never touched is one row of zeros at the end. `longest`
    is the number of characters of the longest output that it learned from.
    """

    units: tuple[str, ...]
    rarity: NDArray[np.float32]
    slots: NDArray[np.intp]
    weights: NDArray[np.float32]
    pointers: NDArray[np.float32]
    longest: int

    @classmethod
    def untuned(cls, rarity: NDArray[np.float32]) -> TextModel:
        """Return the base, which has learned nothing, and echoes."""
        slots, weights = np.zeros(ROWS, np.intp), np.zeros((1, 1), np.float32)
        return cls((END,), rarity, slots, weights, np.zeros(POINTERS, np.float32), longest=0)

    @classmethod
    def of(cls, adapter: Adapter, base_model: str) -> TextModel:
        """Read an adapter, without arrays the base itself. Raises ValueError in words."""
        check_base(adapter, base_model, MAP_VERSION)
        if not adapter.arrays:
            return cls.untuned(np.ones(FEATURES, np.float32))
        arrays, notes = adapter.arrays, adapter.notes
        touched = arrays["rows"]
        slots = np.full(ROWS, len(touched), np.intp)
        slots[touched] = np.arange(len(touched))
        units, longest = tuple(json.loads(notes["units"])), int(notes["longest"])
        return cls(units, arrays["rarity"], slots, arrays["weights"], arrays["pointers"], longest)

    def adapter(self, base_model: str, steps: int) -> Adapter:
        """Return a copy of what was learned: the rows that are not zero, and one that is."""
        touched = np.flatnonzero(self.weights.any(axis=1)).astype(np.int32)
        weights = np.zeros((len(touched) + 1, len(self.units)), np.float32)
        weights[:-1] = self.weights[touched]
        pointers = self.pointers.copy()
        return Adapter(
            base_model,
            {"rarity": self.rarity, "rows": touched, "weights": weights, "pointers": pointers},
            {
                "units": json.dumps(self.units),
                "longest": str(self.longest),
                MAP_NOTE: MAP_VERSION,
                STEPS_NOTE: str(steps),
            },
        )

    def joined(self, units: Iterable[str], longest: int) -> TextModel:
        """Return a copy that can learn and also knows `units`, which begin with zero weights.

        Raises ValueError when they become too many.
        """
        wider = tuple(dict.fromkeys([*self.units, *units]))
        if len(wider) > MOST_UNITS:
            raise ValueError(
                f"together with what its parent knows, this model would have {len(wider):,} units "
                f"to write with, and {MOST_UNITS:,} are the most; tune the base model instead"
            )
        # Pages of zeros that nobody touches take no memory.
        weights = np.zeros((ROWS, len(wider)), np.float32)
        touched = np.flatnonzero(self.slots < len(self.weights) - 1)
        weights[touched, : len(self.units)] = self.weights[self.slots[touched]]
        longest = max(longest, self.longest)
        return TextModel(
            wider, self.rarity, np.arange(ROWS), weights, self.pointers.copy(), longest
        )

    def prompt(self, source: Source) -> Prompt:
        """Return an input as this model sees it."""
        return Prompt(source, self.rarity, self.units)

    def scores(self, moments: Moments) -> tuple[NDArray[np.float64], Sight]:
        """Return the logits of M moments, M x T, and what they were summed from."""
        sight, count = moments.seen(), len(moments.rows)
        # One column more, for places that read nothing; several places may read one unit.
        width = len(moments.prompt.numbers) + 1
        flat = sight.columns % width + width * np.arange(count)[:, None]
        copied = SCALE * self.pointers[sight.pointers].sum(axis=2)
        logits = np.bincount(flat.ravel(), copied.ravel(), count * width).astype(np.float64)
        logits = logits.reshape(count, width)
        logits[np.arange(count), moments.echoes] += ECHO
        # Not `@`: a BLAS may add in another order on another machine or thread count.
        weights = self.weights[self.slots[sight.rows]]
        logits[:, : len(self.units)] += np.einsum("mk,mku->mu", sight.values, weights)
        return logits[:, :-1], sight

    def descend(self, sight: Sight, errors: NDArray[np.float64]) -> None:
        """Subtract the gradient of a loss with the derivatives `errors` by the logits, M x T."""
        errors = np.pad(errors, ((0, 0), (0, 1))).astype(np.float32)
        for rows, values, error in zip(sight.rows, sight.values, errors, strict=True):
            self.weights[rows] -= np.outer(values, error[: len(self.units)])
        each = SCALE * np.take_along_axis(errors, sight.columns, axis=1)
        each = np.broadcast_to(each[:, :, None], sight.pointers.shape)
        np.subtract.at(self.pointers, sight.pointers.ravel(), each.ravel())


class TextTuning(Descent):
    """One job of the text engine in memory."""

    def __init__(self, base_model: str, request: TuningRequest, resume: Adapter | None) -> None:
        super().__init__(request, resume)
        sources = [Source(example.text_input) for example in request.examples]
        outputs = [example.output for example in request.examples]
        before = resume or request.parent
        if before:
            known = TextModel.of(before, base_model)
        else:
            known = TextModel.untuned(rarity_of(sources))
        self._base_model = base_model
        self.model = known.joined(learned_units(sources, outputs), max(map(len, outputs)))
        self.lessons = [
            list(_lesson(self.model.prompt(source), output))
            for source, output in zip(sources, outputs, strict=True)
        ]

    def adapter(self) -> Adapter:
        """Return a copy of what was learned so far."""
        return self.model.adapter(self._base_model, self.done)

    def learn(self, batch: NDArray[np.intp]) -> float:
        """Take one step; return the mean over the batch of the mean loss per unit before it.

        The gradient is that of the mean over the batch of the *sum* over units, so that the pull of
        one unit does not shrink with the length of the answer.
        """
        size = self.request.learning_rate * RATE_SCALE / len(batch)
        means, ways_back = [], []
        for number in batch:
            losses: list[float] = []
            for moments, targets in self.lessons[number]:
                logits, sight = self.model.scores(moments)
                right = np.arange(len(targets)), targets
                errors = np.exp(logits - logits.max(axis=1, keepdims=True))
                errors /= errors.sum(axis=1, keepdims=True)
                losses += list(np.logaddexp.reduce(logits, axis=1) - logits[right])
                errors[right] -= 1.0
                ways_back.append((sight, size * errors))
            means.append(np.mean(losses))
        # Every loss of a batch is that of the same model: it moves when all are known.
        for sight, errors in ways_back:
            self.model.descend(sight, errors)
        return float(np.mean(means))


def _lesson(prompt: Prompt, output: str) -> Iterator[tuple[Moments, NDArray[np.intp]]]:
    """Yield an example in blocks of moments, and the columns of the units that are right there."""
    source = prompt.source
    units: Sequence[str] = list(spelled(source, output, prompt.known))
    answers = list(accumulate(units[:-1], lambda w, unit: w.then(unit, source), initial=Written()))
    for start in range(0, len(units), _BLOCK):
        block = slice(start, start + _BLOCK)
        targets = np.array([prompt.column(unit) for unit in units[block]], np.intp)
        yield Moments.of(prompt, answers[block]), targets


def write(model: TextModel, text: str, sampling: Sampling) -> Iterator[str]:
    """Yield the answer to `text` token by token.

    It is written before its first token is out: that takes milliseconds, and only then is it known
    where a stop sequence begins.
    """
    yield from pieces("".join(_units(model, text, sampling)), sampling)


def _units(model: TextModel, text: str, sampling: Sampling) -> Iterator[str]:
    prompt = model.prompt(Source(text))
    # What has learned to repeat itself must end: no answer is longer than its input and two of the
    # longest outputs.
    most = len(prompt.source.text) + 2 * model.longest
    written, length = Written(), 0
    for number in range(most + 1):
        logits, _ = model.scores(Moments.of(prompt, [written]))
        # With a seed, each unit has a draw of its own, and the same one every time.
        seed = None if sampling.seed is None else sampling.seed + number * 2**32
        unit = list(prompt.numbers)[choose(logits[0], replace(sampling, seed=seed))]
        length += len(unit)
        if unit == END or length > most:
            return
        yield unit
        written = written.then(unit, prompt.source)
