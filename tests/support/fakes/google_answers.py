"""Services of Google on loopback, whose answers are a table by `METHOD /path`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.embedded_service import listening
from tests.support.fakes.script import detail


@dataclass
class Answers:
    """What is answered, and what was asked; anything else is a 404."""

    url: str = ""
    table: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def say(self, asked: str, document: Any, code: int = 200) -> None:
        """Answer a request, such as `GET /v1/x`, with this."""
        self.table[asked] = code, document

    def refuse(self, asked: str, code: int, words: str, *, status: str = "", **info: Any) -> None:
        """Answer a request in Google's way of saying no; `info` is an ErrorInfo."""
        details = [detail("ErrorInfo", domain="googleapis.com", **info)] if info else []
        error = {"code": code, "message": words, "status": status, "details": details}
        self.table[asked] = code, {"error": error}

    async def answer(self, request: Request) -> Response:
        """Look the answer up."""
        asked = f"{request.method} {request.url.path}"
        self.asked.append(asked)
        nothing = 404, {"error": {"code": 404, "message": "Not Found", "status": "NOT_FOUND"}}
        code, document = self.table.get(asked, nothing)
        return JSONResponse(document, status_code=code)


@contextmanager
def answers() -> Iterator[Answers]:
    """Run the fake on a port of this machine."""
    fake = Answers()
    route = Route("/{path:path}", fake.answer, methods=["GET", "POST"])
    with listening(Starlette(routes=[route])) as fake.url:
        yield fake
