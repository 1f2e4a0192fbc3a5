"""An engine for tests of the service: it learns a number, and does as its first example says.

`text_input` of the first example holds orders: `log=FILE` appends a line per step,
`pace=SECONDS` sleeps in each, `die=N` ends the process in step N, and `refuse`, `memory` and
`break` fail in step 2 as engines may.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tunedmodels.engines.engine import STEPS_NOTE, Adapter, Sampling, Step, Tuning, TuningRequest

BASE = "models/counting-001"


class CountingTuning:
    """A job: the number that is learned depends on the seed and on every step."""

    def __init__(self, request: TuningRequest, resume: Adapter | None) -> None:
        self._request = request
        self._done = resume.steps if resume else 0
        before = resume or request.parent
        self._number = int(before.arrays["number"][0]) if before else 0
        words = request.examples[0].text_input.split()
        self._orders = dict(word.partition("=")[::2] for word in words)

    def __iter__(self) -> Iterator[Step]:
        while self._done < self._request.total_steps:
            step = self._done + 1
            self._obey(step)
            self._number = (self._number * 31 + self._request.seed + step) % 1_000_003
            self._done = step
            yield Step(step, self._request.epoch_at(step), self._number / 1_000_003)

    def adapter(self) -> Adapter:
        number = np.array([self._number], dtype=np.int64)
        return Adapter(BASE, {"number": number}, {STEPS_NOTE: str(self._done)})

    def _obey(self, step: int) -> None:
        if log := self._orders.get("log"):
            with Path(log).open("a") as file:
                file.write(f"{step}\n")
        time.sleep(float(self._orders.get("pace", 0)))
        if self._orders.get("die") == str(step):
            os.kill(os.getpid(), signal.SIGKILL)
        if step == 2 and "refuse" in self._orders:
            raise ValueError("this cannot be learned")
        if step == 2 and "memory" in self._orders:
            raise MemoryError
        if step == 2 and "break" in self._orders:
            raise RuntimeError("a wheel came off")


class CountingEngine:
    """The engine of `models/counting-001`."""

    base_model = BASE
    display_name = "Counting 001"
    description = "Learns a number."

    def tune(self, request: TuningRequest, *, resume: Adapter | None = None) -> Tuning:
        return CountingTuning(request, resume)

    def answer(self, adapter: Adapter, text: str, sampling: Sampling) -> Iterator[str]:
        if not adapter.arrays:
            raise ValueError("nothing was learned yet")
        return iter((str(adapter.arrays["number"][0]), f" {text}", f" {sampling.temperature:g}"))


ENGINES = {BASE: CountingEngine()}
