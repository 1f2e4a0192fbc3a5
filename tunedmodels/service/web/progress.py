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
from tunedmodels.service.access import reached
from tunedmodels.service.api.request import Rooms
from tunedmodels.service.errors import ApiError
from tunedmodels.service.identity import Caller
from tunedmodels.service.library.progress import Progress, progress
from tunedmodels.service.records import Role
from tunedmodels.service.web.model_view import version

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
