r"""Templates of a prompt over several fields: `"{instruction}\n{input}"`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from string import Formatter
from typing import Any

import msgspec


class NumberText(str):
    """A number of a JSON document as its text, so that 1.50 stays 1.50."""

    __slots__ = ()


class TemplateError(ValueError):
    """A template cannot be read; the message says why."""


@dataclass(frozen=True)
class Template:
    """A text with names of fields in braces; `{{` and `}}` are braces.

    A line whose fields are all empty drops out with its line break.
    """

    lines: tuple[tuple[tuple[str, str | None], ...], ...]
    """Of each line, the parts: a literal text, and the field after it."""
    optional: frozenset[str] = frozenset()
    """Fields that rows may lack."""

    @classmethod
    def parse(cls, text: str, optional: frozenset[str] = frozenset()) -> Template:
        """Return the template of a text. Raises TemplateError."""
        try:
            lines = tuple(tuple(_parts(line)) for line in text.split("\n"))
        except ValueError as error:
            raise TemplateError(str(error)) from error
        if not any(field for line in lines for _, field in line):
            raise TemplateError("it names no field in braces")
        return cls(lines, optional)

    @classmethod
    def of_field(cls, field: str) -> Template:
        """Return the template of one field."""
        return cls(((("", field),),))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields, in order."""
        return tuple(dict.fromkeys(field for line in self.lines for _, field in line if field))

    @property
    def single_field(self) -> str | None:
        """The field, if the template is one field and no other text."""
        is_single = len(self.lines) == 1 and len(self.lines[0]) == 1 and not self.lines[0][0][0]
        return self.lines[0][0][1] if is_single else None

    def render(self, value: Callable[[str], str]) -> str:
        """Return the text with the values of its fields."""
        rendered: list[str] = []
        for line in self.lines:
            values = [value(field) for _, field in line if field is not None]
            if values and not any(text.strip() for text in values):
                continue
            texts = iter(values)
            parts = (
                literal + (next(texts) if field is not None else "") for literal, field in line
            )
            rendered.append("".join(parts))
        return "\n".join(rendered)


def text_of(value: object) -> str | None:
    """Return the text of a JSON value: a string, or the JSON text of a number or a boolean."""
    if type(value) is str or type(value) is NumberText:
        return str(value)
    if isinstance(value, msgspec.Raw):
        raw = bytes(value)
        if raw[:1] == b'"':
            return str(msgspec.json.decode(raw))
        return raw.decode() if raw[:1] not in b'{[n"' else None
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return None


def value_of(value: object) -> Any:  # noqa: ANN401  # any JSON value
    """Return a JSON value that may be raw."""
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value


def text_fields(row: Mapping[str, object]) -> Iterator[str]:
    """Yield the fields whose value is a text of several words."""
    for name, value in row.items():
        text = text_of(value) if isinstance(value, str | msgspec.Raw) else None
        if text and len(text.split()) > 1:
            yield name


def _parts(line: str) -> Iterator[tuple[str, str | None]]:
    for literal, field, spec, conversion in Formatter().parse(line):
        if field is not None and (not field.strip() or spec or conversion):
            raise ValueError(f"{{{field}}} is not the name of a field")
        yield literal, field
    if not line:
        yield "", None
