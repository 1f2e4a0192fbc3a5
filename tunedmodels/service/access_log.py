"""The access log: one line of JSON for each request, when it is over.

    {"time":"2026-01-31T12:00:00.123Z","id":"9f2c...","client":"127.0.0.1","user":"ana@example.com",
     "method":"GET","path":"/v1beta/tunedModels/tone-1a2b3c4d","status":200,"ms":1.9,...}

It holds no key, no query string and nothing of any body.
"""

from __future__ import annotations

import logging
import re
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, Self

import msgspec
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunedmodels.errors import TunedModelsError
from tunedmodels.service.identity import Caller

STANDARD_OUTPUT = Path("-")


class AccessLog:
    """Writes exchanges to a file, which may be moved away at any time, or to standard output."""

    def __init__(self, target: Path) -> None:
        """Open the log. Raises TunedModelsError when it cannot be written."""
        self._handler: logging.StreamHandler[Any]
        if target == STANDARD_OUTPUT:
            self._handler = logging.StreamHandler(sys.stdout)
        else:
            try:
                target.touch(mode=0o600)
                self._handler = WatchedFileHandler(target, encoding="utf-8")
            except OSError as error:
                raise TunedModelsError(
                    f"{target}: cannot be written as the access log: {error.strerror or error}",
                    cure="Choose another --access-log FILE, or - for standard output.",
                ) from error
        # A log that takes nothing more (a full disk, a closed pipe) is no reason to fail a request.
        self._handler.handleError = _lose  # type: ignore[method-assign, assignment]  # of this one

    def write(self, exchange: Exchange) -> None:
        """Write one line."""
        line = msgspec.json.encode(_document(exchange)).decode()
        self._handler.handle(logging.makeLogRecord({"msg": line}))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):
            self._handler.close()


def _lose(_record: logging.LogRecord) -> None:
    """Go on without a line that cannot be written."""


def _document(exchange: Exchange) -> dict[str, object]:
    """Return the fields of a line; what there is nothing to say about is left out."""
    began = datetime.fromtimestamp(exchange.began, UTC).isoformat(timespec="milliseconds")
    fields: dict[str, object] = {
        "time": began.replace("+00:00", "Z"),
        "id": exchange.id,
        "client": exchange.client,
        "user": exchange.user,
        "method": exchange.method,
        "path": exchange.path,
        "route": exchange.route,
        "chaos": exchange.injected,
    }
    return {
        **{name: value for name, value in fields.items() if value},
        "status": exchange.status,
        "ms": round(exchange.took_s * 1000, 3),
        "received": exchange.received,
        "sent": exchange.sent,
    }


# FOLDED
# What one request and its answer were, told to whoever keeps count: the access log, the metrics.
#
# Nothing of what was asked for or answered is in it: no key, no query, no body.
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
