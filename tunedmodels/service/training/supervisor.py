"""Starts and supervises the worker processes for the unfinished jobs of a store.

Training runs in separate processes: it would block the interpreter lock for every request, and a
killed worker or a lack of memory must not stop the service.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from tunedmodels.errors import StoreError
from tunedmodels.service.store.jobs import JobQueue

_POLL_S = 0.25  # time between checks for exited workers and for jobs that other processes left
_EXIT_TIMEOUT_S = 10.0  # for the last step of a worker and its checkpoint
_MIN_BACKOFF_S = 0.1  # after a failed worker; doubled after each further one
_MAX_BACKOFF_S = 30.0
_MAX_ERRORS = 3  # consecutive; fewer can be another process's lock or a briefly full disk
_MAX_LOG_BYTES = 1024 * 1024  # bytes
_LOG_TAIL_BYTES = 4096  # bytes
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerSupervisor:
    """A thread that starts workers and collects them, between `start` and `close`."""

    def __init__(self, jobs: JobQueue, *, max_workers: int, engines: str) -> None:
        self._jobs = jobs
        self._max_workers = max_workers
        self._engines = engines
        self._log = jobs.store.folder / "worker.log"
        self._workers: list[subprocess.Popen[bytes]] = []
        self._wake_event = threading.Event()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._not_before = 0.0
        #: Why workers could not work, since the last success.
        self._errors: list[str] = []

    def start(self) -> None:
        """Start the thread, if it was not started before."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._supervise, name="trainer", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Look for new jobs at once."""
        self._wake_event.set()

    def check(self) -> None:
        """Raise StoreError if several workers in a row could not work, as on a full disk."""
        if len(self._errors) >= _MAX_ERRORS:
            raise StoreError(
                f"No job can continue: {self._errors[-1]}",
                cure="Fix the cause (on a full disk, free some space), then run "
                "`tunedmodels apply` again.\nUnfinished jobs continue from their checkpoints.",
            )

    def close(self) -> None:
        """Stop the workers, which save checkpoints first, and wait until they have exited."""
        self._is_closing = True
        self._wake_event.set()
        if self._thread is not None:
            self._thread.join()
        for worker in self._workers:
            _close_pipe(worker)
        deadline = time.monotonic() + _EXIT_TIMEOUT_S
        for worker in self._workers:
            try:
                worker.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self._workers.clear()

    def _supervise(self) -> None:
        while not self._is_closing:
            self._collect_exited()
            try:
                while self._can_start_worker():
                    self._workers.append(self._start_worker())
            except (StoreError, OSError) as error:
                self._errors.append(str(error))  # tried again after `_POLL_S`
            self._wake_event.wait(_POLL_S)
            self._wake_event.clear()

    def _collect_exited(self) -> None:
        for worker in [worker for worker in self._workers if worker.poll() is not None]:
            self._workers.remove(worker)
            _close_pipe(worker)
            if worker.returncode == 0:
                self._failures = 0
                self._errors.clear()
            else:
                if worker.returncode > 0:  # a killed worker counts as a crash of its job
                    self._errors.append(self._last_log_line())
                backoff_s = min(_MAX_BACKOFF_S, _MIN_BACKOFF_S * 2**self._failures)
                self._not_before = time.monotonic() + backoff_s
                self._failures += 1

    def _can_start_worker(self) -> bool:
        if self._is_closing or len(self._workers) >= self._max_workers:
            return False
        if time.monotonic() < self._not_before:
            return False
        unfinished = self._jobs.list_unfinished()
        # A new worker may not have taken a job yet, so compare with the number of all jobs.
        return len(self._workers) < len(unfinished) and any(
            self._jobs.is_free(seq, model_id) for seq, model_id in unfinished
        )

    def _last_log_line(self) -> str:
        """Return the last line of the workers' log. On a full disk, the log is empty."""
        try:
            with self._log.open("rb") as log:
                log.seek(max(0, self._log.stat().st_size - _LOG_TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else f"the disk with {self._jobs.store.folder} is full"

    def _start_worker(self) -> subprocess.Popen[bytes]:
        folder = self._jobs.store.folder
        # The worker imports from the same path as this process. `-P` and the absolute path keep it
        # from importing modules of the current directory.
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        environment = {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, "1"), "PYTHONPATH": path}
        module = "tunedmodels.service.training.worker"
        is_large = self._log.exists() and self._log.stat().st_size > _MAX_LOG_BYTES
        with self._log.open("wb" if is_large else "ab") as errors:
            return subprocess.Popen(  # noqa: S603  # this interpreter
                [sys.executable, "-P", "-m", module, str(folder), "--engines", self._engines],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment,
                # Ctrl-C must not reach workers: `close` stops them through the pipe.
                process_group=0,
            )


def _close_pipe(worker: subprocess.Popen[bytes]) -> None:
    if worker.stdin is not None:
        worker.stdin.close()
