"""Every entry of a list that a forge cuts into pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tunedmodels.errors import ProviderError
from tunedmodels.providers.http import Http
from tunedmodels.providers.pagination import read_all

T = TypeVar("T")
Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Page:
    entries: list[Entry]
    next_page_token: str


async def all_of(http: Http, path: str, query: str, read: Callable[[Entry], T]) -> list[T]:
    """Return what `read` makes of every entry; the forge's Link header says whether there is more.

    A page that is not full is no sign of the end: GitHub leaves out what it hides.
    """

    async def ask(token: str) -> _Page:
        answer = await http.ask("GET", f"{path}?{token or query}", repeatable=True)
        return _Page(decoded(answer.body, list), answer.next_query)

    return await read_all(ask, read)


def decoded(body: bytes, kind: type[T]) -> T:
    """Read a JSON answer. Raises ProviderError when it is no JSON or not of this kind."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProviderError(f"The answer cannot be read: it is no JSON ({error}).") from None
    if not isinstance(document, kind):
        raise ProviderError(f"The answer cannot be read: it is no {kind.__name__}.")
    return document
