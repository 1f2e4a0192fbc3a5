"""Write the events of a run as JSON lines (`--events`), describe them by a schema, read them back.

The first line is `began`, with the project and the planned changes; the last one is `ended`, with
the exit code. Every other line is an event: `{"formatVersion", "time", "event", ...}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, TextIO, TypeVar, get_args, get_type_hints

import msgspec
from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel, to_snake

from tunedmodels.errors import TunedModelsError
from tunedmodels.events import Event, Failed, PlannedChange, Progressed, Retried, RunLog, Tried
from tunedmodels.listeners.listener import OnWarning, RunInfo

T = TypeVar("T")

FORMAT_VERSION: Final = 1
# A curve would be repeated with every step; a message of the service may quote an example.
OMITTED_FIELDS: Final[Mapping[type, frozenset[str]]] = MappingProxyType(
    {
        Progressed: frozenset({"curve"}),
        Failed: frozenset({"words"}),
        Retried: frozenset({"words"}),
        Tried: frozenset({"words"}),
    }
)
EVENTS_CURE: Final = "Give the file that `tunedmodels apply --events FILE` wrote."


def event_name(event_type: type) -> str:
    """Return the `event` of a line for an event of this type, for example `still-running`."""
    return to_snake(event_type.__name__).replace("_", "-")


_EVENT_TYPES: Final[Mapping[str, type]] = MappingProxyType(
    {event_name(event_type): event_type for event_type in get_args(Event)}
)


class JsonLines:
    """Writes every event as a line to an open text file.

    If writing fails, the user gets one warning and the run continues without the file.
    """

    def __init__(
        self, out: TextIO, run: RunInfo, *, now: Callable[[], datetime], on_warning: OnWarning
    ) -> None:
        self._out: TextIO | None = out
        self._now = now
        self._on_warning = on_warning
        self._write(
            "began",
            verb=run.verb,
            project=run.project,
            environment=run.environment,
            digest=run.digest,
            due=[_camel_case(change) for change in run.planned],
            **({"folder": run.folder} if run.folder else {}),
        )

    def __call__(self, event: Event) -> None:
        """Write an event."""
        self._write(event_name(type(event)), **_content(event))

    async def finish(self, code: int) -> None:
        """Write the last line."""
        self.end(code)

    def end(self, code: int) -> None:
        """Write the last line, for callers without an event loop."""
        self._write("ended", code=code)

    def _write(self, name: str, /, **content: object) -> None:
        if self._out is None:
            return
        line = {
            "formatVersion": FORMAT_VERSION,
            "time": self._now().isoformat(),
            "event": name,
            **content,
        }
        try:
            self._out.write(json.dumps(line) + "\n")
            self._out.flush()
        except (OSError, ValueError) as error:  # ValueError: the file is closed
            self._out = None
            reason = getattr(error, "strerror", None) or error
            self._on_warning(f"No further events are written: {reason}")


def _content(event: Event) -> dict[str, Any]:
    content = _camel_case(event)
    if isinstance(event, Progressed):
        content["lastLoss"] = event.curve[-1].mean_loss if event.curve else None
    return content


def _camel_case(value: Event | PlannedChange) -> dict[str, Any]:
    omitted = OMITTED_FIELDS.get(type(value), frozenset())
    return {
        to_camel(field.name): getattr(value, field.name)
        for field in fields(value)
        if field.name not in omitted
    }


def events_schema() -> dict[str, Any]:
    """Return the JSON Schema of one line."""
    texts = ("verb", "project", "environment", "digest")
    began: dict[str, Any] = {key: {"type": "string"} for key in texts}
    began["due"] = {"type": "array", "items": _closed_object(_properties(PlannedChange))}
    folder = {"folder": {"type": "string"}}
    lines = {
        "began": _line("began", began, optional=folder),
        "ended": _line("ended", {"code": {"type": "integer", "minimum": 0}}),
    }
    for name, event_type in _EVENT_TYPES.items():
        lines[name] = _line(name, _properties(event_type))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line that `tunedmodels apply --events FILE` writes",
        "oneOf": list(lines.values()),
    }


def _properties(of_type: type) -> dict[str, Any]:
    omitted = OMITTED_FIELDS.get(of_type, frozenset())
    types = {
        to_camel(name): hint
        for name, hint in get_type_hints(of_type).items()
        if name not in omitted
    }
    if of_type is Progressed:
        types["lastLoss"] = float | None
    schemas = {name: TypeAdapter(hint).json_schema() for name, hint in types.items()}
    titles = ("title", "description")
    return {
        name: {key: value for key, value in schema.items() if key not in titles}
        for name, schema in schemas.items()
    }


def _line(
    name: str, properties: Mapping[str, Any], optional: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    all_properties = {
        "formatVersion": {"const": FORMAT_VERSION},
        "time": {"type": "string", "format": "date-time"},
        "event": {"const": name},
        **properties,
    }
    line = {"title": name, **_closed_object(all_properties)}
    line["properties"] |= optional
    return line


def _closed_object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def read_run_log(text: str) -> RunLog:
    """Return the last run in a text of lines, which may contain several.

    Unknown events are ignored, and so is an incomplete last line. Raises TunedModelsError when a
    line is not an event, and when the text has no run of `apply` or `destroy`.
    """
    complete = text.split("\n")[:-1]  # a line without a line end is incomplete
    lines = [_parse_line(number, line) for number, line in enumerate(complete, start=1)]
    began = [index for index, line in enumerate(lines) if line.get("event") == "began"]
    if not began or lines[began[-1]].get("verb") == "watch":
        raise TunedModelsError("The events are not those of an apply", cure=EVENTS_CURE)
    try:
        return _run_log(lines[began[-1]], lines[began[-1] + 1 :])
    except (KeyError, TypeError, ValueError) as error:  # msgspec's ValidationError is a ValueError
        message = f"The events were changed after they were written: {error!r}"
        raise TunedModelsError(message, cure=EVENTS_CURE) from None


def _parse_line(number: int, text: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        line = None
    if not isinstance(line, dict) or "formatVersion" not in line:
        raise TunedModelsError(f"Line {number} is not an event of a run", cure=EVENTS_CURE)
    if line["formatVersion"] != FORMAT_VERSION:
        raise TunedModelsError(
            f"Line {number} does not have format version {FORMAT_VERSION}, the only one that this "
            "release of tunedmodels reads",
            cure="Read it with the release of tunedmodels that wrote it.",
        )
    return line


def _run_log(began: Mapping[str, Any], rest: Sequence[Mapping[str, Any]]) -> RunLog:
    last = rest[-1] if rest else began
    known = [line for line in rest if line["event"] in _EVENT_TYPES]
    return RunLog(
        project=msgspec.convert(began["project"], str),
        environment=msgspec.convert(began["environment"], str),
        digest=msgspec.convert(began["digest"], str),
        planned=tuple(_decode(change, PlannedChange) for change in began["due"]),
        events=tuple(_decode(line, _EVENT_TYPES[line["event"]]) for line in known),
        exit_code=msgspec.convert(last["code"], int) if last["event"] == "ended" else None,
        last_time=datetime.fromisoformat(last["time"]),
        folder=msgspec.convert(began.get("folder", ""), str),
    )


def _decode(line: Mapping[str, Any], to_type: type[T]) -> T:
    # Messages of a service are not written, and an event requires a message.
    omitted = OMITTED_FIELDS.get(to_type, frozenset())
    absent = {
        field.name: ""
        for field in fields(to_type)  # type: ignore[arg-type]  # every event is a dataclass
        if field.name in omitted and field.default is MISSING
    }
    return msgspec.convert(absent | {to_snake(key): value for key, value in line.items()}, to_type)
