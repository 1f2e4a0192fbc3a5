"""A process that trains: one job after another, until none is left or its parent is gone.

    python -m tunedmodels.service.training.worker STORE

Its standard input is a pipe whose other end its parent holds. When that closes, for whatever
reason, a kill of the parent included, the worker writes a checkpoint and leaves.
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
from tunedmodels.service.api.base_models import Catalogue
from tunedmodels.service.store.jobs import Jobs
from tunedmodels.service.store.models import Store
from tunedmodels.service.training.job import Ending, train

_NICENESS = 10  # whoever waits for an answer goes first


class _Farewell:
    """Whether it is time to leave: the parent is gone, or somebody asked us to end."""

    def __init__(self) -> None:
        self._is_asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def __call__(self) -> bool:
        if not self._is_asked:
            # Nobody ever writes to the pipe: it can be read only when its other end is closed.
            self._is_asked = bool(select.select([sys.stdin.fileno()], [], [], 0)[0])
        return self._is_asked

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self._is_asked = True


def main(arguments: Sequence[str]) -> int:
    """Train whatever is unfinished and free in a store; return the exit status."""
    parser = argparse.ArgumentParser(prog="tunedmodels.service.training.worker")
    parser.add_argument("store", type=Path)
    parser.add_argument("--engines", default="tunedmodels.engines:ENGINES", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    os.nice(_NICENESS)
    must_leave = _Farewell()
    store = Store(options.store)
    try:
        _work(Jobs(store), Catalogue(options.engines), must_leave)
    except (StoreError, OSError) as error:
        # Nothing can be written now, so nothing is: the job goes on from its checkpoint later.
        words = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        sys.stderr.write(f"{words}\n")
        return 1
    finally:
        store.close()
    return 0


def _work(jobs: Jobs, catalogue: Catalogue, must_leave: _Farewell) -> None:
    jobs.store.files.prepare()
    while not must_leave() and (lease := jobs.take()):
        try:
            ending = train(lease.model, jobs, catalogue, must_leave=must_leave)
        finally:
            lease.release()
        if ending is Ending.LEFT:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
