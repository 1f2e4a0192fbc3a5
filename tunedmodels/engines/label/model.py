"""The learned part of the label engine: multinomial logistic regression by plain mini-batch SGD.

With R = 2^14 rows of the feature map and C classes, for one text with the rows S:

    x[r] = rarity[r] / norm, r in S; else 0          R       |x| = 1; rarity[r] = ln(1 + N / n_r)
    logits = x @ W                                   C       W is R x C and begins as zeros
    p = softmax(logits)                              C
    loss = -ln p[class]                              at first ln(C): the untuned model's own
    W -= scale x rate x mean over the batch of outer(x, p - onehot(class))

`rarity` counts, once, in how many of the N examples a row occurs (n_r): words that are everywhere
say little. The model is convex, so more steps never get stuck, and it has no state but W: W and
the number of steps are a whole checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunedmodels.engines.engine import MAP_NOTE, STEPS_NOTE, Adapter, TuningRequest
from tunedmodels.engines.label.features import MAP_VERSION, ROWS, rows_of
from tunedmodels.engines.sampling import softmax
from tunedmodels.engines.sgd import Descent, check_base

# The API's default rate 0.001 is a step of 4: 20 times less still falls after five epochs, 20 times
# more jumps above the untuned loss.
RATE_SCALE = 4000.0

# 2,000 classes are a matrix of 131 MB, and a set with more outputs is no classification.
MOST_CLASSES = 2000


@dataclass(frozen=True, slots=True)
class Features:
    """A text as the model sees it: its rows, and the value of each (float32, length 1)."""

    rows: NDArray[np.intp]
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Classes in the order of the columns, rarity (R) and weights (R x C), both float32."""

    classes: tuple[str, ...]
    rarity: NDArray[np.float32]
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, adapter: Adapter, base_model: str) -> LinearModel:
        """Read an adapter; the arrays are shared, not copied. Raises ValueError in words."""
        check_base(adapter, base_model, MAP_VERSION)
        if not adapter.arrays:
            raise ValueError(f"{base_model} knows no answers until it is tuned; ask a tuned model")
        classes = tuple(json.loads(adapter.notes["classes"]))
        return cls(classes, adapter.arrays["rarity"], adapter.arrays["weights"])

    def weigh(self, rows: NDArray[np.intp]) -> Features:
        """Return a text's rows with their values."""
        values = self.rarity[rows]
        return Features(rows, values / np.sqrt(np.square(values).sum()))

    def logits(self, features: Features) -> NDArray[np.float64]:
        """Return one score per class."""
        # Not `@`: a BLAS may add in another order on another machine or thread count.
        weighted = self.weights[features.rows] * features.values[:, None]
        return np.asarray(weighted.sum(axis=0, dtype=np.float64))

    def joined(self, classes: Sequence[str]) -> LinearModel:
        """Return a copy that also knows `classes`; those that are new begin with zero weights.

        Raises ValueError when they become too many.
        """
        wider = tuple(dict.fromkeys([*self.classes, *classes]))
        if len(wider) > MOST_CLASSES:
            raise ValueError(
                f"{len(wider):,} different outputs are more than the {MOST_CLASSES:,} classes that "
                "this model can learn: it picks one of the outputs it saw and writes nothing new"
            )
        weights = np.zeros((ROWS, len(wider)), np.float32)
        weights[:, : len(self.classes)] = self.weights
        return LinearModel(wider, self.rarity, weights)


class LinearTuning(Descent):
    """One job of the label engine in memory."""

    def __init__(self, base_model: str, request: TuningRequest, resume: Adapter | None) -> None:
        super().__init__(request, resume)
        texts = [rows_of(example.text_input) for example in request.examples]
        outputs = tuple(dict.fromkeys(example.output for example in request.examples))
        self._base_model = base_model
        before = resume or request.parent
        known = LinearModel.of(before, base_model) if before else _untuned(texts)
        self._model = known.joined(outputs)
        column = {name: place for place, name in enumerate(self._model.classes)}
        self._texts = [self._model.weigh(rows) for rows in texts]
        self._columns = [column[example.output] for example in request.examples]

    def adapter(self) -> Adapter:
        """Return a copy of what was learned so far."""
        return Adapter(
            base_model=self._base_model,
            arrays={"weights": self._model.weights.copy(), "rarity": self._model.rarity},
            notes={
                "classes": json.dumps(self._model.classes),
                MAP_NOTE: MAP_VERSION,
                STEPS_NOTE: str(self.done),
            },
        )

    def learn(self, batch: NDArray[np.intp]) -> float:
        """Move the weights by the batch's mean error; return the mean loss before that."""
        losses, errors = [], []
        for i in batch:
            logits = self._model.logits(self._texts[i])
            losses.append(np.logaddexp.reduce(logits) - logits[self._columns[i]])
            error = softmax(logits)
            error[self._columns[i]] -= 1.0
            errors.append(error)
        size = self.request.learning_rate * RATE_SCALE / len(batch)
        for i, error in zip(batch, errors, strict=True):
            text = self._texts[i]
            self._model.weights[text.rows] -= np.outer(text.values, size * error)
        return float(np.mean(losses))


def _untuned(texts: Sequence[NDArray[np.intp]]) -> LinearModel:
    """Return the model that has no classes yet and has only counted its features."""
    texts_with = np.zeros(ROWS, np.float32)
    for rows in texts:
        texts_with[rows] += 1
    # A row that never occurs has zero weights for ever; 1 keeps the division defined.
    rarity = np.log1p(len(texts) / np.maximum(texts_with, 1)).astype(np.float32)
    return LinearModel((), rarity, np.zeros((ROWS, 0), np.float32))
