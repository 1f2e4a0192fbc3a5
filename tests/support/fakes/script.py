"""A service whose answers are a list: the edge of the network, written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Script(httpx.AsyncBaseTransport):
    """Gives one answer after the other and remembers what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return answer(request)

    @property
    def calls(self) -> list[str]:
        """`METHOD /path` of every request."""
        return [f"{request.method} {request.url.path}" for request in self.asked]

    def body(self, number: int = -1) -> Any:
        """The JSON that was sent."""
        return json.loads(self.asked[number].content)


def ok(message: object = None) -> httpx.Response:
    """A success, `{}` unless a message is given."""
    return httpx.Response(200, json={} if message is None else message)


def no(
    code: int,
    words: str = "",
    *,
    status: str = "",
    details: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """A refusal in Google's shape."""
    error = {"code": code, "message": words, "status": status, "details": details or []}
    return httpx.Response(code, json={"error": error}, headers=headers)


def detail(kind: str, **fields: Any) -> dict[str, Any]:
    """One of google.rpc's error details."""
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields}
