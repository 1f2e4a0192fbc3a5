"""The log-linear model: the logits of the next unit, gradient steps, and generation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from tunedmodels.engines.engine import (
    FEATURE_MAP_NOTE,
    STEPS_NOTE,
    Adapter,
    Sampling,
    TuningRequest,
)
from tunedmodels.engines.sampling import choose, stream_tokens
from tunedmodels.engines.sgd import SgdTraining, require_compatible
from tunedmodels.engines.text.features import (
    FEATURES,
    MAP_VERSION,
    POINTERS,
    ROWS,
    AnswerPositions,
    AnswerState,
    EncodedInput,
    LogitInputs,
    feature_rarity,
)
from tunedmodels.engines.text.tokens import END, MAX_UNITS, InputText, build_units, spell

ECHO_LOGIT = 4.0  # nats, by which the base prefers the next token of the input to other units

POINTER_SCALE = 1.5  # the value of each feature of a copy source

# The API's default rate of 0.001 is a step size of 0.1. Rates from 0.4 to 4 times as high learn
# about equally well; at a hundredth, the loss still falls after five epochs, and at a hundred times
# the rate, it rises above the untuned loss.
RATE_SCALE = 100.0

_BLOCK = 16  # positions computed at once: enough for most answers, in little memory


@dataclass(frozen=True, slots=True)
class TextModel:
    """The parameters of a text model with U units."""

    units: tuple[str, ...]  #: in the order of the columns
    rarity: NDArray[np.float32]  #: FEATURES

    slots: NDArray[np.intp]
    """Row r of the table of weights is row `slots[r]` of `weights`.

    While training, the two are equal. In a model that was read from an adapter, all rows that were
    never changed share one row of zeros at the end.
    """

    weights: NDArray[np.float32]
    pointers: NDArray[np.float32]  #: POINTERS
    longest: int  #: the number of characters of the longest output of the training set

    @classmethod
    def untuned(cls, rarity: NDArray[np.float32]) -> TextModel:
        """Return the base model, which repeats its input."""
        slots, weights = np.zeros(ROWS, np.intp), np.zeros((1, 1), np.float32)
        return cls((END,), rarity, slots, weights, np.zeros(POINTERS, np.float32), longest=0)

    @classmethod
    def from_adapter(cls, adapter: Adapter, base_model: str) -> TextModel:
        """Return the model of an adapter; without arrays, the base model. Raises ValueError."""
        require_compatible(adapter, base_model, MAP_VERSION)
        if not adapter.arrays:
            return cls.untuned(np.ones(FEATURES, np.float32))
        arrays, notes = adapter.arrays, adapter.notes
        touched = arrays["rows"]
        slots = np.full(ROWS, len(touched), np.intp)
        slots[touched] = np.arange(len(touched))
        units, longest = tuple(json.loads(notes["units"])), int(notes["longest"])
        return cls(units, arrays["rarity"], slots, arrays["weights"], arrays["pointers"], longest)

    def adapter(self, base_model: str, steps: int) -> Adapter:
        """Return a copy of the learned parameters: the rows that are not zero, and one that is."""
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
                FEATURE_MAP_NOTE: MAP_VERSION,
                STEPS_NOTE: str(steps),
            },
        )

    def with_units(self, units: Iterable[str], longest: int) -> TextModel:
        """Return a trainable copy with additional units, whose weights are zero.

        Raises ValueError when there are too many units.
        """
        all_units = tuple(dict.fromkeys([*self.units, *units]))
        if len(all_units) > MAX_UNITS:
            raise ValueError(
                f"with the units of its parent, this model would have {len(all_units):,} units to "
                f"write with, more than the maximum of {MAX_UNITS:,}; tune the base model instead"
            )
        # Memory pages of zeros that are never written take no memory.
        weights = np.zeros((ROWS, len(all_units)), np.float32)
        touched = np.flatnonzero(self.slots < len(self.weights) - 1)
        weights[touched, : len(self.units)] = self.weights[self.slots[touched]]
        longest = max(longest, self.longest)
        return TextModel(
            all_units, self.rarity, np.arange(ROWS), weights, self.pointers.copy(), longest
        )

    def encode(self, input_text: InputText) -> EncodedInput:
        """Return the features of an input for this model."""
        return EncodedInput(input_text, self.rarity, self.units)

    def logits(self, positions: AnswerPositions) -> tuple[NDArray[np.float64], LogitInputs]:
        """Return the logits at M positions, M x T, and their summands."""
        inputs, count = positions.logit_inputs(), len(positions.rows)
        # One more column, for sources without a unit; several sources may have the same unit.
        width = positions.encoded.width + 1
        flat = inputs.columns % width + width * np.arange(count)[:, None]
        copied = POINTER_SCALE * self.pointers[inputs.pointers].sum(axis=2)
        logits = np.bincount(flat.ravel(), copied.ravel(), count * width).astype(np.float64)
        logits = logits.reshape(count, width)
        logits[np.arange(count), positions.echoes] += ECHO_LOGIT
        # Not `@`: a BLAS may add in another order on another machine or with other thread counts.
        weights = self.weights[self.slots[inputs.rows]]
        logits[:, : len(self.units)] += np.einsum("mk,mku->mu", inputs.values, weights)
        return logits[:, :-1], inputs

    def apply_gradient(self, inputs: LogitInputs, errors: NDArray[np.float64]) -> None:
        """Subtract the gradient of a loss whose derivatives by the logits are `errors`, M x T."""
        errors = np.pad(errors, ((0, 0), (0, 1))).astype(np.float32)
        for rows, values, error in zip(inputs.rows, inputs.values, errors, strict=True):
            self.weights[rows] -= np.outer(values, error[: len(self.units)])
        steps = POINTER_SCALE * np.take_along_axis(errors, inputs.columns, axis=1)
        steps = np.broadcast_to(steps[:, :, None], inputs.pointers.shape)
        np.subtract.at(self.pointers, inputs.pointers.ravel(), steps.ravel())


class TextTrainingRun(SgdTraining):
    """One training run of the text engine."""

    def __init__(self, base_model: str, request: TuningRequest, resume: Adapter | None) -> None:
        super().__init__(request, resume)
        inputs = [InputText(example.text_input) for example in request.examples]
        outputs = [example.output for example in request.examples]
        start = resume or request.parent
        if start:
            model = TextModel.from_adapter(start, base_model)
        else:
            model = TextModel.untuned(feature_rarity(inputs))
        self._base_model = base_model
        self.model = model.with_units(build_units(inputs, outputs), max(map(len, outputs)))
        self.training_blocks = [
            list(_training_blocks(self.model.encode(input_text), output))
            for input_text, output in zip(inputs, outputs, strict=True)
        ]

    def adapter(self) -> Adapter:
        """Return a copy of the parameters after the last step."""
        return self.model.adapter(self._base_model, self.steps_done)

    def train_batch(self, batch: NDArray[np.intp]) -> float:
        """Take one step; return the mean over the batch of the mean loss per unit before the step.

        The gradient is that of the mean over the batch of the *sum* over units, so that the effect
        of one unit does not shrink with the length of the answer.
        """
        step_size = self.request.learning_rate * RATE_SCALE / len(batch)
        means, gradients = [], []
        for number in batch:
            losses: list[float] = []
            for positions, targets in self.training_blocks[number]:
                logits, inputs = self.model.logits(positions)
                right = np.arange(len(targets)), targets
                errors = np.exp(logits - logits.max(axis=1, keepdims=True))
                errors /= errors.sum(axis=1, keepdims=True)
                losses += list(np.logaddexp.reduce(logits, axis=1) - logits[right])
                errors[right] -= 1.0
                gradients.append((inputs, step_size * errors))
            means.append(np.mean(losses))
        # All losses of a batch are computed with the same parameters, which are updated afterwards.
        for inputs, errors in gradients:
            self.model.apply_gradient(inputs, errors)
        return float(np.mean(means))


def _training_blocks(
    encoded: EncodedInput, output: str
) -> Iterator[tuple[AnswerPositions, NDArray[np.intp]]]:
    """Yield an example in blocks of positions, with the columns of the correct units.

    The text of the input is released afterwards.
    """
    input_text = encoded.input_text
    units: Sequence[str] = list(spell(input_text, output, encoded.units))
    states = list(
        accumulate(
            units[:-1], lambda state, unit: state.append(unit, input_text), initial=AnswerState()
        )
    )
    for start in range(0, len(units), _BLOCK):
        block = slice(start, start + _BLOCK)
        targets = np.array([encoded.column(unit) for unit in units[block]], np.intp)
        yield AnswerPositions.from_states(encoded, states[block]), targets
    encoded.release_text()


def generate(model: TextModel, text: str, sampling: Sampling) -> Iterator[str]:
    """Yield the answer to `text` token by token.

    The whole answer is generated before the first token is yielded, since a stop sequence can only
    be found in the complete text. That takes milliseconds.
    """
    yield from stream_tokens("".join(_generate_units(model, text, sampling)), sampling)


def _generate_units(model: TextModel, text: str, sampling: Sampling) -> Iterator[str]:
    encoded = model.encode(InputText(text))
    # A model that has learned to repeat itself must stop: no answer is longer than its input and
    # two of the longest outputs.
    max_length = len(encoded.input_text.text) + 2 * model.longest
    state, length = AnswerState(), 0
    for number in range(max_length + 1):
        logits, _ = model.logits(AnswerPositions.from_states(encoded, [state]))
        # With a seed, each unit has its own draw, which is the same every time.
        seed = None if sampling.seed is None else sampling.seed + number * 2**32
        unit = list(encoded.columns_by_unit)[choose(logits[0], replace(sampling, seed=seed))]
        length += len(unit)
        if unit == END or length > max_length:
            return
        yield unit
        state = state.append(unit, encoded.input_text)
