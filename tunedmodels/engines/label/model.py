"""The learned part of the label engine: multinomial logistic regression by plain mini-batch SGD.

With R = 2^14 rows of the feature map and C classes, for one text with the rows S:

    x[r] = rarity[r] / norm, r in S; else 0          R       |x| = 1; rarity[r] = ln(1 + N / n_r)
    logits = x @ W                                   C       W is R x C, initially zero
    p = softmax(logits)                              C
    loss = -ln p[class]                              initially ln(C), the untuned model's loss
    W -= scale x rate x mean over the batch of outer(x, p - onehot(class))

`rarity` is computed once from the number of examples in which a row occurs (n_r of N), because
words that occur everywhere carry little information. The model is convex, so training cannot get
stuck, and its only state is W: W and the number of steps are a complete checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunedmodels.engines.engine import FEATURE_MAP_NOTE, STEPS_NOTE, Adapter, TuningRequest
from tunedmodels.engines.label.features import MAP_VERSION, ROWS, feature_rows
from tunedmodels.engines.sampling import softmax
from tunedmodels.engines.sgd import SgdTraining, require_compatible

# The API's default rate of 0.001 is a step size of 4. At a 20 times lower rate, the loss still
# falls after five epochs; at a 20 times higher rate, it rises above the untuned loss.
RATE_SCALE = 4000.0

# 2,000 classes need a matrix of 131 MB; more outputs than that are not a classification task.
MAX_CLASSES = 2000


@dataclass(frozen=True, slots=True)
class WeightedRows:
    """The features of a text as a sparse vector of length 1."""

    rows: NDArray[np.intp]
    values: NDArray[np.float32]  #: one value per row


@dataclass(frozen=True, slots=True)
class LinearModel:
    """The parameters of a label model."""

    classes: tuple[str, ...]  #: in the order of the columns
    rarity: NDArray[np.float32]  #: R
    weights: NDArray[np.float32]  #: R x C

    @classmethod
    def from_adapter(cls, adapter: Adapter, base_model: str) -> LinearModel:
        """Return the model of an adapter, sharing its arrays. Raises ValueError."""
        require_compatible(adapter, base_model, MAP_VERSION)
        if not adapter.arrays:
            raise ValueError(f"{base_model} cannot answer before it is tuned; use a tuned model")
        classes = tuple(json.loads(adapter.notes["classes"]))
        return cls(classes, adapter.arrays["rarity"], adapter.arrays["weights"])

    def weigh_rows(self, rows: NDArray[np.intp]) -> WeightedRows:
        """Return the rows of a text with their values."""
        values = self.rarity[rows]
        return WeightedRows(rows, values / np.sqrt(np.square(values).sum()))

    def logits(self, features: WeightedRows) -> NDArray[np.float64]:
        """Return one score per class."""
        # Not `@`: a BLAS may add in another order on another machine or with other thread counts.
        weighted = self.weights[features.rows] * features.values[:, None]
        return np.asarray(weighted.sum(axis=0, dtype=np.float64))

    def with_classes(self, classes: Sequence[str]) -> LinearModel:
        """Return a copy with additional classes, whose weights are zero.

        Raises ValueError when there are too many classes.
        """
        all_classes = tuple(dict.fromkeys([*self.classes, *classes]))
        if len(all_classes) > MAX_CLASSES:
            raise ValueError(
                f"{len(all_classes):,} different outputs are more than the {MAX_CLASSES:,} classes "
                "that this model can learn: it answers with outputs of its training set, and does "
                "not write new text"
            )
        weights = np.zeros((ROWS, len(all_classes)), np.float32)
        weights[:, : len(self.classes)] = self.weights
        return LinearModel(all_classes, self.rarity, weights)


class LabelTrainingRun(SgdTraining):
    """One training run of the label engine."""

    def __init__(self, base_model: str, request: TuningRequest, resume: Adapter | None) -> None:
        super().__init__(request, resume)
        texts = [feature_rows(example.text_input) for example in request.examples]
        outputs = tuple(dict.fromkeys(example.output for example in request.examples))
        self._base_model = base_model
        start = resume or request.parent
        model = LinearModel.from_adapter(start, base_model) if start else _untuned(texts)
        self._model = model.with_classes(outputs)
        columns = {name: column for column, name in enumerate(self._model.classes)}
        self._texts = [self._model.weigh_rows(rows) for rows in texts]
        self._columns = [columns[example.output] for example in request.examples]

    def adapter(self) -> Adapter:
        """Return a copy of the parameters after the last step."""
        return Adapter(
            base_model=self._base_model,
            arrays={"weights": self._model.weights.copy(), "rarity": self._model.rarity},
            notes={
                "classes": json.dumps(self._model.classes),
                FEATURE_MAP_NOTE: MAP_VERSION,
                STEPS_NOTE: str(self.steps_done),
            },
        )

    def train_batch(self, batch: NDArray[np.intp]) -> float:
        """Update the weights by the batch's mean error; return the mean loss before the update."""
        losses, errors = [], []
        for i in batch:
            logits = self._model.logits(self._texts[i])
            losses.append(np.logaddexp.reduce(logits) - logits[self._columns[i]])
            error = softmax(logits)
            error[self._columns[i]] -= 1.0
            errors.append(error)
        step_size = self.request.learning_rate * RATE_SCALE / len(batch)
        for i, error in zip(batch, errors, strict=True):
            text = self._texts[i]
            self._model.weights[text.rows] -= np.outer(text.values, step_size * error)
        return float(np.mean(losses))


def _untuned(texts: Sequence[NDArray[np.intp]]) -> LinearModel:
    """Return a model without classes, with the rarity of the features of `texts`."""
    counts = np.zeros(ROWS, np.float32)
    for rows in texts:
        counts[rows] += 1
    # A row that never occurs keeps zero weights; 1 avoids a division by zero.
    rarity = np.log1p(len(texts) / np.maximum(counts, 1)).astype(np.float32)
    return LinearModel((), rarity, np.zeros((ROWS, 0), np.float32))
