"""The library page for tests: visitors that keep cookies and send forms as a browser does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.counting_engine import BASE
from tests.support.embedded_service import client, create, service
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.identity import Caller, Keys, digest
from tunedmodels.service.server import Assembled
from tunedmodels.service.web.app import Library

_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')
_NONCE = re.compile(r'name="nonce" value="([0-9a-f]*)"')
HOSTILE = "<script>alert('x')</script>\"&\u202egnp"

CALLERS = {
    "key-of-the-owner": Caller("ana@example.com", 1),
    "key-of-a-writer": Caller("bo@example.com", 2),
    "key-of-a-reader": Caller("cy@example.com", 3),
    "key-of-a-stranger": Caller("fay@example.com", 6),
}
KEYS = Keys({digest(key): caller for key, caller in CALLERS.items()})


class Visitor:
    """Somebody with a browser of their own. `headers` go with every request."""

    def __init__(self, library: Library | Assembled, **headers: str) -> None:
        transport = httpx.ASGITransport(library.app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        )
        self.page = ""

    async def __aenter__(self) -> Self:
        await self.http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.http.__aexit__(kind, error, trace)

    async def get(self, path: str, status: int = 200) -> str:
        """Open a page and return its text as a person reads it."""
        return self._read(await self.http.get(path), status)

    async def send(
        self, path: str, fields: dict[str, str] | None = None, *, status: int = 303, **more: Any
    ) -> str:
        """Send a form of the page that is open; returns where it leads, or the page that comes."""
        hidden = {"form_token": self.hidden(_TOKEN), "nonce": self.hidden(_NONCE)}
        answer = await self.http.post(path, data=hidden | (fields or {}), **more)
        text = self._read(answer, status)
        return answer.headers["location"] if answer.is_redirect else text

    async def sign_in(self, key: str) -> None:
        """Give a key on the page for it."""
        await self.get("/sign-in")
        assert await self.send("/sign-in", {"key": key, "after": "/"}) == "/"

    def hidden(self, pattern: re.Pattern[str]) -> str:
        """A hidden field of the page that is open."""
        found = pattern.search(self.page)
        return found[1] if found else ""

    def _read(self, answer: httpx.Response, status: int) -> str:
        assert answer.status_code == status, answer.text
        if not answer.is_redirect:
            self.page = answer.text
        return unescape(answer.text)


def library(opened: EmbeddedService) -> Library:
    """The library of a service."""
    return Library(opened.rooms, opened.app)


@asynccontextmanager
async def visited(folder: Path) -> AsyncIterator[tuple[Visitor, httpx.AsyncClient]]:
    """A visitor of a service without keys, and a client of its API."""
    with service(folder) as opened:
        async with Visitor(library(opened)) as visitor, client(opened) as api:
            yield visitor, api


def rows(count: int = 20) -> str:
    """Examples as JSON Lines."""
    return "\n".join(f'{{"text_input": "in {n}", "output": "yes"}}' for n in range(count))


def form(data: str = "", **fields: str) -> dict[str, str]:
    """The fields of the form to tune."""
    settings = {"epoch_count": "2", "batch_size": "4", "learning_rate": "0.001"}
    return {"data": data, "base_model": BASE, "action": "check", **settings, **fields}


__all__ = [
    "BASE", "CALLERS", "HOSTILE", "KEYS", "Visitor", "create", "form", "library", "rows", "visited",
]  # fmt: skip
