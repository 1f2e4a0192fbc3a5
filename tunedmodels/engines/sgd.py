"""What is the same in every engine that learns by plain mini-batch stochastic gradient descent."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tunedmodels.engines.engine import MAP_NOTE, Adapter, Step, TuningRequest


class Descent(ABC):
    """One job in memory. Iterating takes the steps that are left, and may stop at any of them."""

    def __init__(self, request: TuningRequest, resume: Adapter | None) -> None:
        if not request.examples:
            raise ValueError("there are no examples to learn from")
        self.request = request
        self.done = resume.steps if resume else 0
        self._order = _order(request)

    def __iter__(self) -> Iterator[Step]:
        """Take one step at a time."""
        request = self.request
        while self.done < request.total_steps:
            start = self.done * request.batch_size
            # A rate beyond all measure ends in infinities, which show in the loss.
            with np.errstate(over="ignore", invalid="ignore"):
                mean_loss = self.learn(self._order[start : start + request.batch_size])
            self.done += 1
            if not math.isfinite(mean_loss):
                raise ValueError(
                    f"the loss of step {self.done} is {mean_loss}: the learning rate "
                    f"{request.learning_rate:g} is far too high; try a tenth of it"
                )
            yield Step(self.done, request.epoch_at(self.done), mean_loss)

    @abstractmethod
    def learn(self, batch: NDArray[np.intp]) -> float:
        """Move the parameters by the batch's mean error; return the mean loss before that."""


def check_base(adapter: Adapter, base_model: str, map_version: str) -> None:
    """Refuse parameters that mean nothing on this base, or on this version of its features.

    Raises ValueError in words.
    """
    if adapter.base_model != base_model:
        raise ValueError(
            f"these parameters were learned on {adapter.base_model} and mean nothing on "
            f"{base_model}"
        )
    if adapter.arrays and adapter.notes.get(MAP_NOTE) != map_version:
        raise ValueError(
            "these parameters were learned by another version of the feature map; "
            "train the model again"
        )


def _order(request: TuningRequest) -> NDArray[np.intp]:
    """Return the examples' places in the order in which they are seen, epoch after epoch.

    Each epoch is shuffled by (seed, epoch) alone, so a resumed run needs no generator's state.
    """
    seeds = ([request.seed % 2**64, epoch] for epoch in range(request.epoch_count))
    return np.concatenate(
        [np.random.default_rng(seed).permutation(len(request.examples)) for seed in seeds]
    )
