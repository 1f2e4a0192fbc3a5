"""Responses of Google services, read with distrust: a status of 2xx is not yet an answer.

A login page, a proxy or a broken server answers 200 as well. So every body must be the expected
message, and the effect of a change is read back before it is reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import msgspec

from tunedmodels.errors import OutcomeUnknownError, ProviderError
from tunedmodels.providers.errors import ErrorMapping
from tunedmodels.providers.pagination import Page
from tunedmodels.wire import gemini as wire

# Pauses between the reads of a changed object: a replica may show a change some time later. The
# service on this machine has no replicas.
REREAD_DELAYS_S: Final = (0.5, 1.0, 2.0)
LOOPBACK_REREAD_DELAYS_S: Final = (0.1,)

T = TypeVar("T")


class Named(Protocol):
    """A message with the name of its resource."""

    name: str


N = TypeVar("N", bound=Named)


def decode_message(body: bytes, message_type: type[T], mapping: ErrorMapping) -> T:
    """Decode a response. Raises ProviderError when it is not a message of the service."""
    try:
        return wire.decode(body, message_type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_a_message(str(error) if body else "it is empty", mapping) from error


def decode_resource(body: bytes, message_type: type[N], last: str, mapping: ErrorMapping) -> N:
    """Decode a response that must be the resource whose name ends with `last`.

    All fields of a message are optional, so that any other JSON object is an empty one.
    """
    message = decode_message(body, message_type, mapping)
    if message.name.rpartition("/")[2].partition("@")[0] != last.partition("@")[0]:
        raise _not_a_message(f"it does not name {last!r}", mapping)
    return message


def decode_page(body: bytes, page_type: type[Page[N]], mapping: ErrorMapping) -> Page[N]:
    """Decode a page of a list.

    An object without any field of a page is not an empty page: only `{}` is.
    """
    page = decode_message(body, page_type, mapping)
    if any(not entry.name for entry in page.entries):
        raise _not_a_message("an entry has no name", mapping)
    if not page.entries and not page.next_page_token:
        keys = decode_message(body, dict[str, msgspec.Raw], mapping).keys()
        fields = msgspec.structs.fields(page_type)  # type: ignore[arg-type]  # pages are structs
        if keys - {field.encode_name for field in fields}:
            raise _not_a_message("it has other fields than a list", mapping)
    return page


def is_empty_message(body: bytes) -> bool:
    """Whether a body is google.protobuf.Empty, the answer of a service that accepted a request."""
    return body.strip() == b"{}"


async def confirm(
    has_effect: Callable[[], Awaitable[bool]], call: str, mapping: ErrorMapping, *, is_local: bool
) -> None:
    """Read back a change that the service accepted.

    `call` is a noun phrase. Raises OutcomeUnknownError when `has_effect` remains false or cannot
    be read.
    """
    reason = f"{mapping.service} accepted it and does not show it"
    try:
        if await has_effect():
            return
        for delay_s in LOOPBACK_REREAD_DELAYS_S if is_local else REREAD_DELAYS_S:
            await asyncio.sleep(delay_s)
            if await has_effect():
                return
    except ProviderError as error:
        reason = error.message
    raise OutcomeUnknownError(
        f"{call} may or may not have been executed: {reason.rstrip('.')}.",
        cure=mapping.outcome_unknown_cure,
    )


def _not_a_message(reason: str, mapping: ErrorMapping) -> ProviderError:
    return ProviderError(
        f"The response is not a message of {mapping.service}: {reason}.",
        cure=mapping.endpoint_cure,
    )
