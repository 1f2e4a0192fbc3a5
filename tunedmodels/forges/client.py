"""Every entry of a list that a forge cuts into pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from tunedmodels.errors import InvalidArgumentError, ProviderError, UnauthenticatedError
from tunedmodels.providers.http import Http
from tunedmodels.providers.identity import is_loopback, place
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


# FOLDED
# The token of a forge: where it may be sent, and that it shows nowhere.
@dataclass(frozen=True, slots=True)
class Token:
    """A token and the header that carries it; `others` are headers without any secret.

    `cure` says how to get one. `prefix` stands before the token in the header.
    """

    value: str = field(repr=False)
    header: str
    prefix: str
    cure: str
    others: Mapping[str, str]

    def headers(self) -> dict[str, str]:
        """Return the headers that say who asks."""
        return {self.header: f"{self.prefix}{self.value}", **self.others}

    async def renew(self, refused: Mapping[str, str] | None = None) -> bool:  # noqa: ARG002  # as agreed
        """Do nothing: what a person set stays as it is."""
        return False

    def scrub(self, words: str) -> str:
        """Return the words without the token in them, as it is or as part of a URL."""
        for form in {self.value, quote(self.value, safe="")}:
            words = words.replace(form, "[secret]") if form else words
        return words

    def problem(self, endpoint: str) -> ProviderError | None:
        """Say why nothing may be sent to `endpoint`, or None when all is well."""
        if not self.value:
            return UnauthenticatedError(
                f"{place(endpoint)} needs a token, and none is set.", cure=self.cure
            )
        if not (self.value.isascii() and self.value.isprintable()):
            return UnauthenticatedError("The token holds characters that none has.", cure=self.cure)
        if urlsplit(endpoint).scheme != "https" and not is_loopback(endpoint):
            return InvalidArgumentError(
                f"A token would travel to {place(endpoint)} in the clear.",
                cure="Use an https:// address of the API.",
            )
        return None
