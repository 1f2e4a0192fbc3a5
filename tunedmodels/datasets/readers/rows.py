"""Decoded rows: the example of a row in any form, or a report of why it has none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from tunedmodels.datasets import forms
from tunedmodels.datasets.blocks import ROWS_PER_BLOCK, Block, ConversationRow
from tunedmodels.datasets.examples import encode_row, history, is_text_pair, prompt, turn_text
from tunedmodels.datasets.forms import FORMS, FormError
from tunedmodels.datasets.layout import Layout, report_missing_field
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.source import output_field_setting
from tunedmodels.datasets.templates import NumberText, Template, text_of, value_of

_TYPE_NAMES = {
    type(None): "null",
    str: "a string",
    NumberText: "a number",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "an array",
}

TextPair = tuple[str, str]


class ParsedRow(NamedTuple):
    """One example of a row."""

    text_input: str
    output: str
    line: int
    conversation: ConversationRow | None = None
    group: str = ""


RowParser = Callable[[object, int], Iterable[ParsedRow]]


def json_type(value: object) -> str:
    """Return the name of the JSON type of a value, with its article."""
    return _TYPE_NAMES.get(type(value), "an object")


def row_parser(layout: Layout, problems: ProblemCollector) -> RowParser:
    """Return the function that reads the examples of a decoded row and reports its problems."""
    if layout.chat:
        return _ChatParser(layout, problems)
    return _FieldParser(layout, problems)


def to_blocks(rows: Iterator[ParsedRow]) -> Iterator[Block]:
    """Yield examples as blocks."""
    while part := list(islice(rows, ROWS_PER_BLOCK)):
        has_conversations = any(row.conversation for row in part)
        yield Block(
            [row.text_input for row in part],
            [row.output for row in part],
            [row.line for row in part],
            [row.conversation for row in part] if has_conversations else None,
            [row.group for row in part],
        )


def parse_row(
    value: object, layout: Layout, line: int, problems: ProblemCollector
) -> TextPair | None:
    """Return (input, output) of a decoded row of two fields, or None after reporting why not."""
    source = layout.source
    if not isinstance(value, dict):
        _report_not_an_object(value, layout, line, problems)
        return None
    text_input = _parse_text(value, source.input_field, "inputField", line, problems)
    setting = output_field_setting(source)
    output = _parse_text(value, source.output_field, setting, line, problems)
    return None if text_input is None or output is None else (text_input, output)


def report_repeated_key(key: str, line: int, problems: ProblemCollector) -> None:
    """Report a key that occurs twice in one object."""
    problems.error(
        line,
        "repeated-key",
        f"has the key {key!r} twice",
        "Keep one of the two; a reader would use the last one without a word.",
        path=key,
    )


class _FieldParser:
    """Reads rows by the names or the templates of their fields."""

    def __init__(self, layout: Layout, problems: ProblemCollector) -> None:
        self._layout = layout
        self._problems = problems

    def __call__(self, value: object, line: int) -> Iterator[ParsedRow]:
        layout, templates = self._layout, self._layout.templates
        if not isinstance(value, Mapping):
            _report_not_an_object(value, layout, line, self._problems)
            return
        before = self._problems.error_count
        if not templates:
            setting = output_field_setting(layout.source)
            text_input = _parse_text(
                value, layout.source.input_field, "inputField", line, self._problems
            )
            output = _parse_text(value, layout.source.output_field, setting, line, self._problems)
            system = ""
        else:
            text_input = self._render(templates.input, value, line)
            output = self._render(templates.output, value, line)
            system = self._render(templates.system, value, line) if templates.system else ""
        group = self._group(value, line)
        if self._problems.error_count > before or text_input is None or output is None:
            return
        if not (text_input.strip() or output.strip()):
            return  # no text at all: like a blank line
        conversation = None
        if system.strip():
            conversation = ConversationRow(_system_row(system, text_input, output), is_pair=True)
            text_input = prompt(system, text_input)
        yield ParsedRow(text_input, output, line, conversation, group)

    def _render(self, template: Template, row: Mapping[str, object], line: int) -> str:
        def value(field: str) -> str:
            if row.get(field) is None:
                return ""
            text = text_of(row[field])
            if text is None:
                kind = json_type(value_of(row[field]))
                if kind != "null":
                    self._problems.error(
                        line, "not-a-text", f"is {kind}, not a string", _TEXT_CURE, path=field
                    )
                return ""
            return text

        return template.render(value)

    def _group(self, row: Mapping[str, object], line: int) -> str:
        values = []
        for name in self._layout.group_fields:
            if name not in row:
                report_missing_field(row, name, "by", line, self._problems)
                continue
            values.append(text_of(row[name]) or "")
        return "\0".join(values)


class _ChatParser:
    """Reads rows of a chat format."""

    def __init__(self, layout: Layout, problems: ProblemCollector) -> None:
        self._layout = layout
        self._problems = problems
        self._parse, self._form = FORMS[layout.chat or ""]

    def __call__(self, value: object, line: int) -> Iterator[ParsedRow]:
        if not isinstance(value, Mapping):
            self._problems.error(
                line, "not-an-object", f"is {json_type(value)}, not an object", self._form
            )
            return
        source = self._layout.source
        row = {key: value_of(each) for key, each in value.items()}
        try:
            normal = self._parse(row, is_preference=source.is_preference)
        except FormError as error:
            cure = self._form
            if error.code == "not-a-preference":
                cure = forms.PREFERENCE_FORM
            self._problems.error(line, error.code, error.message, cure, path=error.path)
            return
        group = "\0".join(text_of(row.get(name)) or "" for name in self._layout.group_fields)
        if source.turns == "keep" or source.is_preference or not forms.is_text_only(normal):
            yield self._example(normal, line, group)
            return
        for part, _ in forms.split(normal, with_history=source.turns == "splitWithHistory"):
            yield self._pair(part, line, group)

    def _example(self, row: dict[str, Any], line: int, group: str) -> ParsedRow:
        turns, system = row["contents"], _system_text(row)
        is_preference = self._layout.source.is_preference
        if is_preference:
            before = turns
            last = row["completions"][0 if self._layout.source.is_better else 1]["completion"]
        else:
            *before, last = turns
        is_pair = is_text_pair(row)
        first = turn_text(before[0])
        text_input = prompt(system, first) if is_pair else history(system, before)
        conversation = None
        if system or not is_pair:
            reason = "" if is_pair else forms.describe(row)
            conversation = ConversationRow(encode_row(row), is_pair, reason)
        return ParsedRow(text_input, turn_text(last), line, conversation, group)

    def _pair(self, row: dict[str, Any], line: int, group: str) -> ParsedRow:
        *before, last = row["contents"]
        system = _system_text(row)
        if len(before) == 1:
            return self._example(row, line, group)
        return ParsedRow(history(system, before), turn_text(last), line, None, group)


_TEXT_CURE = "Write both texts of an example as strings."


def _system_text(row: Mapping[str, Any]) -> str:
    return turn_text(row.get("systemInstruction") or {})


def _system_row(system: str, text_input: str, output: str) -> str:
    return encode_row(
        {
            "contents": [
                {"role": "user", "parts": [{"text": text_input}]},
                {"role": "model", "parts": [{"text": output}]},
            ],
            "systemInstruction": {"parts": [{"text": system}]},
        }
    )


def _report_not_an_object(
    value: object, layout: Layout, line: int, problems: ProblemCollector
) -> None:
    source = layout.source
    problems.error(
        line,
        "not-an-object",
        f"is {json_type(value)}, not an object",
        f'Write {{"{source.input_field}": "...", "{source.output_field}": "..."}}.',
    )


def _parse_text(
    row: Mapping[str, object], field: str, setting: str, line: int, problems: ProblemCollector
) -> str | None:
    if field not in row:
        report_missing_field(row, field, setting, line, problems)
        return None
    text = text_of(row[field])
    if text is None:
        kind = json_type(value_of(row[field]))
        problems.error(line, "not-a-text", f"is {kind}, not a string", _TEXT_CURE, path=field)
    return text
