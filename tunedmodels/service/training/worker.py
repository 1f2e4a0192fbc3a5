"""A worker process: trains one job after another until no job is free or its parent has exited.

    python -m tunedmodels.service.training.worker STORE

Its standard input is a pipe from its parent. When the pipe is closed, also because the parent was
killed, the worker saves a checkpoint and exits.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tunedmodels.errors import StoreError
from tunedmodels.service.api.base_models import EngineCatalog
from tunedmodels.service.store.jobs import JobQueue
from tunedmodels.service.store.models import ModelStore
from tunedmodels.service.training.job import JobOutcome, train_job

_NICE_INCREMENT = 10  # requests have priority over training


class _ExitSignal:
    """Returns whether the worker should exit: after SIGTERM, or after the exit of its parent."""

    def __init__(self) -> None:
        self._is_set = False
        signal.signal(signal.SIGTERM, self._set)

    def __call__(self) -> bool:
        if not self._is_set:
            # The parent never writes to the pipe: it becomes readable when the parent closes it.
            self._is_set = bool(select.select([sys.stdin.fileno()], [], [], 0)[0])
        return self._is_set

    def _set(self, _signal: int, _frame: FrameType | None) -> None:
        self._is_set = True


def main(arguments: Sequence[str]) -> int:
    """Train the free jobs of a store and return the exit status."""
    parser = argparse.ArgumentParser(prog="tunedmodels.service.training.worker")
    parser.add_argument("store", type=Path)
    parser.add_argument("--engines", default="tunedmodels.engines:ENGINES", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    os.nice(_NICE_INCREMENT)
    should_stop = _ExitSignal()
    store = ModelStore(options.store)
    try:
        _train_jobs(JobQueue(store), EngineCatalog(options.engines), should_stop)
    except (StoreError, OSError) as error:
        # The store cannot be written, so the job stays unfinished and continues later.
        text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        sys.stderr.write(f"{text}\n")
        return 1
    finally:
        store.close()
    return 0


def _train_jobs(jobs: JobQueue, catalog: EngineCatalog, should_stop: _ExitSignal) -> None:
    jobs.store.files.create_directories()
    while not should_stop() and (lease := jobs.take()):
        try:
            outcome = train_job(lease.model, jobs, catalog, should_stop=should_stop)
        finally:
            lease.release()
        if outcome is JobOutcome.INTERRUPTED:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
