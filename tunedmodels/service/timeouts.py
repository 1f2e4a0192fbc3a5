"""A connection that has its time: nobody keeps one open by sending next to nothing.

uvicorn limits how large a head may be and how long a connection may rest between two requests. It
waits without end for the first byte, for the rest of a head, and for the rest of a body that was
already refused. (The body of a request that is wanted has its time in `bodies.py`, and an answer.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0  # for a whole head, from the connection or the last answer on
DROP = "tunedmodels.drop"  # in `scope["extensions"]`: closes the connection without an answer


class PatientProtocol(H11Protocol):
    """uvicorn's protocol on h11, whose patience has an end."""

    _end: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401  # uvicorn's, as they are
        super().__init__(*args, **options)
        self.app = _droppable(self.app, self._drop)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        """Read on; a single byte is no reason to wait longer."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Wait for the next head, or for the end of a body that nobody reads any more."""
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        self._rest()

    def _drop(self) -> None:
        self.transport.abort()

    def _look(self) -> None:
        """Let the time run while it is the client's turn and nothing of ours is under way."""
        is_answered = self.conn.our_state in (h11.DONE, h11.MUST_CLOSE)
        is_their_turn = self.conn.their_state is h11.IDLE or is_answered
        if not is_their_turn or self.transport.is_closing():
            self._rest()
        elif self._end is None:
            self._end = self.loop.call_later(HEAD_S, self.timeout_keep_alive_handler)

    def _rest(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None


def _droppable(app: ASGIApp, drop: Callable[[], None]) -> Any:  # noqa: ANN401  # an application in uvicorn's own types
    async def reached(scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"] = {**scope.get("extensions", {}), DROP: drop}
        await app(scope, receive, send)

    return reached


async def drop(scope: Scope, receive: Receive) -> None:
    """Close a connection without an answer, or without the rest of it.

    Raises ConnectionResetError where there is no connection, as in a process of one's own.
    """
    close: Callable[[], None] | None = scope.get("extensions", {}).get(DROP)
    if close is None:
        raise ConnectionResetError("dropped on purpose")
    close()
    while (await receive())["type"] != "http.disconnect":
        pass  # what was under way when it was closed
