"""Engines that train at once, for tests of everything around an engine.

Workers import them by the name `tests.support.fakes.engines:ENGINES` in their own processes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.support.builders import BASE
from tunedmodels.engines.engine import (
    STEPS_NOTE,
    Adapter,
    Engine,
    Sampling,
    TrainingStep,
    TuningRequest,
)

BROKEN = "models/broken-001"
SLOW = "models/slow-001"
BROKEN_MESSAGE = "the second example cannot be learned"


@dataclass
class MemorizingTraining:
    """A training that memorizes the examples, step by step."""

    request: TuningRequest
    base_model: str
    pause_s: float
    done: int = 0

    def __iter__(self) -> Iterator[TrainingStep]:
        for step in range(self.done + 1, self.request.total_steps + 1):
            time.sleep(self.pause_s)
            self.done = step
            yield TrainingStep(step, self.request.finished_epochs(step), 1.0 / step)

    def adapter(self) -> Adapter:
        learned = {example.text_input: example.output for example in self.request.examples}
        notes = {"learned": json.dumps(learned), STEPS_NOTE: str(self.done)}
        return Adapter(self.base_model, {"nothing": np.zeros(1)}, notes)


@dataclass(frozen=True)
class MemorizingEngine:
    """Answers known inputs with their output, and everything else with a question mark."""

    base_model: str
    pause_s: float = 0.0
    display_name: str = "Memorizer"
    description: str = "Memorizes its examples."

    def tune(self, request: TuningRequest, *, resume: Adapter | None = None) -> MemorizingTraining:
        if self.base_model == BROKEN:
            raise ValueError(BROKEN_MESSAGE)
        return MemorizingTraining(
            request, self.base_model, self.pause_s, resume.steps if resume else 0
        )

    def answer(self, adapter: Adapter, text: str, sampling: Sampling) -> Iterator[str]:
        yield from json.loads(adapter.notes["learned"]).get(text, "?")


_ALL: list[Engine] = [
    MemorizingEngine(BASE),
    MemorizingEngine(BROKEN),
    MemorizingEngine(SLOW, pause_s=0.02),
]
ENGINES = {engine.base_model: engine for engine in _ALL}
