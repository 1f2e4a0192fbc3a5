"""`--events`: the union of events as JSON lines, for programs that follow a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, TextIO, get_args, get_type_hints

from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel, to_snake

from tunedmodels.events import Event, Failed, Progressed, Retried, Tried
from tunedmodels.listeners.listener import About, Complain

FORMAT_VERSION: Final = 1

# A curve would be written again with every step; a service's own words may quote an example.
_LEFT_OUT: Final[Mapping[type, frozenset[str]]] = MappingProxyType(
    {
        Progressed: frozenset({"curve"}),
        Failed: frozenset({"words"}),
        Retried: frozenset({"words"}),
        Tried: frozenset({"words"}),
    }
)


class EventLines:
    """Writes `{"formatVersion", "time", "event", ...}` per event to an open text file.

    The first line is `began`, with the project, and the last one `ended`, with the exit code. When
    the file takes no more, that is said once, and the run goes on without it.
    """

    def __init__(
        self, out: TextIO, about: About, *, now: Callable[[], datetime], complain: Complain
    ) -> None:
        self._out: TextIO | None = out
        self._now = now
        self._complain = complain
        self._write(
            "began",
            verb=about.verb,
            project=about.project,
            environment=about.environment,
            digest=about.digest,
        )

    def __call__(self, event: Event) -> None:
        """Write an event."""
        self._write(_kind(type(event)), **_content(event))

    async def finish(self, code: int) -> None:
        """Write how it ended."""
        self._write("ended", code=code)

    def _write(self, kind: str, **content: object) -> None:
        if self._out is None:
            return
        line = {
            "formatVersion": FORMAT_VERSION,
            "time": self._now().isoformat(),
            "event": kind,
            **content,
        }
        try:
            self._out.write(json.dumps(line) + "\n")
            self._out.flush()
        except (OSError, ValueError) as error:  # ValueError: somebody closed it
            self._out = None
            words = getattr(error, "strerror", None) or error
            self._complain(f"The events are written no further: {words}")


def events_schema() -> dict[str, Any]:
    """Return the JSON Schema of one line."""
    began = {key: {"type": "string"} for key in ("verb", "project", "environment", "digest")}
    kinds = {
        "began": _line("began", began),
        "ended": _line("ended", {"code": {"type": "integer", "minimum": 0}}),
    }
    kinds |= {_kind(event): _line(_kind(event), _properties(event)) for event in get_args(Event)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line that `tunedmodels apply --events FILE` writes",
        "oneOf": list(kinds.values()),
    }


def _kind(event: type) -> str:
    return to_snake(event.__name__).replace("_", "-")


def _content(event: Event) -> dict[str, Any]:
    left_out = _LEFT_OUT.get(type(event), frozenset())
    content = {
        to_camel(field.name): getattr(event, field.name)
        for field in fields(event)
        if field.name not in left_out
    }
    if isinstance(event, Progressed):
        content["lastLoss"] = event.curve[-1].mean_loss if event.curve else None
    return content


def _properties(event: type) -> dict[str, Any]:
    left_out = _LEFT_OUT.get(event, frozenset())
    types = {
        to_camel(name): of for name, of in get_type_hints(event).items() if name not in left_out
    }
    if event is Progressed:
        types["lastLoss"] = float | None
    schemas = {name: TypeAdapter(of).json_schema() for name, of in types.items()}
    titles = ("title", "description")
    return {
        name: {key: value for key, value in schema.items() if key not in titles}
        for name, schema in schemas.items()
    }


def _line(kind: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    whole = {
        "formatVersion": {"const": FORMAT_VERSION},
        "time": {"type": "string", "format": "date-time"},
        "event": {"const": kind},
        **properties,
    }
    return {
        "type": "object",
        "title": kind,
        "properties": whole,
        "required": list(whole),
        "additionalProperties": False,
    }
