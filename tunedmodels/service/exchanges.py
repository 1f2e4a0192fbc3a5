"""What one request and its answer were, told to whoever keeps count: the access log, the metrics.

Nothing of what was asked for or answered is in it: no key, no query, no body.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunedmodels.service.identity import Caller

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADER = b"x-request-id"
_LONGEST_PATH = 200  # characters


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer.

    `route` is the template of the path (`/v1beta/tunedModels/{id}`), empty where nothing is; `path`
    is as it was sent, cut off where it is very long. `status` is 0 when no answer was begun.
    `received` and `sent` are bytes of bodies. `user` is empty without keys, `injected` without
    chaos. `began` is in seconds since the epoch.
    """

    id: str
    began: float
    took_s: float
    client: str
    method: str
    route: str
    path: str
    status: int
    received: int
    sent: int
    user: str
    injected: str


class Observed:
    """An application whose exchanges are told when they are over; each gets an id.

    A well-formed `x-request-id` is kept, so that the lines of a proxy and ours can be joined.
    """

    def __init__(
        self, app: ASGIApp, routes: Sequence[BaseRoute], *tell: Callable[[Exchange], None]
    ) -> None:
        self._app = app
        self._templates: dict[object, str] = {
            route.endpoint: route.path for route in routes if isinstance(route, Route)
        }
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an exchange on, and tell of it when it has ended, however it ended."""
        size_in = size_out = status = 0
        request_id = _request_id(scope)

        async def received() -> Message:
            nonlocal size_in
            message = await receive()
            size_in += len(message.get("body", b""))
            return message

        async def sent(message: Message) -> None:
            nonlocal size_out, status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (_HEADER, request_id.encode())]
                message = {**message, "headers": headers}
            size_out += len(message.get("body", b""))
            await send(message)

        began, start = time.time(), time.perf_counter()
        try:
            await self._app(scope, received, sent)
        finally:
            took_s = time.perf_counter() - start
            exchange = Exchange(
                id=request_id,
                began=began,
                took_s=took_s,
                client=(scope.get("client") or ("",))[0],
                method=scope["method"],
                route=self._templates.get(scope.get("endpoint", self), ""),
                path=scope["path"][:_LONGEST_PATH],
                status=status,
                received=size_in,
                sent=size_out,
                user=_user(scope),
                injected=scope.get("state", {}).get("injected", ""),
            )
            for tell in self._tell:
                tell(exchange)


def _request_id(scope: Scope) -> str:
    given = dict(scope["headers"]).get(_HEADER, b"").decode("latin-1")
    return given if _ID.fullmatch(given) else secrets.token_hex(8)


def _user(scope: Scope) -> str:
    """Return who asked, as far as a key said so."""
    caller: Caller | None = scope.get("state", {}).get("caller")
    return "" if caller is None or caller.owns_everything else caller.email
