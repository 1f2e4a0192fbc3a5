"""One job, from where it was left to where it ends. Runs in a worker.

Steps become visible in stretches, several times a second. A checkpoint is written only after the
steps up to it are in the database, so that a job that goes on from it has a whole curve.
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
from tunedmodels.engines.engine import Adapter, Step, Tuning, TuningRequest
from tunedmodels.errors import StoreError
from tunedmodels.service.api.base_models import Catalogue
from tunedmodels.service.api.responses import snapshot
from tunedmodels.service.errors import ApiError, Status
from tunedmodels.service.records import Model
from tunedmodels.service.store.jobs import Jobs

MOST_DEATHS = 3
_LOOK_S = 0.02  # how often a job asks, between two steps, whether it is still wanted
_SHOW_S = 0.08  # how often its steps become visible
_SAVE_S = 2.0  # how much work a kill may cost


class Ending(Enum):
    """Why a job is in our hands no more."""

    FINISHED = auto()
    FAILED = auto()
    UNWANTED = auto()  # cancelled or deleted
    LEFT = auto()  # to be gone on with by whoever comes next


class _JobError(Exception):
    """The job cannot be done, for a reason that its owner is told."""

    def __init__(self, status: Status, words: str) -> None:
        super().__init__(words)
        self.status = status


def train(
    model: Model, jobs: Jobs, catalogue: Catalogue, *, must_leave: Callable[[], bool]
) -> Ending:
    """Train `model`, which is ours. Raises StoreError; any other failure is the job's own end."""
    try:
        ending = _Run(model, jobs, catalogue).to_the_end(must_leave)
    except StoreError:
        # Not the job's fault: it goes on when the disk does.
        with suppress(StoreError):
            jobs.note_progress(model.seq)
        raise
    except Exception as error:  # noqa: BLE001  # one job's failure must not be the end of others
        failure = _explained(error)
        jobs.fail(model.seq, failure.status, str(failure))
        ending = Ending.FAILED
    if ending is not Ending.LEFT:
        jobs.store.files.discard_work(model.id, model.seq)
    if ending is Ending.UNWANTED:
        jobs.store.files.discard(model.id, model.seq)
    return ending


def _explained(error: Exception) -> _JobError:
    if isinstance(error, _JobError):
        return error
    if isinstance(error, ApiError):
        return _JobError(error.status, error.message)
    if isinstance(error, MemoryError):
        words = "The memory of this machine is not enough for this job. Use less or shorter data."
        return _JobError(Status.RESOURCE_EXHAUSTED, words)
    traceback.print_exception(error, file=sys.stderr)
    words = f"Training broke down: {type(error).__name__}: {error}"
    return _JobError(Status.INTERNAL, words)


