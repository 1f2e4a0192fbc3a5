"""Resource names, and filters of lists, as the services read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.vertex.discovery import camel
from tests.support.vertex.errors import Refused

_TERM = re.compile(r'\s*([\w.\-]+)\s*(=|:)\s*("[^"]*"|[^\s"]+)\s*')
_HOSTS = (
    re.compile(r"aiplatform\.(?P<location>us|eu)\.rep\.googleapis\.com"),
    re.compile(r"(?P<location>[a-z0-9-]+)-aiplatform\.googleapis\.com"),
)


@dataclass(frozen=True)
class Name:
    """`projects/P/locations/L/KIND/ID@VERSION`."""

    project: str
    location: str
    kind: str
    id: str
    version: str = ""

    @classmethod
    def parse(cls, text: str, kind: str) -> Name:
        """Read a full name of a kind, such as `models`; 400 when it is none."""
        steps = text.split("/")
        if len(steps) != 6 or steps[::2] != ["projects", "locations", kind]:
            raise Refused(400, f"The resource name {text!r} is malformed.")
        identity, _, version = steps[5].partition("@")
        return cls(steps[1], steps[3], kind, identity, version)


def location_of(host: str) -> str | None:
    """The location that a host serves; None for a host that is not the API's."""
    if host == "aiplatform.googleapis.com":
        return "global"
    found = [match["location"] for pattern in _HOSTS if (match := pattern.fullmatch(host))]
    return found[0] if found else None


def matcher(text: str, fields: Sequence[str]) -> Callable[[dict[str, Any]], bool]:
    """A filter: terms joined by AND, over `labels.KEY` and the fields named (in snake_case).

    Where the grammar is documented nowhere, only what Google's own clients send is read.
    """
    terms: list[tuple[str, str, str]] = []
    for part in text.split(" AND ") if text else []:
        found = _TERM.fullmatch(part)
        if found is None or not (found[1].startswith("labels.") or found[1] in fields):
            raise Refused(400, f"Invalid filter: {text!r}.")
        terms.append((found[1], found[2], found[3].strip('"')))

    def matches(document: dict[str, Any]) -> bool:
        for name, operator, wanted in terms:
            first, _, key = name.partition(".")
            value = (
                document.get("labels", {}).get(key)
                if first == "labels"
                else document.get(camel(name))
            )
            if value is None or (operator == "=" and value != wanted):
                return False
            if operator == ":" and wanted not in ("*", value):
                return False
        return True

    return matches
