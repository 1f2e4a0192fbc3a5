"""Services of Google on loopback, with a table of responses by `METHOD /path`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.embedded_service import serve_in_thread
from tests.support.fakes.script import error_detail


@dataclass
class FakeGoogleServices:
    """The responses and the requests so far; a request without a response gets a 404."""

    url: str = ""
    table: dict[str, tuple[int, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def respond(self, request: str, document: Any, code: int = 200) -> None:
        """Set the response to a request, for example `GET /v1/x`."""
        self.table[request] = code, document

    def refuse(
        self, request: str, code: int, message: str, *, status: str = "", **info: Any
    ) -> None:
        """Set an error response in the format of Google; `info` is an ErrorInfo."""
        details = [error_detail("ErrorInfo", domain="googleapis.com", **info)] if info else []
        error = {"code": code, "message": message, "status": status, "details": details}
        self.table[request] = code, {"error": error}

    async def answer(self, request: Request) -> Response:
        """Return the response of the table."""
        key = f"{request.method} {request.url.path}"
        self.requests.append(key)
        not_found = 404, {"error": {"code": 404, "message": "Not Found", "status": "NOT_FOUND"}}
        code, document = self.table.get(key, not_found)
        return JSONResponse(document, status_code=code)


@contextmanager
def google_services() -> Iterator[FakeGoogleServices]:
    """Run the fake on a port of this machine."""
    fake = FakeGoogleServices()
    route = Route("/{path:path}", fake.answer, methods=["GET", "POST"])
    with serve_in_thread(Starlette(routes=[route])) as fake.url:
        yield fake
