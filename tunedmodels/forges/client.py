"""Lists, JSON responses and tokens, which are the same for every forge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tunedmodels.address import Address, hide_userinfo
from tunedmodels.errors import (
    InvalidArgumentError,
    OutcomeUnknownError,
    ProviderError,
    UnauthenticatedError,
)
from tunedmodels.forges.forge import RETRY_CURE
from tunedmodels.providers.http import Http
from tunedmodels.providers.identity import host_and_port, is_loopback
from tunedmodels.providers.pagination import read_all
from tunedmodels.scrubber import Scrubber

T = TypeVar("T", list[Any], dict[str, Any])
Entry = dict[str, Any]

_JSON_TYPES: Mapping[type, str] = {list: "array", dict: "object"}


@dataclass(frozen=True, slots=True)
class _ListPage:
    """One page of a list; the token is the query of the next page."""

    entries: list[Entry]
    next_page_token: str


def read_endpoint(environ: Mapping[str, str], name: str, default: str) -> str:
    """Return the address of an API from a variable, or `default`. Raises InvalidArgumentError."""
    value = environ.get(name, "").strip() or default
    try:
        Address.parse(value)
    except ValueError as error:
        raise InvalidArgumentError(
            f"{name}: {hide_userinfo(value)!r} is not the address of an API: {error}.",
            cure=f"Set it to an address such as {default}, or unset it:\n    unset {name}",
        ) from None
    return value


async def list_all(http: Http, path: str, query: str) -> list[Entry]:
    """Return the entries of all pages of a list, which are linked by the Link header.

    A page that is not full may not be the last one: GitHub omits entries that it hides.
    """

    async def fetch(token: str) -> _ListPage:
        response = await http.request("GET", f"{path}?{token or query}", is_idempotent=True)
        entries = decode_json(response.body, list)
        if not all(isinstance(entry, dict) for entry in entries):
            raise ProviderError("The response cannot be read: an entry is not a JSON object.")
        return _ListPage(entries, response.next_query)

    # Entries of some lists have no id; then only the number of pages is limited.
    return await read_all(
        fetch, lambda entry: entry, identify=lambda entry: str(entry.get("id", id(entry)))
    )


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


async def write_comment(
    http: Http, method: str, path: str, body: str, *, is_idempotent: bool
) -> Entry:
    """Send the body of a comment and return the comment of the response.

    Raises OutcomeUnknownError when the response is not that comment, although its status is 2xx: a
    proxy may have answered.
    """
    content = json.dumps({"body": body}).encode()
    response = await http.request_body(method, path, is_idempotent=is_idempotent, content=content)
    try:
        entry = decode_json(response, dict)
        entry_id(entry)
    except ProviderError as error:
        reason = error.message
    else:
        if has_same_text(str(entry.get("body")), body):
            return entry
        reason = "The response contains another comment."
    raise OutcomeUnknownError(
        f"The comment may or may not have been written. {reason}", cure=RETRY_CURE
    )


def entry_id(entry: Entry, key: str = "id") -> int:
    """Return the number of an entry. Raises ProviderError when it has none."""
    number = entry.get(key)
    if not isinstance(number, int) or isinstance(number, bool):
        raise ProviderError(f"The response cannot be read: it has no number {key!r}.")
    return number


def has_same_text(body: str, written: str) -> bool:
    """Whether two bodies differ at most in white space, which forges change."""
    return body.split() == written.split()


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

    @property
    def secrets(self) -> frozenset[str]:
        """The token."""
        return frozenset({self.value} - {""})

    def scrub(self, text: str) -> str:
        """Return the text without the token."""
        return Scrubber(self.secrets).scrub(text)

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
        if not endpoint.startswith("https:") and not is_loopback(endpoint):
            return InvalidArgumentError(
                f"The token would be sent to {host_and_port(endpoint)} unencrypted.",
                cure="Use an https:// address of the API.",
            )
        return None
