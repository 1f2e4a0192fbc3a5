"""The shared part of engines that learn by plain mini-batch stochastic gradient descent."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tunedmodels.engines.engine import FEATURE_MAP_NOTE, Adapter, TrainingStep, TuningRequest


class SgdTraining(ABC):
    """One training run in memory. Iterating takes the remaining steps; it may stop at any step."""

    def __init__(self, request: TuningRequest, resume: Adapter | None) -> None:
        if not request.examples:
            raise ValueError("the training set has no examples")
        self.request = request
        self.steps_done = resume.steps if resume else 0
        self._order = _example_order(request)

    def __iter__(self) -> Iterator[TrainingStep]:
        """Take one step at a time."""
        request = self.request
        while self.steps_done < request.total_steps:
            start = self.steps_done * request.batch_size
            # A rate that is far too high leads to infinities, which the loss shows.
            with np.errstate(over="ignore", invalid="ignore"):
                mean_loss = self.train_batch(self._order[start : start + request.batch_size])
            self.steps_done += 1
            if not math.isfinite(mean_loss):
                raise ValueError(
                    f"the loss of step {self.steps_done} is {mean_loss}: the learning rate "
                    f"{request.learning_rate:g} is far too high; try a tenth of it"
                )
            yield TrainingStep(self.steps_done, request.finished_epochs(self.steps_done), mean_loss)

    @abstractmethod
    def train_batch(self, batch: NDArray[np.intp]) -> float:
        """Update the parameters by the batch's mean error; return the mean loss before that."""


def require_compatible(adapter: Adapter, base_model: str, map_version: str) -> None:
    """Raise ValueError if the adapter belongs to another base model or feature map version."""
    if adapter.base_model != base_model:
        raise ValueError(
            f"these parameters were learned on {adapter.base_model} and cannot be used with "
            f"{base_model}"
        )
    if adapter.arrays and adapter.notes.get(FEATURE_MAP_NOTE) != map_version:
        raise ValueError(
            "these parameters were learned with another version of the feature map; "
            "train the model again"
        )


def _example_order(request: TuningRequest) -> NDArray[np.intp]:
    """Return the indices of the examples in training order, for all epochs.

    The order of each epoch depends on (seed, epoch) only, so a resumed run needs no random state.
    """
    seeds = ([request.seed % 2**64, epoch] for epoch in range(request.epoch_count))
    return np.concatenate(
        [np.random.default_rng(seed).permutation(len(request.examples)) for seed in seeds]
    )
