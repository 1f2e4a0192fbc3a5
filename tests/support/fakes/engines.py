"""Engines that take no time to learn: for tests of whatever stands around an engine.

Named as `tests.support.fakes.engines:ENGINES`: workers import them in processes of their own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.support.builders import BASE
from tunedmodels.engines.engine import STEPS_NOTE, Adapter, Engine, Sampling, Step, TuningRequest

BROKEN = "models/broken-001"
SLOW = "models/slow-001"
WORDS = "the second example makes no sense"


@dataclass
class Rote:
    """Learning by heart, one step after the other."""

    request: TuningRequest
    base_model: str
    pause_s: float
    done: int = 0

    def __iter__(self) -> Iterator[Step]:
        for step in range(self.done + 1, self.request.total_steps + 1):
            time.sleep(self.pause_s)
            self.done = step
            yield Step(step, self.request.epoch_at(step), 1.0 / step)

    def adapter(self) -> Adapter:
        learned = {each.text_input: each.output for each in self.request.examples}
        notes = {"learned": json.dumps(learned), STEPS_NOTE: str(self.done)}
        return Adapter(self.base_model, {"nothing": np.zeros(1)}, notes)


@dataclass(frozen=True)
class Parrot:
    """Says what it was taught for exactly this input, and a question mark for anything else."""

    base_model: str
    pause_s: float = 0.0
    display_name: str = "Parrot"
    description: str = "Learns by heart."

    def tune(self, request: TuningRequest, *, resume: Adapter | None = None) -> Rote:
        if self.base_model == BROKEN:
            raise ValueError(WORDS)
        return Rote(request, self.base_model, self.pause_s, resume.steps if resume else 0)

    def answer(self, adapter: Adapter, text: str, sampling: Sampling) -> Iterator[str]:
        yield from json.loads(adapter.notes["learned"]).get(text, "?")


_ALL: list[Engine] = [Parrot(BASE), Parrot(BROKEN), Parrot(SLOW, pause_s=0.02)]
ENGINES = {engine.base_model: engine for engine in _ALL}
