"""`/healthz`: whether the service responds, its store accepts writes, and jobs can continue.

The response contains no names and no paths, so it needs no key. The reason of a failure goes to
standard error of the server. Any caller may send any number of requests: the checks run at most
once per second.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tunedmodels.errors import StoreError

_CACHE_S = 1.0

#: Raises StoreError on failure.
HealthCheck = Callable[[], None]


class HealthEndpoint:
    """Runs named checks and reports their results."""

    def __init__(
        self, checks: dict[str, HealthCheck], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._checks = checks
        self._now = now
        self._lock = threading.Lock()
        self._checked_at = float("-inf")
        #: By the name of the check; an empty text if it succeeded.
        self._failures: dict[str, str] = {}

    def respond(self, _request: Request) -> Response:
        """Respond with 200 if every check succeeds, otherwise with 503."""
        with self._lock:
            if self._now() - self._checked_at >= _CACHE_S:
                self._run_checks()
            failures = dict(self._failures)
        failing = sorted(name for name, message in failures.items() if message)
        document = {
            "status": "failing" if failing else "ok",
            "checks": {name: "failing" if message else "ok" for name, message in failures.items()},
        }
        return Response(
            msgspec.json.encode(document),
            status_code=503 if failing else 200,
            media_type="application/json",
            headers={"cache-control": "no-store"},
        )

    def _run_checks(self) -> None:
        """Run every check, and write each new failure to standard error."""
        for name, check in self._checks.items():
            message = ""
            try:
                check()
            except StoreError as error:
                message = f"{error.message}. {error.cure}".rstrip()
            if message and message != self._failures.get(name):
                sys.stderr.write(f"{message}\n")
            self._failures[name] = message
        self._checked_at = self._now()
