"""A long list that comes in pages: asking for the next one while this one is read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from tunedmodels.errors import ProviderError

AT_A_TIME = 20  # entries that are read before others have their turn: about a millisecond

T = TypeVar("T")
E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)


class Page(Protocol[E_co]):
    """A page of a list."""

    @property
    def entries(self) -> Sequence[E_co]:
        """What stands on it."""

    @property
    def next_page_token(self) -> str:
        """What the next page is asked for with; empty on the last one."""


async def read_all(ask: Callable[[str], Awaitable[Page[E]]], read: Callable[[E], T]) -> list[T]:
    """Return what `read` makes of every entry of every page.

    `ask` returns the page of a token, the first one for an empty token. Latency and reading
    overlap, so that the longer of the two counts. Raises ProviderError when the pages never end.
    """
    found: list[T] = []
    page = await ask("")
    while token := page.next_page_token:
        page, _ = await asyncio.gather(ask(token), _read(page.entries, read, found))
        if page.next_page_token == token:
            raise ProviderError("The pages of a list go in a circle: the same token came twice.")
    await _read(page.entries, read, found)
    return found


async def _read(entries: Sequence[E], read: Callable[[E], T], found: list[T]) -> None:
    for start in range(0, len(entries), AT_A_TIME):
        found += map(read, entries[start : start + AT_A_TIME])
        await asyncio.sleep(0)
