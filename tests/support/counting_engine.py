"""A training engine for tests of the service: it learns a number.

Options in `text_input` of the first example control it: `log=FILE` appends a line per step,
`pace=SECONDS` sleeps in every step, `die=N` kills the process in step N, and `refuse`, `memory` and
`break` fail in step 2 with the errors that engines raise.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tunedmodels.engines.engine import (
    STEPS_NOTE,
    Adapter,
    Sampling,
    TrainingRun,
    TrainingStep,
    TuningRequest,
)

BASE = "models/counting-001"


class CountingTuning:
    """A training run; the learned number depends on the seed and on every step."""

    def __init__(self, request: TuningRequest, resume: Adapter | None) -> None:
        self._request = request
        self._done = resume.steps if resume else 0
        initial = resume or request.parent
        self._number = int(initial.arrays["number"][0]) if initial else 0
        options = request.examples[0].text_input.split()
        self._options = dict(option.partition("=")[::2] for option in options)

    def __iter__(self) -> Iterator[TrainingStep]:
        while self._done < self._request.total_steps:
            step = self._done + 1
            self._apply_options(step)
            self._number = (self._number * 31 + self._request.seed + step) % 1_000_003
            self._done = step
            yield TrainingStep(step, self._request.finished_epochs(step), self._number / 1_000_003)

    def adapter(self) -> Adapter:
        number = np.array([self._number], dtype=np.int64)
        return Adapter(BASE, {"number": number}, {STEPS_NOTE: str(self._done)})

    def _apply_options(self, step: int) -> None:
        if log := self._options.get("log"):
            with Path(log).open("a") as file:
                file.write(f"{step}\n")
        time.sleep(float(self._options.get("pace", 0)))
        if self._options.get("die") == str(step):
            os.kill(os.getpid(), signal.SIGKILL)
        if step == 2 and "refuse" in self._options:
            raise ValueError("this cannot be learned")
        if step == 2 and "memory" in self._options:
            raise MemoryError
        if step == 2 and "break" in self._options:
            raise RuntimeError("the engine failed")


class CountingEngine:
    """The engine of `models/counting-001`."""

    base_model = BASE
    display_name = "Counting 001"
    description = "Learns a number."

    def tune(self, request: TuningRequest, *, resume: Adapter | None = None) -> TrainingRun:
        return CountingTuning(request, resume)

    def answer(self, adapter: Adapter, text: str, sampling: Sampling) -> Iterator[str]:
        if not adapter.arrays:
            raise ValueError("no training step is done yet")
        return iter((str(adapter.arrays["number"][0]), f" {text}", f" {sampling.temperature:g}"))


ENGINES = {BASE: CountingEngine()}
