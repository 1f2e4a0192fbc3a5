"""Resource names and list filters of the services."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.vertex.discovery import camel_case
from tests.support.vertex.errors import ServiceError

_TERM = re.compile(r'\s*([\w.\-]+)\s*(=|:)\s*("[^"]*"|[^\s"]+)\s*')
_HOSTS = (
    re.compile(r"aiplatform\.(?P<location>us|eu)\.rep\.googleapis\.com"),
    re.compile(r"(?P<location>[a-z0-9-]+)-aiplatform\.googleapis\.com"),
)


@dataclass(frozen=True)
class ResourceName:
    """`projects/P/locations/L/KIND/ID@VERSION`."""

    project: str
    location: str
    kind: str
    id: str
    version: str = ""

    @classmethod
    def parse(cls, text: str, kind: str) -> ResourceName:
        """Parse the full name of a resource of a kind, such as `models`; raises a 400."""
        segments = text.split("/")
        if len(segments) != 6 or segments[::2] != ["projects", "locations", kind]:
            raise ServiceError(400, f"The resource name {text!r} is malformed.")
        resource_id, _, version = segments[5].partition("@")
        return cls(segments[1], segments[3], kind, resource_id, version)


def location_of(host: str) -> str | None:
    """The location that a host serves; None for a host of another API."""
    if host == "aiplatform.googleapis.com":
        return "global"
    matches = [match["location"] for pattern in _HOSTS if (match := pattern.fullmatch(host))]
    return matches[0] if matches else None


def parse_filter(text: str, fields: Sequence[str]) -> Callable[[dict[str, Any]], bool]:
    """The predicate of a filter: terms joined by AND, over `labels.KEY` and the given fields.

    `fields` are in snake_case. The grammar is not documented, so only filters that Google's own
    clients send are supported.
    """
    terms: list[tuple[str, str, str]] = []
    for part in text.split(" AND ") if text else []:
        term = _TERM.fullmatch(part)
        if term is None or not (term[1].startswith("labels.") or term[1] in fields):
            raise ServiceError(400, f"Invalid filter: {text!r}.")
        terms.append((term[1], term[2], term[3].strip('"')))

    def matches(document: dict[str, Any]) -> bool:
        for name, operator, expected in terms:
            first, _, key = name.partition(".")
            value = (
                document.get("labels", {}).get(key)
                if first == "labels"
                else document.get(camel_case(name))
            )
            if value is None or (operator == "=" and value != expected):
                return False
            if operator == ":" and expected not in ("*", value):
                return False
        return True

    return matches
