"""`/healthz`: whether the service answers, its store takes what is written, and jobs can go on.

It says no name and no path, so it needs no key; the reason of a failure is in the log of whoever
runs the service. Anybody may ask as often as they like: the disk is asked once a second at most.
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

_FRESH_S = 1.0

Check = Callable[[], None]


class Health:
    """Checks by name; each raises StoreError when something is wrong."""

    def __init__(
        self, checks: dict[str, Check], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._checks = checks
        self._now = now
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._found: dict[str, str] = {}

    def answer(self, _request: Request) -> Response:
        """Answer with 200 when all is well, else with 503."""
        with self._lock:
            if self._now() - self._looked >= _FRESH_S:
                self._look()
            found = dict(self._found)
        failing = sorted(name for name, words in found.items() if words)
        document = {
            "status": "failing" if failing else "ok",
            "checks": {name: "failing" if words else "ok" for name, words in found.items()},
        }
        return Response(
            msgspec.json.encode(document),
            status_code=503 if failing else 200,
            media_type="application/json",
            headers={"cache-control": "no-store"},
        )

    def _look(self) -> None:
        for name, check in self._checks.items():
            words = ""
            try:
                check()
            except StoreError as error:
                words = f"{error.message}. {error.cure}".rstrip()
            if words and words != self._found.get(name):
                sys.stderr.write(f"{words}\n")
            self._found[name] = words
        self._looked = self._now()
