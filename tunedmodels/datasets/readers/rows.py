"""One row as JSON gives it: its two texts, or in words why it has none."""

from __future__ import annotations

from collections.abc import Iterable

from tunedmodels.datasets.problems import Found
from tunedmodels.datasets.source import Source, output_setting
from tunedmodels.text import nearest

_SHOWN = 12  # names of fields in a message

_KINDS = {bool: "true or false", int: "a number", float: "a number", list: "an array"}


def kind(value: object) -> str:
    """Name the JSON type of a value, for people."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return "a text"
    return _KINDS.get(type(value), "an object")


def example(value: object, source: Source, line: int, found: Found) -> tuple[str, str] | None:
    """Return (input, output) of a decoded row, or None after reporting all that is wrong."""
    if not isinstance(value, dict):
        found.error(
            line,
            "not-an-object",
            f"is {kind(value)}, not an object",
            f'Write {{"{source.input_field}": "...", "{source.output_field}": "..."}}.',
        )
        return None
    text_input = _text(value, source.input_field, "inputField", line, found)
    output = _text(value, source.output_field, output_setting(source), line, found)
    return None if text_input is None or output is None else (text_input, output)


def missing(names: Iterable[str], field: str, setting: str, line: int, found: Found) -> None:
    """Report that none of the columns `names` is `field`, the value of `setting`."""
    there = list(names)
    close = nearest(field, there)
    listed = ", ".join(map(repr, there[:_SHOWN])) + (", ..." if len(there) > _SHOWN else "")
    found.error(
        line,
        "missing-field",
        f"has no field {field!r}; it has {listed}"
        if there
        else f"has no field {field!r}, nor any other",
        f"Did you mean {close!r}? Then set {setting}: {close}"
        if close
        else f"Set {setting} to the field that holds it.",
    )


def _text(row: dict[str, object], field: str, setting: str, line: int, found: Found) -> str | None:
    if field not in row:
        missing(row, field, setting, line, found)
        return None
    value = row[field]
    if not isinstance(value, str):
        shown = f" ({value})" if type(value) in (int, float) else ""
        cure = "Write it in quotes." if shown else "Both sides of an example are texts."
        found.error(line, "not-a-text", f"is {kind(value)}{shown}, not a text", cure, path=field)
        return None
    return value
