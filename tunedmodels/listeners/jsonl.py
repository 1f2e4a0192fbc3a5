"""`--events`: the union of events as JSON lines, for programs that follow a run."""

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
from tunedmodels.events import Account, Due, Event, Failed, Progressed, Retried, Tried
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


# FOLDED
# The JSON lines of a run, read back: what it set out to do, what happened, and how it ended.
T = TypeVar("T")

_KINDS: Final[Mapping[str, type]] = MappingProxyType({kind_of(of): of for of in get_args(Event)})
_CURE: Final = "Give the file that `tunedmodels apply --events FILE` wrote."


def read_account(text: str) -> Account:
    """Read the last run in a text of lines, which may hold several.

    An event that is not known is passed over, and so is a last line that was cut off. Raises
    TunedModelsError when a line is none of ours, and when no apply or destroy began.
    """
    written = text.split("\n")[:-1]  # what has no line end was cut off
    lines = [_parse_line(number, line) for number, line in enumerate(written, start=1)]
    began = [at for at, line in enumerate(lines) if line.get("event") == "began"]
    if not began or lines[began[-1]].get("verb") == "watch":
        raise TunedModelsError("These lines tell of no apply", cure=_CURE)
    try:
        return _account(lines[began[-1]], lines[began[-1] + 1 :])
    except (KeyError, TypeError, ValueError) as error:  # msgspec's ValidationError is a ValueError
        said = f"These lines are not as they were written: {error!r}"
        raise TunedModelsError(said, cure=_CURE) from None


def _parse_line(number: int, text: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        line = None
    if not isinstance(line, dict) or "formatVersion" not in line:
        raise TunedModelsError(f"Line {number} is no event of a run", cure=_CURE)
    if line["formatVersion"] != FORMAT_VERSION:
        raise TunedModelsError(
            f"Line {number} has another format than {FORMAT_VERSION}, which this tunedmodels reads",
            cure="Read it with the tunedmodels that wrote it.",
        )
    return line


def _account(began: Mapping[str, Any], rest: Sequence[Mapping[str, Any]]) -> Account:
    last = rest[-1] if rest else began
    known = [line for line in rest if line["event"] in _KINDS]
    return Account(
        project=msgspec.convert(began["project"], str),
        environment=msgspec.convert(began["environment"], str),
        digest=msgspec.convert(began["digest"], str),
        due=tuple(_read(due, Due) for due in began["due"]),
        events=tuple(_read(line, _KINDS[line["event"]]) for line in known),
        code=msgspec.convert(last["code"], int) if last["event"] == "ended" else None,
        moment=datetime.fromisoformat(last["time"]),
    )


def _read(line: Mapping[str, Any], of: type[T]) -> T:
    # No line holds the words of a service, and no event can do without words.
    left_out = LEFT_OUT.get(of, frozenset())
    absent = {
        field.name: ""
        for field in fields(of)  # type: ignore[arg-type]  # every event is a dataclass
        if field.name in left_out and field.default is MISSING
    }
    return msgspec.convert(absent | {to_snake(key): value for key, value in line.items()}, of)
