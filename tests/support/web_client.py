"""Clients of the library page that keep cookies and send forms, as a browser does."""

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
from tunedmodels.service.identity import ApiKeys, Caller, key_digest
from tunedmodels.service.server import BuiltApp
from tunedmodels.service.web.app import WebLibrary

_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')
_NONCE = re.compile(r'name="nonce" value="([0-9a-f]*)"')
HOSTILE = "<script>alert('x')</script>\"&\u202egnp"

CALLERS = {
    "key-of-the-owner": Caller("ana@example.com", 1),
    "key-of-a-writer": Caller("bo@example.com", 2),
    "key-of-a-reader": Caller("cy@example.com", 3),
    "key-of-a-stranger": Caller("fay@example.com", 6),
}
KEYS = ApiKeys({key_digest(key): caller for key, caller in CALLERS.items()})


class Visitor:
    """A visitor with its own session. `headers` are sent with every request."""

    def __init__(self, library: WebLibrary | BuiltApp, **headers: str) -> None:
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
        """Open a page and return its unescaped text."""
        return self._read(await self.http.get(path), status)

    async def send(
        self, path: str, fields: dict[str, str] | None = None, *, status: int = 303, **more: Any
    ) -> str:
        """Send a form of the open page; return the target of a redirect, or the page."""
        hidden = {"form_token": self.hidden(_TOKEN), "nonce": self.hidden(_NONCE)}
        answer = await self.http.post(path, data=hidden | (fields or {}), **more)
        text = self._read(answer, status)
        return answer.headers["location"] if answer.is_redirect else text

    async def sign_in(self, key: str) -> None:
        """Sign in with a key."""
        await self.get("/sign-in")
        assert await self.send("/sign-in", {"key": key, "after": "/"}) == "/"

    def hidden(self, pattern: re.Pattern[str]) -> str:
        """Return a hidden field of the open page."""
        match = pattern.search(self.page)
        return match[1] if match else ""

    def _read(self, answer: httpx.Response, status: int) -> str:
        assert answer.status_code == status, answer.text
        if not answer.is_redirect:
            self.page = answer.text
        return unescape(answer.text)


def web_library(opened: EmbeddedService) -> WebLibrary:
    """Return the library of a service."""
    return WebLibrary(opened.context, opened.app)


@asynccontextmanager
async def open_visitor(folder: Path) -> AsyncIterator[tuple[Visitor, httpx.AsyncClient]]:
    """Open a visitor of a service without keys, and a client of its API."""
    with service(folder) as opened:
        async with Visitor(web_library(opened)) as visitor, client(opened) as api:
            yield visitor, api


def rows(count: int = 20) -> str:
    """Return examples as JSON Lines."""
    return "\n".join(f'{{"text_input": "in {n}", "output": "yes"}}' for n in range(count))


def form(data: str = "", **fields: str) -> dict[str, str]:
    """Return the fields of the form to tune a model."""
    settings = {"epoch_count": "2", "batch_size": "4", "learning_rate": "0.001"}
    return {"data": data, "base_model": BASE, "action": "check", **settings, **fields}


__all__ = [
    "BASE",
    "CALLERS",
    "HOSTILE",
    "KEYS",
    "Visitor",
    "create",
    "form",
    "open_visitor",
    "rows",
    "web_library",
]  # fmt: skip
