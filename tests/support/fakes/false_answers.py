"""Answers with a status of 2xx that are not those of the service, such as a login page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import httpx

LOGIN_PAGE = "<!doctype html><html><title>Sign in</title><form></form></html>"
FALSE_ANSWERS: dict[str, Callable[[], httpx.Response]] = {
    "html": lambda: httpx.Response(200, html=LOGIN_PAGE),
    "garbage": lambda: httpx.Response(200, content=b"\xff\x00{{"),
    "truncated": lambda: httpx.Response(200, content=b'{"name": "tunedMod'),
    "empty": lambda: httpx.Response(200, content=b""),
    "no-content": lambda: httpx.Response(204),
    "null": lambda: httpx.Response(200, json=None),
    "list": lambda: httpx.Response(200, json=[]),
    "text": lambda: httpx.Response(200, json="done"),
    "number": lambda: httpx.Response(200, json=0),
    "empty-message": lambda: httpx.Response(200, json={}),
    "other-message": lambda: httpx.Response(200, json={"status": "ok", "items": []}),
    "created": lambda: httpx.Response(201, html=LOGIN_PAGE),
    "bad-encoding": lambda: httpx.Response(
        200, stream=httpx.ByteStream(b"not gzip"), headers={"content-encoding": "gzip"}
    ),
}


@dataclass
class FalseAnswers(httpx.AsyncBaseTransport):
    """Replaces the responses of a service.

    `answer` makes the response to the requests for which `is_hit` is true, `times` times; None is
    the response of the service. With `has_effect` the service executes these requests.
    """

    service: httpx.AsyncBaseTransport
    is_hit: Callable[[httpx.Request], bool] = lambda _: True
    answer: Callable[[], httpx.Response] | None = None
    has_effect: bool = False
    times: int = 1_000
    hits: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response of the service, or the false one."""
        if self.answer is None or self.hits >= self.times or not self.is_hit(request):
            return await self.service.handle_async_request(request)
        self.hits += 1
        if self.has_effect:
            response = await self.service.handle_async_request(request)
            await response.aread()
        return self.answer()
