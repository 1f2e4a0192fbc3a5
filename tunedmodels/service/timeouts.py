"""Timeouts for connections: a client cannot keep one open by sending almost nothing.

uvicorn limits the size of a request head and the idle time between two requests. It waits without
limit for the first byte, for the rest of a head, and for the rest of a body that was already
rejected. `TimeoutProtocol` adds these timeouts. The body of an accepted request has its own timeout
with an error response, in `api/messages.py`.

`TimeoutProtocol` extends a private class of uvicorn: check it when uvicorn is upgraded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

#: For a whole request head, from the start of the connection or the last response on.
HEAD_TIMEOUT_S = 10.0
#: Key in `scope["extensions"]` of a function that closes the connection without a response.
DROP_EXTENSION = "tunedmodels.drop"


class TimeoutProtocol(H11Protocol):
    """uvicorn's protocol on h11, with timeouts."""

    _timer: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401  # passed to uvicorn
        super().__init__(*args, **options)
        self.app = _with_drop_extension(self.app, self._drop)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Start the timer for the first head."""
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Process data. Received bytes do not restart a running timer."""
        super().data_received(data)
        self._start_timer()

    def on_response_complete(self) -> None:
        """Start the timer for the next head, or for the rest of a body that is not read."""
        super().on_response_complete()
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        super().connection_lost(exc)
        self._cancel_timer()

    def _drop(self) -> None:
        self.transport.abort()

    def _start_timer(self) -> None:
        """Start the timer if the service waits for the client and it does not run yet.

        Cancels it while a request is processed or a response is sent.
        """
        is_answered = self.conn.our_state in (h11.DONE, h11.MUST_CLOSE)
        is_waiting = self.conn.their_state is h11.IDLE or is_answered
        if not is_waiting or self.transport.is_closing():
            self._cancel_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self.timeout_keep_alive_handler)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def drop_connection(scope: Scope, receive: Receive) -> None:
    """Close a connection without a response, or in the middle of one.

    Raises ConnectionResetError if there is no connection, as with an in-process transport.
    """
    close: Callable[[], None] | None = scope.get("extensions", {}).get(DROP_EXTENSION)
    if close is None:
        raise ConnectionResetError("dropped on purpose")
    close()
    while (await receive())["type"] != "http.disconnect":
        pass  # data that was received before the connection was closed


def _with_drop_extension(app: ASGIApp, drop: Callable[[], None]) -> Any:  # noqa: ANN401  # an application in uvicorn's own types
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"] = {**scope.get("extensions", {}), DROP_EXTENSION: drop}
        await app(scope, receive, send)

    return wrapped
