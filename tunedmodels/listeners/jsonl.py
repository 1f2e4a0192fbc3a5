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

from tunedmodels.events import Due, Event, Failed, Progressed, Retried, Tried
from tunedmodels.listeners.listener import About, Complain

FORMAT_VERSION: Final = 1

# A curve would be written again with every step; a service's own words may quote an example.
LEFT_OUT: Final[Mapping[type, frozenset[str]]] = MappingProxyType(
    {
        Progressed: frozenset({"curve"}),
        Failed: frozenset({"words"}),
        Retried: frozenset({"words"}),
        Tried: frozenset({"words"}),
    }
)


class EventLines:
    """Writes `{"formatVersion", "time", "event", ...}` per event to an open text file.

    The first line is `began`, with the project and what is due, and the last one `ended`, with the
    exit code. When the file takes no more, that is said once, and the run goes on without it.
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
            due=[_camel(due) for due in about.due],
        )

    def __call__(self, event: Event) -> None:
        """Write an event."""
        self._write(kind_of(type(event)), **_content(event))

    async def finish(self, code: int) -> None:
        """Write how it ended."""
        self.end(code)

    def end(self, code: int) -> None:
        """Write how it ended, for whoever cannot await."""
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
    texts = ("verb", "project", "environment", "digest")
    began: dict[str, Any] = {key: {"type": "string"} for key in texts}
    due = _properties(Due)
    began["due"] = {"type": "array", "items": _closed(due)}
    kinds = {
        "began": _line("began", began),
        "ended": _line("ended", {"code": {"type": "integer", "minimum": 0}}),
    }
    for event in get_args(Event):
        kinds[kind_of(event)] = _line(kind_of(event), _properties(event))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line that `tunedmodels apply --events FILE` writes",
        "oneOf": list(kinds.values()),
    }


def kind_of(event: type) -> str:
    """Return the word by which a line names the event that it holds."""
    return to_snake(event.__name__).replace("_", "-")


def _content(event: Event) -> dict[str, Any]:
    content = _camel(event)
    if isinstance(event, Progressed):
        content["lastLoss"] = event.curve[-1].mean_loss if event.curve else None
    return content


def _camel(of: Event | Due) -> dict[str, Any]:
    left_out = LEFT_OUT.get(type(of), frozenset())
    return {
        to_camel(field.name): getattr(of, field.name)
        for field in fields(of)
        if field.name not in left_out
    }


def _properties(event: type) -> dict[str, Any]:
    left_out = LEFT_OUT.get(event, frozenset())
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
    return {"title": kind, **_closed(whole)}


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
