"""Training of one job in a worker process, from its last checkpoint to its end.

Snapshots are published in groups, several times per second. A checkpoint is saved only after the
snapshots up to its step, so that a job that continues from it has a complete curve.
"""

from __future__ import annotations

import hashlib
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

import msgspec

from tunedmodels.datasets.examples import Example
from tunedmodels.engines.engine import Adapter, TrainingRun, TrainingStep, TuningRequest
from tunedmodels.errors import StoreError
from tunedmodels.service.api.base_models import EngineCatalog
from tunedmodels.service.api.responses import snapshot
from tunedmodels.service.errors import ApiError, ApiStatus
from tunedmodels.service.records import StoredModel
from tunedmodels.service.store.jobs import JobQueue

MAX_CRASHES = 3
_POLL_S = 0.02  # time between checks whether the job was cancelled
_PUBLISH_S = 0.08  # time between publications of snapshots
_CHECKPOINT_S = 2.0  # time between checkpoints: the work that is lost if the worker is killed


class JobOutcome(Enum):
    """Why a worker stopped training a job."""

    FINISHED = auto()
    FAILED = auto()
    CANCELLED = auto()  #: cancelled or deleted by a caller
    INTERRUPTED = auto()  #: stopped after a checkpoint; another worker continues


class _JobError(Exception):
    """The job failed; the error is stored in its operation."""

    def __init__(self, status: ApiStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def train_job(
    model: StoredModel, jobs: JobQueue, catalog: EngineCatalog, *, should_stop: Callable[[], bool]
) -> JobOutcome:
    """Train `model`, whose lease this process has, and return the outcome.

    Raises StoreError if the disk fails: the job stays unfinished. Any other error fails the job.
    """
    try:
        outcome = _JobRun(model, jobs, catalog).run(should_stop)
    except StoreError:
        # Not an error of the job: it continues when the disk works again.
        with suppress(StoreError):
            jobs.reset_crash_count(model.seq)
        raise
    except Exception as error:  # noqa: BLE001  # an error of one job must not stop the others
        failure = _to_job_error(error)
        jobs.fail(model.seq, failure.status, str(failure))
        outcome = JobOutcome.FAILED
    if outcome is not JobOutcome.INTERRUPTED:
        jobs.store.files.remove_job_files(model.id, model.seq)
    if outcome is JobOutcome.CANCELLED:
        jobs.store.files.remove_model_files(model.id, model.seq)
    return outcome


def _to_job_error(error: Exception) -> _JobError:
    if isinstance(error, _JobError):
        return error
    if isinstance(error, ApiError):
        return _JobError(error.status, error.message)
    if isinstance(error, MemoryError):
        message = "Not enough memory on this machine for this job. Use fewer or shorter examples."
        return _JobError(ApiStatus.RESOURCE_EXHAUSTED, message)
    traceback.print_exception(error, file=sys.stderr)
    message = f"Training failed: {type(error).__name__}: {error}"
    return _JobError(ApiStatus.INTERNAL, message)


class _JobRun:
    """The training of a job in this process."""

    def __init__(self, model: StoredModel, jobs: JobQueue, catalog: EngineCatalog) -> None:
        self._model = model
        self._jobs = jobs
        self._catalog = catalog
        self._checkpoint_path = jobs.store.files.checkpoint_path(model.id, model.seq)
        self._unpublished: list[bytes] = []
        self._last_step = 0

    def run(self, should_stop: Callable[[], bool]) -> JobOutcome:
        """Train the remaining steps and save the adapter."""
        if self._model.crash_count > MAX_CRASHES:
            message = (
                f"The training process crashed {MAX_CRASHES} times without progress, possibly for "
                "lack of memory. Use fewer or shorter examples."
            )
            raise _JobError(ApiStatus.INTERNAL, message)
        try:
            return self._train_steps(self._start(), should_stop)
        except ValueError as error:
            raise _JobError(ApiStatus.INVALID_ARGUMENT, str(error)) from error

    def _train_steps(self, tuning: TrainingRun, should_stop: Callable[[], bool]) -> JobOutcome:
        polled_at = published_at = saved_at = time.monotonic()
        for step in tuning:
            self._add_snapshot(step)
            now = time.monotonic()
            if now - polled_at < _POLL_S:
                continue
            polled_at = now
            is_stopping = should_stop()
            is_checkpoint_due = is_stopping or now - saved_at >= _CHECKPOINT_S
            if is_checkpoint_due or now - published_at >= _PUBLISH_S:
                published_at = now
                is_unfinished = self._publish()
            else:
                is_unfinished = self._jobs.is_unfinished(self._model.seq)
            if not is_unfinished:
                return JobOutcome.CANCELLED
            if is_checkpoint_due:
                self._save_checkpoint(tuning.adapter())
                saved_at = now
            if is_stopping:
                return JobOutcome.INTERRUPTED
        return self._finish(tuning)

    def _start(self) -> TrainingRun:
        """Start the job, or continue from the checkpoint if it matches the curve."""
        engine = self._catalog.get(self._model.base_model, method="createTunedModel")
        request = self._training_request()
        checkpoint = self._load_checkpoint()
        self._jobs.rewind(self._model.seq, self._last_step)
        return engine.tune(request, resume=checkpoint)

    def _training_request(self) -> TuningRequest:
        model = self._model
        data = self._jobs.examples(model.seq)
        settings = f"{model.epoch_count} {model.batch_size} {model.learning_rate!r}"
        # The seed depends only on the content: equal requests give equal curves and models.
        content = f"{model.base_model}\n{model.source}\n{settings}\n".encode() + data
        return TuningRequest(
            examples=msgspec.json.Decoder(Example).decode_lines(data),
            epoch_count=model.epoch_count,
            batch_size=model.batch_size,
            learning_rate=model.learning_rate,
            seed=int.from_bytes(hashlib.sha256(content).digest()[:8]),
            parent=self._load_source(),
        )

    def _load_source(self) -> Adapter | None:
        model = self._model
        if model.source_seq is None:
            return None
        from tunedmodels.engines import adapters  # noqa: PLC0415  # numpy: 0.1 s

        source_id = model.source.removeprefix("tunedModels/")
        try:
            path = self._jobs.store.files.adapter_path(source_id, model.source_seq)
            return adapters.load(path, model.base_model)
        except FileNotFoundError:
            message = f"{model.source}, from which this model continues, was deleted."
            raise _JobError(ApiStatus.FAILED_PRECONDITION, message) from None
        except ValueError as error:
            raise _JobError(ApiStatus.FAILED_PRECONDITION, str(error)) from error

    def _load_checkpoint(self) -> Adapter | None:
        from tunedmodels.engines import adapters  # noqa: PLC0415  # numpy: 0.1 s

        try:
            checkpoint = adapters.load(self._checkpoint_path, self._model.base_model)
        except (OSError, ValueError):
            # Without a usable checkpoint the same steps are trained again.
            return None
        if checkpoint.steps > self._model.completed_steps:
            # A power failure can lose the last transactions of the database, but not this file.
            return None
        self._last_step = checkpoint.steps
        return checkpoint

    def _add_snapshot(self, step: TrainingStep) -> None:
        self._unpublished.append(snapshot(step.step, step.epoch, step.mean_loss))
        self._last_step = step.step

    def _publish(self) -> bool:
        """Store the latest snapshots; return False if the job was cancelled or deleted."""
        if not self._unpublished:
            return self._jobs.is_unfinished(self._model.seq)
        snapshots = b",".join(self._unpublished).decode()
        self._unpublished.clear()
        return self._jobs.add_steps(self._model.seq, self._last_step, snapshots)

    def _save_checkpoint(self, adapter: Adapter) -> None:
        _save_adapter(self._checkpoint_path, adapter)
        self._jobs.reset_crash_count(self._model.seq)

    def _finish(self, tuning: TrainingRun) -> JobOutcome:
        if not self._publish():
            return JobOutcome.CANCELLED
        path = self._jobs.store.files.adapter_path(self._model.id, self._model.seq)
        # First the complete file, then the state: an ACTIVE model always has its adapter.
        _save_adapter(path, tuning.adapter())
        return JobOutcome.FINISHED if self._jobs.finish(self._model.seq) else JobOutcome.CANCELLED


def _save_adapter(path: Path, adapter: Adapter) -> None:
    from tunedmodels.engines import adapters  # noqa: PLC0415  # numpy: 0.1 s

    try:
        adapters.save(path, adapter)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error
