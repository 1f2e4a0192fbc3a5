"""From the bytes of a request to a message, with every mistake in Google's words."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from pydantic import ValidationError
from starlette.requests import Request

from tunedmodels.service.api import limits
from tunedmodels.service.api.limits import MOST_BODY
from tunedmodels.service.api.messages import Message
from tunedmodels.service.errors import ApiError, Status, Violation, invalid

M = TypeVar("M", bound=Message)

# A string, or a comma with nothing between it and the end of its list: Google's parser takes that,
# and its documentation sends it. A string may lack its end, else rows of quotes take very long.
_TRAILING_COMMA = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z))|,(?=\s*+[\]}])', re.DOTALL)
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_TYPES = {"string": "TYPE_STRING", "int": "TYPE_INT32", "float": "TYPE_FLOAT"}
_LONGEST_VALUE = 60


async def read_body(request: Request) -> bytes:
    """Read a body, and stop as soon as it is too large or too slow.

    Raises ApiError (INVALID_ARGUMENT or DEADLINE_EXCEEDED).
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MOST_BODY:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(limits.BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BODY:
                    raise _too_large()
    except TimeoutError:
        words = f"The body of the request did not arrive within {limits.BODY_S:g} seconds."
        raise ApiError(Status.DEADLINE_EXCEEDED, words) from None
    return bytes(body)


def _too_large() -> ApiError:
    words = f"Request payload size exceeds the limit: {MOST_BODY} bytes."
    return ApiError(Status.INVALID_ARGUMENT, words)


def parse(body: bytes, kind: type[M], *, at: str = "") -> M:
    """Read a message of `kind`; `at` is its path in the proto, for the words of an error.

    An empty body is an empty message. Raises ApiError (INVALID_ARGUMENT) with every mistake.
    """
    value = _decoded(body) if body.strip() else {}
    if not isinstance(value, dict):
        raise _malformed("Root element must be a message.")
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        raise invalid([_violation(mistake, at) for mistake in mistakes]) from None


def _decoded(body: bytes) -> Any:  # noqa: ANN401  # whatever was sent
    try:
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError:
            return msgspec.json.decode(_TRAILING_COMMA.sub(rb"\1", body))
    except (ValueError, RecursionError) as error:
        raise _malformed(str(error)) from None


def _malformed(words: str) -> ApiError:
    return ApiError(Status.INVALID_ARGUMENT, f"Invalid JSON payload received. {words}")


def _violation(mistake: Any, at: str) -> Violation:  # noqa: ANN401  # pydantic's own dictionary
    *parents, last = mistake["loc"] or ("",)
    kind: str = mistake["type"]
    if kind == "extra_forbidden":
        parent = path(at, parents)
        place = f" at '{parent}'" if parent else ""
        words = f'Invalid JSON payload received. Unknown name "{last}"{place}: Cannot find field.'
        return Violation(parent, words)
    field = path(at, (*parents, last))
    expected = _TYPES.get(kind.partition("_")[0])
    value = json.dumps(mistake["input"], ensure_ascii=False, default=str)
    shown = value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}..."
    kind_shown = f" ({expected})" if expected else ""
    return Violation(field, f"Invalid value at '{field}'{kind_shown}, {shown}")


def path(at: str, parts: Sequence[str | int]) -> str:
    """Return a path as Google writes it: `tuned_model.tuning_task...examples[3].text_input`."""
    text = at
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def mask(query: Mapping[str, str]) -> list[str]:
    """Return the paths of `update_mask` by the names of the proto; none without a mask."""
    paths = (snake(path.strip()) for path in query.get("update_mask", "").split(","))
    return [path for path in paths if path]


def snake(name: str) -> str:
    """Return a lowerCamel name, or a dotted path of them, by the names of the proto."""
    return _CAPITAL.sub("_", name).lower()
