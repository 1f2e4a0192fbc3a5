"""Answers that are JSON, compared field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

_FENCED: Final = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL | re.IGNORECASE)

_Leaf = tuple[tuple[str | int, ...], str]


def matching_fields(expected: str, got: str) -> float:
    """Return the share of fields that both have, and with the same value.

    A field is the way to a number, text, true, false, null or an empty container; the order of keys
    does not count, that of lists does. The share is of the fields of both together, so that a
    field too many costs as much as one that is missing. What is no JSON has no fields; a Markdown
    fence around it is no part of it.
    """
    there = _leaves(got)
    wanted = _leaves(expected)
    if there is None or wanted is None:
        return 0.0
    every = {way for way, _ in wanted | there}
    return len(wanted & there) / len(every)


def not_json(text: str) -> str:
    """Say why a text is no JSON, or nothing."""
    return "is no JSON, and jsonFields compares nothing else" if _leaves(text) is None else ""


def _leaves(text: str) -> frozenset[_Leaf] | None:
    fenced = _FENCED.match(text)
    try:
        return frozenset(_walk(json.loads(fenced[1] if fenced else text), ()))
    except (ValueError, RecursionError):
        return None


def _walk(value: Any, way: tuple[str | int, ...]) -> Iterator[_Leaf]:  # noqa: ANN401  # any JSON
    match value:
        case dict() if value:
            for key, below in value.items():
                yield from _walk(below, (*way, key))
        case list() if value:
            for place, below in enumerate(value):
                yield from _walk(below, (*way, place))
        case float() if value.is_integer():
            yield way, str(int(value))  # 1.0 is 1 in JSON
        case _:
            yield way, json.dumps(value)