class _Run:
    """A job at work in this process."""

    def __init__(self, model: Model, jobs: Jobs, catalogue: Catalogue) -> None:
        self._model = model
        self._jobs = jobs
        self._catalogue = catalogue
        self._checkpoint = jobs.store.files.checkpoint(model.id, model.seq)
        self._unseen: list[bytes] = []
        self._last_step = 0

    def to_the_end(self, must_leave: Callable[[], bool]) -> Ending:
        """Take every step that is left, and keep what was learned."""
        if self._model.deaths > MOST_DEATHS:
            words = (
                f"Training ended {MOST_DEATHS} times without a word, at the same place: perhaps "
                "for lack of memory. Use less or shorter data."
            )
            raise _JobError(Status.INTERNAL, words)
        try:
            return self._take_steps(self._begin(), must_leave)
        except ValueError as error:
            raise _JobError(Status.INVALID_ARGUMENT, str(error)) from error

    def _take_steps(self, tuning: Tuning, must_leave: Callable[[], bool]) -> Ending:
        looked = shown = saved = time.monotonic()
        for step in tuning:
            self._note(step)
            now = time.monotonic()
            if now - looked < _LOOK_S:
                continue
            looked = now
            is_time_to_leave = must_leave()
            is_time_to_save = is_time_to_leave or now - saved >= _SAVE_S
            if is_time_to_save or now - shown >= _SHOW_S:
                shown = now
                is_wanted = self._show()
            else:
                is_wanted = self._jobs.is_wanted(self._model.seq)
            if not is_wanted:
                return Ending.UNWANTED
            if is_time_to_save:
                self._save(tuning.adapter())
                saved = now
            if is_time_to_leave:
                return Ending.LEFT
        return self._finish(tuning)

    def _begin(self) -> Tuning:
        """Begin, or go on from the checkpoint if it fits the curve."""
        engine = self._catalogue.engine(self._model.base_model, method="createTunedModel")
        request = self._request()
        checkpoint = self._read_checkpoint()
        self._jobs.rewind(self._model.seq, self._last_step)
        return engine.tune(request, resume=checkpoint)

    def _request(self) -> TuningRequest:
        model = self._model
        data = self._jobs.examples(model.seq)
        settings = f"{model.epoch_count} {model.batch_size} {model.learning_rate!r}"
        # From the content alone: the same request gives the same curve and the same model.
        content = f"{model.base_model}\n{model.source}\n{settings}\n".encode() + data
        return TuningRequest(
            examples=msgspec.json.Decoder(Example).decode_lines(data),
            epoch_count=model.epoch_count,
            batch_size=model.batch_size,
            learning_rate=model.learning_rate,
            seed=int.from_bytes(hashlib.sha256(content).digest()[:8]),
            parent=self._parent(),
        )

    def _parent(self) -> Adapter | None:
        model = self._model
        if model.source_seq is None:
            return None
        from tunedmodels.engines import adapters  # noqa: PLC0415  # numpy: 0.1 s

        parent_id = model.source.removeprefix("tunedModels/")
        try:
            path = self._jobs.store.files.adapter(parent_id, model.source_seq)
            return adapters.load(path, model.base_model)
        except FileNotFoundError:
            words = f"{model.source}, which this model continues from, was deleted."
            raise _JobError(Status.FAILED_PRECONDITION, words) from None
        except ValueError as error:
            raise _JobError(Status.FAILED_PRECONDITION, str(error)) from error

    def _read_checkpoint(self) -> Adapter | None:
        from tunedmodels.engines import adapters  # noqa: PLC0415  # numpy: 0.1 s

        try:
            saved = adapters.load(self._checkpoint, self._model.base_model)
        except (OSError, ValueError):
            # A damaged one costs time, no more: the same steps are taken again.
            return None
        if saved.steps > self._model.completed_steps:
            # A power cut can lose the last moments of the database, but not this file.
            return None
        self._last_step = saved.steps
        return saved

    def _note(self, step: Step) -> None:
        self._unseen.append(snapshot(step.step, step.epoch, step.mean_loss))
        self._last_step = step.step

    def _show(self) -> bool:
        """Make the latest steps visible; False when the job is not wanted any more."""
        if not self._unseen:
            return self._jobs.is_wanted(self._model.seq)
        stretch = b",".join(self._unseen).decode()
        self._unseen.clear()
        return self._jobs.add_steps(self._model.seq, self._last_step, stretch)

    def _save(self, adapter: Adapter) -> None:
        _write(self._checkpoint, adapter)
        self._jobs.note_progress(self._model.seq)

    def _finish(self, tuning: Tuning) -> Ending:
        if not self._show():
            return Ending.UNWANTED
        path = self._jobs.store.files.adapter(self._model.id, self._model.seq)
        # First the file, whole and on disk, then the state: ACTIVE is never half a model.
        _write(path, tuning.adapter())
        return Ending.FINISHED if self._jobs.finish(self._model.seq) else Ending.UNWANTED


def _write(path: Path, adapter: Adapter) -> None:
    from tunedmodels.engines import adapters  # noqa: PLC0415  # numpy: 0.1 s

    try:
        adapters.save(path, adapter)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error
