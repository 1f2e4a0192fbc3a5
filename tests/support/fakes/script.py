"""A transport with a list of responses, in place of the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

ScriptedResponse = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class ScriptedTransport(httpx.AsyncBaseTransport):
    """Returns one response after the other, and records the requests."""

    def __init__(self, *responses: ScriptedResponse) -> None:
        self.responses = list(responses)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        response = self.responses.pop(0)
        if isinstance(response, Exception):
            raise response
        if isinstance(response, httpx.Response):
            return response
        return response(request)

    @property
    def calls(self) -> list[str]:
        """`METHOD /path` of every request."""
        return [f"{request.method} {request.url.path}" for request in self.requests]

    def body(self, number: int = -1) -> Any:
        """Return the JSON body of a request, of the last one by default."""
        return json.loads(self.requests[number].content)


def ok_response(message: object = None) -> httpx.Response:
    """Return a success, with `{}` by default."""
    return httpx.Response(200, json={} if message is None else message)


def error_response(
    code: int,
    message: str = "",
    *,
    status: str = "",
    details: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Return an error in the format of Google."""
    error = {"code": code, "message": message, "status": status, "details": details or []}
    return httpx.Response(code, json={"error": error}, headers=headers)


def error_detail(kind: str, **fields: Any) -> dict[str, Any]:
    """Return an error detail of google.rpc."""
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields}
