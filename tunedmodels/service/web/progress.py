"""Live progress as server-sent events: what changed of the jobs on a page, until all have ended.

`progress` events hold {id, state, label, is_running, percent, epoch, epoch_count, loss, sentence};
`gone` names a job that the visitor cannot see any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import msgspec
from starlette.concurrency import run_in_threadpool

from tunedmodels.errors import StoreError
from tunedmodels.observed import ModelState
from tunedmodels.service.api.permissions import reached
from tunedmodels.service.api.request import Rooms
from tunedmodels.service.errors import ApiError
from tunedmodels.service.identity import Caller
from tunedmodels.service.records import Role
from tunedmodels.service.web import templating
from tunedmodels.service.web.model_view import Version, version


# FOLDED
# How far a job is, for a row, for a page and for the events that keep both up to date.
@dataclass(frozen=True, slots=True)
class Progress:
    """How far one job is. `epoch` counts the whole passes that are done."""

    id: str
    state: str
    label: str
    is_running: bool
    step: int
    total_steps: int
    epoch: int
    epoch_count: int
    loss: str

    @property
    def percent(self) -> int:
        """Whole percents of the steps that are done."""
        return 100 * self.step // self.total_steps

    @property
    def sentence(self) -> str:
        """All of it in words."""
        if not self.is_running:
            return f"{self.label}."
        if not self.step:
            return f"{self.label}: no step is done yet."
        return (
            f"{self.label}: epoch {min(self.epoch + 1, self.epoch_count)} of {self.epoch_count}, "
            f"step {self.step:,} of {self.total_steps:,}, loss {self.loss}."
        )


def progress(version: Version) -> Progress:
    """Return how far a version is; its last snapshot must be there."""
    last = version.seen.curve[-1] if version.seen.curve else None
    is_ready = version.seen.state is ModelState.READY
    model = version.model
    return Progress(
        id=model.id,
        state=version.seen.state.value,
        label=templating.STATES[version.seen.state],
        is_running=version.is_running,
        step=model.completed_steps,
        total_steps=model.total_steps,
        epoch=model.epoch_count if is_ready else (last.epoch if last else 0),
        epoch_count=model.epoch_count,
        loss=templating.loss(last.mean_loss if last else None),
    )


MOST_JOBS = 100  # per stream; a page shows no more
_LOOK_S = 0.25
_QUIET_LOOKS = 40  # a comment after so many looks without news: a proxy may drop a silent line


@dataclass(slots=True)
class Stream:
    """The events of one visitor. `caller` says who it is at the moment, None after a sign-out."""

    rooms: Rooms
    caller: Callable[[], Caller | None]
    ids: list[str]
    is_closing: Callable[[], bool]
    _known: dict[str, Progress] = field(default_factory=dict)

    async def events(self) -> AsyncIterator[bytes]:
        """Yield every event, the first ones at once."""
        quiet = 0
        yield b"retry: 1000\n\n"
        while self.ids and not self.is_closing():
            try:
                news = await run_in_threadpool(self._news)
            except StoreError:
                news = []  # a disk that is busy or full now may answer the next look
            quiet = 0 if news else quiet + 1
            if news or quiet % _QUIET_LOOKS == 0:
                yield b"".join(news) or b": still here\n\n"
            if self.ids:
                await asyncio.sleep(_LOOK_S)
        if not self.ids:
            yield b"event: end\ndata: {}\n\n"

    def _news(self) -> list[bytes]:
        news = []
        for model_id in list(self.ids):
            now = self._look(model_id)
            if now is None or not now.is_running:
                self.ids.remove(model_id)
            if now is None:
                news.append(_event("gone", {"id": model_id}))
            elif now != self._known.get(model_id):
                self._known[model_id] = now
                shown = msgspec.to_builtins(now)
                extra = {"percent": now.percent, "sentence": now.sentence}
                news.append(_event("progress", {**shown, **extra}))
        return news

    def _look(self, model_id: str) -> Progress | None:
        caller = self.caller()
        if caller is None:
            return None
        try:
            # Every look asks again whether it may: permissions come and go.
            model = reached(self.rooms, caller, model_id, Role.READER)
        except ApiError:
            return None
        last = self.rooms.store.last_snapshots([model])
        return progress(version(model, last.get(model.seq, "")))


def _event(kind: str, message: dict[str, object]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(message))
