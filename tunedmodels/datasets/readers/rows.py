"""Decoded JSON rows: the two texts of a row, or a report of why it has none."""

from __future__ import annotations

from collections.abc import Iterable

from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.source import ExampleSource, output_field_setting
from tunedmodels.text import nearest

_MAX_NAMES = 12  # names of fields in a message

_TYPE_NAMES = {
    type(None): "null",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "an array",
}


def json_type(value: object) -> str:
    """Return the name of the JSON type of a value, with its article."""
    return _TYPE_NAMES.get(type(value), "an object")


def parse_row(
    value: object, source: ExampleSource, line: int, problems: ProblemCollector
) -> tuple[str, str] | None:
    """Return (input, output) of a decoded row, or None after reporting all its problems."""
    if not isinstance(value, dict):
        problems.error(
            line,
            "not-an-object",
            f"is {json_type(value)}, not an object",
            f'Write {{"{source.input_field}": "...", "{source.output_field}": "..."}}.',
        )
        return None
    text_input = _parse_text(value, source.input_field, "inputField", line, problems)
    setting = output_field_setting(source)
    output = _parse_text(value, source.output_field, setting, line, problems)
    return None if text_input is None or output is None else (text_input, output)


def report_missing_field(
    names: Iterable[str], field: str, setting: str, line: int, problems: ProblemCollector
) -> None:
    """Report that `names` do not contain `field`, which is the value of `setting`."""
    names = list(names)
    close = nearest(field, names)
    listed = ", ".join(map(repr, names[:_MAX_NAMES])) + (", ..." if len(names) > _MAX_NAMES else "")
    problems.error(
        line,
        "missing-field",
        f"has no field {field!r}; it has {listed or 'no fields'}",
        f"Did you mean {close!r}? Then set {setting}: {close}"
        if close
        else f"Set {setting} to the name of the field that contains it.",
    )


def _parse_text(
    row: dict[str, object], field: str, setting: str, line: int, problems: ProblemCollector
) -> str | None:
    if field not in row:
        report_missing_field(row, field, setting, line, problems)
        return None
    value = row[field]
    if not isinstance(value, str):
        number = f" ({value})" if type(value) in (int, float) else ""
        cure = "Write it in quotes." if number else "Write both texts of an example as strings."
        message = f"is {json_type(value)}{number}, not a string"
        problems.error(line, "not-a-text", message, cure, path=field)
        return None
    return value
