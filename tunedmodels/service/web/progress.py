"""The progress of jobs, on pages and as a stream of server-sent events until all have ended.

`progress` events contain {id, state, label, is_running, percent, epoch, epoch_count, loss,
sentence}; `gone` names a job that the visitor can no longer see; `end` is the last event.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import msgspec
from starlette.concurrency import run_in_threadpool

from tunedmodels.errors import StoreError
from tunedmodels.observed import ModelState
from tunedmodels.service.api.permissions import authorize_model
from tunedmodels.service.api.request import ServiceContext
from tunedmodels.service.errors import ApiError
from tunedmodels.service.identity import Caller
from tunedmodels.service.records import AccessRole
from tunedmodels.service.web.model_view import StoredVersion, stored_version
from tunedmodels.service.web.templating import STATE_LABELS, format_loss

MAX_JOBS = 100  # per stream; a page shows fewer
_INTERVAL_S = 0.25
_KEEP_ALIVE_INTERVALS = 40  # without an event; a proxy may close a connection without traffic


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of one job."""

    id: str
    state: str
    #: The state as text.
    label: str
    is_running: bool
    step: int
    total_steps: int
    #: Completed epochs.
    epoch: int
    epoch_count: int
    loss: str

    @property
    def percent(self) -> int:
        """The percentage of completed steps, rounded down."""
        return 100 * self.step // self.total_steps

    @property
    def sentence(self) -> str:
        """The progress as a sentence."""
        if not self.is_running:
            return f"{self.label}."
        if not self.step:
            return f"{self.label}: no step is completed yet."
        return (
            f"{self.label}: epoch {min(self.epoch + 1, self.epoch_count)} of {self.epoch_count}, "
            f"step {self.step:,} of {self.total_steps:,}, loss {self.loss}."
        )


def progress_of(version: StoredVersion) -> Progress:
    """Return the progress of a version, which must have its last snapshot."""
    last = version.observed.curve[-1] if version.observed.curve else None
    is_ready = version.observed.state is ModelState.READY
    model = version.model
    return Progress(
        id=model.id,
        state=version.observed.state.value,
        label=STATE_LABELS[version.observed.state],
        is_running=version.is_running,
        step=model.completed_steps,
        total_steps=model.total_steps,
        epoch=model.epoch_count if is_ready else (last.epoch if last else 0),
        epoch_count=model.epoch_count,
        loss=format_loss(last.mean_loss if last else None),
    )


@dataclass(slots=True)
class ProgressStream:
    """The stream of events for one visitor."""

    context: ServiceContext
    #: Returns the present user of the session; None after a sign-out.
    caller: Callable[[], Caller | None]
    #: The models whose jobs have not ended.
    ids: list[str]
    is_closing: Callable[[], bool]
    _sent: dict[str, Progress] = field(default_factory=dict)

    async def events(self) -> AsyncIterator[bytes]:
        """Yield all events, the first ones at once."""
        idle_intervals = 0
        yield b"retry: 1000\n\n"
        while self.ids and not self.is_closing():
            try:
                events = await run_in_threadpool(self._new_events)
            except StoreError:
                events = []  # the next attempt may succeed, for example when the disk is not busy
            idle_intervals = 0 if events else idle_intervals + 1
            if events or idle_intervals % _KEEP_ALIVE_INTERVALS == 0:
                yield b"".join(events) or b": keep alive\n\n"
            if self.ids:
                await asyncio.sleep(_INTERVAL_S)
        if not self.ids:
            yield b"event: end\ndata: {}\n\n"

    def _new_events(self) -> list[bytes]:
        events = []
        for model_id in list(self.ids):
            progress = self._progress(model_id)
            if progress is None or not progress.is_running:
                self.ids.remove(model_id)
            if progress is None:
                events.append(_event("gone", {"id": model_id}))
            elif progress != self._sent.get(model_id):
                self._sent[model_id] = progress
                fields = msgspec.to_builtins(progress)
                extra = {"percent": progress.percent, "sentence": progress.sentence}
                events.append(_event("progress", {**fields, **extra}))
        return events

    def _progress(self, model_id: str) -> Progress | None:
        caller = self.caller()
        if caller is None:
            return None
        try:
            # Checked every time, because permissions change.
            model = authorize_model(self.context, caller, model_id, AccessRole.READER)
        except ApiError:
            return None
        snapshots = self.context.store.last_snapshots([model])
        return progress_of(stored_version(model, snapshots.get(model.seq, "")))


def _event(name: str, data: dict[str, object]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))
