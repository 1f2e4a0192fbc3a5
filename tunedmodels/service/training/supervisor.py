"""Keeps as many workers as are allowed at the unfinished jobs of a store.

Training runs in processes of its own: it would hold the interpreter's lock against every request,
and a kill or a lack of memory there must not take the service along.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from tunedmodels.errors import StoreError
from tunedmodels.service.store.jobs import Jobs

_POLL_S = 0.25  # for what nobody tells us: a worker's end, jobs that other processes leave behind
_LEAVE_S = 10.0  # how long a worker may take for its last step and its checkpoint
_FIRST_PAUSE_S = 0.1  # after a worker that failed; doubled for each one after it
_LONGEST_PAUSE_S = 30.0
_MOST_SETBACKS = 3  # in a row; fewer may be a neighbour's lock or a disk that is full for a moment
_LARGEST_LOG = 1024 * 1024  # bytes
_LAST_WORDS = 4096  # bytes
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Trainer:
    """A thread that starts workers and looks after them, between `start` and `close`."""

    def __init__(self, jobs: Jobs, *, at_once: int, engines: str) -> None:
        self._jobs = jobs
        self._at_once = at_once
        self._engines = engines
        self._log = jobs.store.folder / "worker.log"
        self._workers: list[subprocess.Popen[bytes]] = []
        self._news = threading.Event()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._not_before = 0.0
        self._setbacks: list[str] = []  # why the last workers could not work, in a row

    def start(self) -> None:
        """Begin; no harm if it has begun already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._supervise, name="trainer", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Say that there is a new job."""
        self._news.set()

    def check(self) -> None:
        """Raise StoreError when worker after worker cannot work, because of a full disk, say."""
        if len(self._setbacks) >= _MOST_SETBACKS:
            raise StoreError(
                f"No job can go on: {self._setbacks[-1]}",
                cure="Mend that (on a full disk: free some space), then run `tunedmodels apply` "
                "again.\nWhat is unfinished goes on from its checkpoint.",
            )

    def close(self) -> None:
        """Let the workers write their checkpoints and leave; returns when they have left."""
        self._is_closing = True
        self._news.set()
        if self._thread is not None:
            self._thread.join()
        for worker in self._workers:
            _close_pipe(worker)
        deadline = time.monotonic() + _LEAVE_S
        for worker in self._workers:
            try:
                worker.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self._workers.clear()

    def _supervise(self) -> None:
        while not self._is_closing:
            self._reap()
            try:
                while self._is_help_wanted():
                    self._workers.append(self._hire())
            except (StoreError, OSError) as error:
                self._setbacks.append(str(error))  # the next look is soon enough
            self._news.wait(_POLL_S)
            self._news.clear()

    def _reap(self) -> None:
        for worker in [worker for worker in self._workers if worker.poll() is not None]:
            self._workers.remove(worker)
            _close_pipe(worker)
            if worker.returncode == 0:
                self._failures = 0
                self._setbacks.clear()
            else:
                if worker.returncode > 0:  # one that was killed is counted against its job
                    self._setbacks.append(self._last_words())
                pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self._failures)
                self._not_before = time.monotonic() + pause_s
                self._failures += 1

    def _is_help_wanted(self) -> bool:
        if self._is_closing or len(self._workers) >= self._at_once:
            return False
        if time.monotonic() < self._not_before:
            return False
        unfinished = self._jobs.unfinished()
        # A worker that has just been hired has taken nothing yet: it counts against all jobs.
        return len(self._workers) < len(unfinished) and any(
            self._jobs.is_free(seq, model_id) for seq, model_id in unfinished
        )

    def _last_words(self) -> str:
        """Return what a worker wrote last; nothing can be written on a full disk."""
        try:
            with self._log.open("rb") as log:
                log.seek(max(0, self._log.stat().st_size - _LAST_WORDS))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else f"the disk with {self._jobs.store.folder} takes nothing more"

    def _hire(self) -> subprocess.Popen[bytes]:
        folder = self._jobs.store.folder
        # The worker must find the modules that we found, and none that lie about where we stand.
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1"), "PYTHONPATH": path}
        module = "tunedmodels.service.training.worker"
        is_large = self._log.exists() and self._log.stat().st_size > _LARGEST_LOG
        with self._log.open("wb" if is_large else "ab") as errors:
            return subprocess.Popen(  # noqa: S603  # ourselves
                [sys.executable, "-P", "-m", module, str(folder), "--engines", self._engines],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment,
                # Ctrl-C is meant for whoever stands in the foreground: we close the pipe then.
                process_group=0,
            )


def _close_pipe(worker: subprocess.Popen[bytes]) -> None:
    if worker.stdin is not None:
        worker.stdin.close()
