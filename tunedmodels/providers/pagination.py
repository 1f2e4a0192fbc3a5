"""Lists in pages: the next page is fetched while the current one is converted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from tunedmodels.errors import ProviderError

BATCH_SIZE = 20  # entries converted before other tasks run: about a millisecond

T = TypeVar("T")
E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)


class Page(Protocol[E_co]):
    """A page of a list."""

    @property
    def entries(self) -> Sequence[E_co]:
        """The entries of this page."""

    @property
    def next_page_token(self) -> str:
        """The token of the next page; empty on the last page."""


async def read_all(
    fetch: Callable[[str], Awaitable[Page[E]]], convert: Callable[[E], T]
) -> list[T]:
    """Return the converted entries of all pages.

    `fetch` returns the page for a token, and the first page for an empty token. Fetching and
    converting overlap, so that only the slower of the two takes time. Raises ProviderError when the
    service returns the same token twice.
    """
    results: list[T] = []
    page = await fetch("")
    while token := page.next_page_token:
        page, _ = await asyncio.gather(fetch(token), _convert(page.entries, convert, results))
        if page.next_page_token == token:
            raise ProviderError("The service returned the same page token twice.")
    await _convert(page.entries, convert, results)
    return results


async def _convert(entries: Sequence[E], convert: Callable[[E], T], results: list[T]) -> None:
    for start in range(0, len(entries), BATCH_SIZE):
        results += map(convert, entries[start : start + BATCH_SIZE])
        await asyncio.sleep(0)
