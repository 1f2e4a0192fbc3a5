"""The JSON lines of a run, read back: what it set out to do, what happened, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar, get_args

import msgspec
from pydantic.alias_generators import to_snake

from tunedmodels.errors import TunedModelsError
from tunedmodels.events import Account, Due, Event
from tunedmodels.listeners.jsonl import FORMAT_VERSION, LEFT_OUT, kind_of

T = TypeVar("T")

_KINDS: Final[Mapping[str, type]] = MappingProxyType({kind_of(of): of for of in get_args(Event)})
_CURE: Final = "Give the file that `tunedmodels apply --events FILE` wrote."


def read_account(text: str) -> Account:
    """Read the last run in a text of lines, which may hold several.

    An event that is not known is passed over, and so is a last line that was cut off. Raises
    TunedModelsError when a line is none of ours, and when no apply or destroy began.
    """
    written = text.split("\n")[:-1]  # what has no line end was cut off
    lines = [_line(number, line) for number, line in enumerate(written, start=1)]
    began = [at for at, line in enumerate(lines) if line.get("event") == "began"]
    if not began or lines[began[-1]].get("verb") == "watch":
        raise TunedModelsError("These lines tell of no apply", cure=_CURE)
    try:
        return _account(lines[began[-1]], lines[began[-1] + 1 :])
    except (KeyError, TypeError, ValueError) as error:  # msgspec's ValidationError is a ValueError
        said = f"These lines are not as they were written: {error!r}"
        raise TunedModelsError(said, cure=_CURE) from None


def _line(number: int, text: str) -> dict[str, Any]:
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
