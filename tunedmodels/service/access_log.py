"""The access log: one line of JSON for each request, when it is over.

    {"time":"2026-01-31T12:00:00.123Z","id":"9f2c...","client":"127.0.0.1","user":"ana@example.com",
     "method":"GET","path":"/v1beta/tunedModels/tone-1a2b3c4d","status":200,"ms":1.9,...}

It holds no key, no query string and nothing of any body.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, Self

import msgspec

from tunedmodels.errors import TunedModelsError
from tunedmodels.service.exchanges import Exchange

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
