"""The access log: one JSON line for each completed request.

    {"time":"2026-01-31T12:00:00.123Z","id":"9f2c...","client":"127.0.0.1","user":"ana@example.com",
     "method":"GET","path":"/v1beta/tunedModels/tone-1a2b3c4d","status":200,"ms":1.9,...}

`RequestRecorder` wraps the application and passes a `RequestRecord` of each request to callbacks:
the log and the metrics. A record contains no key, no query string and no part of a body.
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
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REQUEST_ID_HEADER = b"x-request-id"
_MAX_PATH_LENGTH = 200  # characters


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request and its response."""

    id: str
    started_at: float  #: seconds since the epoch
    duration_s: float
    client: str
    method: str
    route: str  #: template of the path (`/v1beta/tunedModels/{id}`), empty if no route matched
    path: str  #: as sent, cut after 200 characters
    status: int  #: 0 if no response was started
    received_bytes: int  #: size of the request body
    sent_bytes: int  #: size of the response body
    user: str  #: empty if the service has no keys
    chaos_kind: str  #: the injected failure, empty without `--chaos`


class AccessLog:
    """A log of requests in a file, which may be moved at any time, or on standard output."""

    def __init__(self, target: Path) -> None:
        """Open the log. Raises TunedModelsError if it cannot be written."""
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
        # An error of the log (a full disk, a closed pipe) must not fail a request.
        self._handler.handleError = _ignore_write_error  # type: ignore[method-assign, assignment]  # of this instance

    def write(self, record: RequestRecord) -> None:
        """Write one line."""
        line = msgspec.json.encode(_log_fields(record)).decode()
        self._handler.handle(logging.makeLogRecord({"msg": line}))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):
            self._handler.close()


class RequestRecorder:
    """ASGI middleware that gives each request an id and reports it after its response.

    It keeps a well-formed `x-request-id`, so that log lines of a proxy and of the service match.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[BaseRoute],
        *on_request: Callable[[RequestRecord], None],
    ) -> None:
        self._app = app
        self._templates: dict[object, str] = {
            route.endpoint: route.path for route in routes if isinstance(route, Route)
        }
        self._on_request = on_request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the application and report it, also if the application raises."""
        received_bytes = sent_bytes = status = 0
        request_id = _request_id(scope)

        async def counting_receive() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            return message

        async def counting_send(message: Message) -> None:
            nonlocal sent_bytes, status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (_REQUEST_ID_HEADER, request_id.encode())]
                message = {**message, "headers": headers}
            sent_bytes += len(message.get("body", b""))
            await send(message)

        started_at, start = time.time(), time.perf_counter()
        try:
            await self._app(scope, counting_receive, counting_send)
        finally:
            duration_s = time.perf_counter() - start
            record = RequestRecord(
                id=request_id,
                started_at=started_at,
                duration_s=duration_s,
                client=(scope.get("client") or ("",))[0],
                method=scope["method"],
                route=self._templates.get(scope.get("endpoint", self), ""),
                path=scope["path"][:_MAX_PATH_LENGTH],
                status=status,
                received_bytes=received_bytes,
                sent_bytes=sent_bytes,
                user=_user(scope),
                chaos_kind=scope.get("state", {}).get("chaos_kind", ""),
            )
            for callback in self._on_request:
                callback(record)


def _ignore_write_error(_record: logging.LogRecord) -> None:
    """Drop a line that cannot be written."""


def _log_fields(record: RequestRecord) -> dict[str, object]:
    """Return the fields of a log line, without the empty ones."""
    started_at = datetime.fromtimestamp(record.started_at, UTC).isoformat(timespec="milliseconds")
    fields: dict[str, object] = {
        "time": started_at.replace("+00:00", "Z"),
        "id": record.id,
        "client": record.client,
        "user": record.user,
        "method": record.method,
        "path": record.path,
        "route": record.route,
        "chaos": record.chaos_kind,
    }
    return {
        **{name: value for name, value in fields.items() if value},
        "status": record.status,
        "ms": round(record.duration_s * 1000, 3),
        "received": record.received_bytes,
        "sent": record.sent_bytes,
    }


def _request_id(scope: Scope) -> str:
    header = dict(scope["headers"]).get(_REQUEST_ID_HEADER, b"").decode("latin-1")
    return header if _REQUEST_ID.fullmatch(header) else secrets.token_hex(8)


def _user(scope: Scope) -> str:
    """Return the e-mail address of the caller if a key identifies it, otherwise an empty text."""
    caller: Caller | None = scope.get("state", {}).get("caller")
    return "" if caller is None or caller.is_unrestricted else caller.email
