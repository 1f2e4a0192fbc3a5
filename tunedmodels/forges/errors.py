"""Convert error responses of a forge into our errors, with the message of the forge and a cure.

Sources: "Rate limits for the REST API" and "Troubleshooting the REST API" of GitHub, "REST API
troubleshooting" and "Notes API" of GitLab. GitHub reports rate limits with 403 as well as with 429.
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
from tunedmodels.forges.forge import RETRY_CURE
from tunedmodels.providers.errors import ErrorMapping, HttpFailure, status_phrase
from tunedmodels.wire import status

_ERROR_TYPES: Mapping[int, type[ProviderError]] = {
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
_MIN_WAIT_S = 60.0  # the minimum that GitHub asks for when a response names no time


def error_mapping(
    forge_name: str,
    cures: Mapping[int, str],
    endpoint_cure: str,
    *,
    now: Callable[[], float] = time.time,
) -> ErrorMapping:
    """Return the error mapping of a forge; `cures` are by HTTP status, `now` is Unix time."""

    def to_error(failure: HttpFailure) -> ProviderError:
        text = status.printable_line(failure.scrub(_message(failure.body)))
        error_type = _error_type(failure, text)
        message = f"{forge_name} answered {status_phrase(failure.http_status)}"
        message += f": {text}" if text else "."
        if error_type is RateLimitedError:
            wait_s = _wait_s(failure, now())
            return RateLimitedError(message, cure=_LATER, retry_after_s=wait_s)
        if error_type is UnavailableError:
            return UnavailableError(message, cure=_LATER, retry_after_s=failure.retry_after_s)
        return error_type(message, cure=cures.get(failure.http_status, ""))

    return ErrorMapping(to_error, endpoint_cure, endpoint_cure, RETRY_CURE, forge_name)


def _error_type(failure: HttpFailure, text: str) -> type[ProviderError]:
    if failure.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError
    if failure.http_status == HTTPStatus.FORBIDDEN and (
        failure.retry_after_s is not None
        or failure.headers.get("x-ratelimit-remaining") == "0"
        or "rate limit" in text.lower()
    ):
        return RateLimitedError
    return _ERROR_TYPES.get(failure.http_status, ProviderError)


def _wait_s(failure: HttpFailure, now: float) -> float | None:
    if failure.retry_after_s is not None:
        return failure.retry_after_s
    if failure.headers.get("x-ratelimit-remaining") == "0":
        reset = failure.headers.get("x-ratelimit-reset", "")
        return max(0.0, float(reset) - now) if reset.isdecimal() else _MIN_WAIT_S
    return _MIN_WAIT_S if failure.http_status == HTTPStatus.FORBIDDEN else None


def _message(body: bytes) -> str:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return status.parse_status(body).message
    return "; ".join(_texts(document))


def _texts(document: object) -> Iterator[str]:
    """Yield the messages of `{message, errors}` (GitHub) and `{error, ...}` (GitLab).

    GitLab's `message` is a text or `{field: [text]}`.
    """
    match document:
        case str():
            yield document
        case list():
            for item in document:
                yield from _texts(item)
        case {"message": message, **others}:
            yield from _texts(message)
            yield from _texts(others.get("errors", []))
        case {"error_description": text} | {"error": text}:
            yield from _texts(text)
        case dict():
            for field, value in document.items():
                yield from (f"{field} {text}" for text in _texts(value))
        case _:
            return  # numbers and nulls are not messages
