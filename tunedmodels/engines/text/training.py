"""One job: plain mini-batch stochastic gradient descent on the model's cross-entropy.

The model's units, with the features' rarity, are all that a set of examples decides before the
first step. There is no state but the parameters, so they and the number of steps are a whole
checkpoint; each epoch is shuffled by (seed, epoch) alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from tunedmodels.engines.engine import Adapter, Step, TuningRequest
from tunedmodels.engines.text.features import REGION, Written, input_rows
from tunedmodels.engines.text.model import Scores, TextModel
from tunedmodels.engines.text.prompts import Moments, Prompt
from tunedmodels.engines.text.source import Source
from tunedmodels.engines.text.units import learned_units, spelled

# The API's default rate 0.001 is a step of 0.1: what is four times more or less learns as well, a
# hundredth still falls after five epochs, and a hundred times jumps above the untuned loss.
RATE_SCALE = 100.0

# Moments that are computed at once: enough for most answers, and little memory for long inputs.
_BLOCK = 16


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring moments of one answer, and the column of the unit that is right at each."""

    moments: Moments
    targets: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Lesson:
    """One example, ready to learn from."""

    prompt: Prompt
    blocks: Sequence[Block]

    @classmethod
    def of(cls, model: TextModel, source: Source, output: str) -> Lesson:
        """Spell the output in the model's units."""
        prompt = model.prompt(source)
        units = list(spelled(source, output, model.units))
        answers = list(accumulate(units[:-1], lambda w, u: w.then(u, source), initial=Written()))
        targets = np.array([prompt.column(unit) for unit in units], np.intp)
        starts = range(0, len(units), _BLOCK)
        return cls(
            prompt,
            [
                Block(
                    Moments.of(prompt, answers[start : start + _BLOCK]),
                    targets[start : start + _BLOCK],
                )
                for start in starts
            ],
        )


class TextTuning:
    """One job in memory. Iterating takes the steps that are left, and may stop at any of them."""

    def __init__(self, base_model: str, request: TuningRequest, resume: Adapter | None) -> None:
        if not request.examples:
            raise ValueError("there are no examples to learn from")
        sources = [Source(example.text_input) for example in request.examples]
        outputs = [example.output for example in request.examples]
        before = resume or request.parent
        known = TextModel.of(before, base_model) if before else TextModel.untuned(_rarity(sources))
        self._base_model = base_model
        self._request = request
        self._done = resume.steps if resume else 0
        self._model = known.joined(learned_units(sources, outputs), max(map(len, outputs)))
        self._lessons = [
            Lesson.of(self._model, source, output)
            for source, output in zip(sources, outputs, strict=True)
        ]
        self._order = _order(request)

    def __iter__(self) -> Iterator[Step]:
        """Take one step at a time."""
        while self._done < self._request.total_steps:
            start = self._done * self._request.batch_size
            mean_loss = self._learn(self._order[start : start + self._request.batch_size])
            self._done += 1
            if not math.isfinite(mean_loss):
                raise ValueError(
                    f"the loss of step {self._done} is {mean_loss}: the learning rate "
                    f"{self._request.learning_rate:g} is far too high; try a tenth of it"
                )
            yield Step(self._done, self._request.epoch_at(self._done), mean_loss)

    def adapter(self) -> Adapter:
        """Return a copy of what was learned so far."""
        return self._model.adapter(self._base_model, self._done)

    def _learn(self, batch: NDArray[np.intp]) -> float:
        """Take one step; return the mean over the batch of the mean loss per unit before it.

        The gradient is that of the mean over the batch of the *sum* over units, so that the pull of
        one unit does not shrink with the length of the answer.
        """
        size = self._request.learning_rate * RATE_SCALE / len(batch)
        means, ways_back = [], []
        # A rate beyond all measure ends in infinities: the caller sees them in the loss.
        with np.errstate(over="ignore", invalid="ignore"):
            for number in batch:
                lesson = self._lessons[number]
                losses = []
                for block in lesson.blocks:
                    scores = self._model.scores(lesson.prompt, block.moments)
                    loss, errors = _losses(scores, block.targets)
                    losses.append(loss)
                    ways_back.append((lesson.prompt, block.moments, scores, size * errors))
                means.append(np.concatenate(losses).mean())
            # Every loss of a batch is that of the same model: it moves when all are known.
            for prompt, moments, scores, errors in ways_back:
                self._model.descend(prompt, moments, scores, errors)
        return float(np.mean(means))


def _losses(
    scores: Scores, targets: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the cross-entropy of M moments, in nats, and its derivatives by the logits, M x T."""
    moments = np.arange(len(targets))
    logits = scores.logits - scores.logits.max(axis=1, keepdims=True)
    raised = np.exp(logits)
    total = raised.sum(axis=1, keepdims=True)
    losses = np.log(total[:, 0]) - logits[moments, targets]
    errors = raised / total
    errors[moments, targets] -= 1.0
    return losses, errors


def _rarity(sources: Sequence[Source]) -> NDArray[np.float32]:
    """Return ln(1 + examples / examples with it) for each feature of an input."""
    inputs_with = np.zeros(REGION, np.float32)
    for source in sources:
        for rows in input_rows(source).values():
            inputs_with[rows] += 1
    return np.log1p(len(sources) / np.maximum(inputs_with, 1)).astype(np.float32)


def _order(request: TuningRequest) -> NDArray[np.intp]:
    """Return the examples' places in the order in which they are seen, epoch after epoch."""
    seeds = ([request.seed % 2**64, epoch] for epoch in range(request.epoch_count))
    return np.concatenate(
        [np.random.default_rng(seed).permutation(len(request.examples)) for seed in seeds]
    )
