"""What a forge's "no" means to a person: our errors, with the forge's own words and a cure.

Sources: "Rate limits for the REST API" and "Troubleshooting the REST API" of GitHub, "REST API
troubleshooting" and "Notes API" of GitLab. GitHub says "too fast" with 403 as well as with 429.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus

from tunedmodels.errors import (
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    RateLimitedError,
    UnauthenticatedError,
    UnavailableError,
)
from tunedmodels.forges.forge import BROKEN
from tunedmodels.providers.errors import Manners, Refused, named
from tunedmodels.wire import status

_KINDS: Mapping[int, type[ProviderError]] = {
    400: InvalidArgumentError,
    401: UnauthenticatedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: UnavailableError,
    413: InvalidArgumentError,
    422: InvalidArgumentError,
    429: RateLimitedError,
}
_LATER = "Run it again in a few minutes."
_A_MINUTE_S = 60.0  # the least that GitHub wants to be left alone when it names no time


def manners(
    name: str,
    cures: Mapping[int, str],
    endpoint_cure: str,
    *,
    now: Callable[[], float] = time.time,
) -> Manners:
    """Return how a forge of this name refuses; `cures` are by HTTP status, `now` is Unix time."""

    def refused(refusal: Refused) -> ProviderError:
        words = status.plain(refusal.scrub(_words(refusal.body)))
        kind = _kind(refusal, words)
        said = f"{name} answered {named(refusal.http_status)}" + (f": {words}" if words else ".")
        if kind is RateLimitedError:
            return RateLimitedError(said, cure=_LATER, retry_after_s=_wait_s(refusal, now()))
        if kind is UnavailableError:
            return UnavailableError(said, cure=_LATER, retry_after_s=refusal.retry_after_s)
        return kind(said, cure=cures.get(refusal.http_status, ""))

    return Manners(refused, endpoint_cure, endpoint_cure, BROKEN)


def _kind(refusal: Refused, words: str) -> type[ProviderError]:
    if refusal.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError
    if refusal.http_status == HTTPStatus.FORBIDDEN and (
        refusal.retry_after_s is not None
        or refusal.headers.get("x-ratelimit-remaining") == "0"
        or "rate limit" in words.lower()
    ):
        return RateLimitedError
    return _KINDS.get(refusal.http_status, ProviderError)


def _wait_s(refusal: Refused, now: float) -> float | None:
    if refusal.retry_after_s is not None:
        return refusal.retry_after_s
    if refusal.headers.get("x-ratelimit-remaining") == "0":
        reset = refusal.headers.get("x-ratelimit-reset", "")
        return max(0.0, float(reset) - now) if reset.isdecimal() else _A_MINUTE_S
    return _A_MINUTE_S if refusal.http_status == HTTPStatus.FORBIDDEN else None


def _words(body: bytes) -> str:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return status.read(body).message
    return "; ".join(_leaves(document))


def _leaves(document: object) -> Iterator[str]:
    """Yield what is meant for people, of `{message, errors}` and `{error, ...}`.

    GitLab's `message` may be words, or `{field: [words]}`.
    """
    match document:
        case str():
            yield document
        case list():
            for each in document:
                yield from _leaves(each)
        case {"message": message, **others}:
            yield from _leaves(message)
            yield from _leaves(others.get("errors", []))
        case {"error_description": words} | {"error": words}:
            yield from _leaves(words)
        case dict():
            for field, words in document.items():
                yield from (f"{field} {each}" for each in _leaves(words))
        case _:
            return  # numbers and nulls are not words
