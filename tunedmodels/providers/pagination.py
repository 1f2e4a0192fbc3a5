"""Lists in pages: the next page is fetched while the current one is converted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final, Protocol, TypeVar

from tunedmodels.errors import ProviderError

BATCH_SIZE = 20  # entries converted before other tasks run: about a millisecond
MAX_PAGES: Final = 10_000  # of a list; a page has up to 1,000 entries

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
    fetch: Callable[[str], Awaitable[Page[E]]],
    convert: Callable[[E], T],
    *,
    identify: Callable[[E], Hashable],
) -> list[T]:
    """Return the converted entries of all pages.

    `fetch` returns the page for a token, and the first page for an empty token. Fetching and
    converting overlap, so that only the slower of the two takes time. `identify` returns the id of
    an entry. Raises ProviderError when the list has no end: the service returns a token twice, a
    page with no new id that is not the last one, or more than MAX_PAGES pages.
    """
    results: list[T] = []
    ids: set[Hashable] = set()
    page = await fetch("")
    pages = 1
    while token := page.next_page_token:
        _require_new(page.entries, identify, ids)
        if pages == MAX_PAGES:
            raise ProviderError(f"The list has no end: the service returned {pages:,} pages.")
        page, _ = await asyncio.gather(fetch(token), _convert(page.entries, convert, results))
        pages += 1
        if page.next_page_token == token:
            raise ProviderError("The service returned the same page token twice.")
    await _convert(page.entries, convert, results)
    return results


def _require_new(
    entries: Sequence[E], identify: Callable[[E], Hashable], ids: set[Hashable]
) -> None:
    """Add the ids of a page. Raises ProviderError when it has entries and all of them are known.

    A single known id is allowed: an object that was created meanwhile shifts the pages.
    """
    before = len(ids)
    ids.update(map(identify, entries))
    if entries and len(ids) == before:
        raise ProviderError("The list has no end: a page repeats the entries of earlier pages.")


async def _convert(entries: Sequence[E], convert: Callable[[E], T], results: list[T]) -> None:
    for start in range(0, len(entries), BATCH_SIZE):
        results += map(convert, entries[start : start + BATCH_SIZE])
        await asyncio.sleep(0)
