"""Lists, JSON responses and tokens, which are the same for every forge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from tunedmodels.errors import InvalidArgumentError, ProviderError, UnauthenticatedError
from tunedmodels.providers.http import Http
from tunedmodels.providers.identity import host_and_port, is_loopback
from tunedmodels.providers.pagination import read_all

T = TypeVar("T", list[Any], dict[str, Any])
Entry = dict[str, Any]

_JSON_TYPES: Mapping[type, str] = {list: "array", dict: "object"}


@dataclass(frozen=True, slots=True)
class _ListPage:
    """One page of a list; the token is the query of the next page."""

    entries: list[Entry]
    next_page_token: str


async def list_all(http: Http, path: str, query: str) -> list[Entry]:
    """Return the entries of all pages of a list, which are linked by the Link header.

    A page that is not full may not be the last one: GitHub omits entries that it hides.
    """

    async def fetch(token: str) -> _ListPage:
        response = await http.request("GET", f"{path}?{token or query}", is_idempotent=True)
        return _ListPage(decode_json(response.body, list), response.next_query)

    return await read_all(fetch, lambda entry: entry)


def decode_json(body: bytes, json_type: type[T]) -> T:
    """Return the decoded body. Raises ProviderError unless it is JSON of this type."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProviderError(f"The response cannot be read: it is not JSON ({error}).") from None
    if not isinstance(document, json_type):
        expected = _JSON_TYPES[json_type]
        raise ProviderError(f"The response cannot be read: it is not a JSON {expected}.")
    return document


@dataclass(frozen=True, slots=True)
class Token:
    """The token of a forge; it is sent over HTTPS or to this machine only, and never shown."""

    value: str = field(repr=False)
    #: The header that contains the token.
    header: str
    #: The text before the token in the header.
    prefix: str
    #: How to get a token.
    cure: str
    #: Further headers, without secrets.
    extra_headers: Mapping[str, str]

    def headers(self) -> dict[str, str]:
        """Return the headers that authenticate a request."""
        return {self.header: f"{self.prefix}{self.value}", **self.extra_headers}

    async def refresh(self, rejected: Mapping[str, str] | None = None) -> bool:  # noqa: ARG002  # required by the contract
        """Return False: the user sets the token, so it cannot be refreshed."""
        return False

    def scrub(self, text: str) -> str:
        """Return the text without the token, plain or encoded for a URL."""
        for form in {self.value, quote(self.value, safe="")}:
            text = text.replace(form, "[secret]") if form else text
        return text

    def problem(self, endpoint: str) -> ProviderError | None:
        """Return the reason why no request may be sent to `endpoint`, or None."""
        if not self.value:
            return UnauthenticatedError(
                f"{host_and_port(endpoint)} requires a token, and none is set.", cure=self.cure
            )
        if not (self.value.isascii() and self.value.isprintable()):
            return UnauthenticatedError(
                "The token contains characters that are not valid in a token.", cure=self.cure
            )
        if urlsplit(endpoint).scheme != "https" and not is_loopback(endpoint):
            return InvalidArgumentError(
                f"The token would be sent to {host_and_port(endpoint)} unencrypted.",
                cure="Use an https:// address of the API.",
            )
        return None
