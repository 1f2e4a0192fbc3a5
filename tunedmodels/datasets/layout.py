"""The layout of a file: its container, its encoding, and which of its fields are the example.

The layout is recognised from the beginning of the file, before any row is judged. What cannot be
read is one problem for the whole file, with a cure that works as written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tunedmodels.datasets.forms import FORMS, recognise_chat
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.source import (
    INPUT_FIELD,
    OUTPUT_FIELD,
    Container,
    Source,
    output_field_setting,
)
from tunedmodels.datasets.templates import Template, TemplateError, text_fields
from tunedmodels.text import join, nearest

_MAX_NAMES = 12  # names of fields in a message


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of one file are read."""

    source: Source
    container: Container
    encoding: str | None = None  #: None: UTF-8
    delimiter: str = ","
    skip_lines: int = 0  #: lines before the header
    chat: str | None = None  #: the chat format, in place of the fields
    templates: Templates | None = None  #: for examples of several fields
    unread: tuple[str, ...] = ()  #: fields with text that are not read

    @property
    def group_fields(self) -> tuple[str, ...]:
        """The fields that keep rows together in a hold-out."""
        return tuple(dict.fromkeys(each.by for each in self.source.hold_outs if each.by))

    @property
    def is_plain(self) -> bool:
        """Whether an example is two fields, so that whole columns are read at once."""
        return not (self.chat or self.templates or self.group_fields)


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates of an example."""

    input: Template
    output: Template
    system: Template | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that is read."""
        system = self.system.fields if self.system else ()
        return (*self.input.fields, *self.output.fields, *system)


@dataclass(frozen=True, slots=True)
class _Preset:
    """A known set of field names."""

    name: str
    needed: tuple[str, ...]
    input: str
    output: str
    optional: frozenset[str] = field(default_factory=frozenset)


# In this order: the first whose needed fields a file has.
_PRESETS: Final = (
    _Preset("promptCompletion", ("prompt", "completion"), "{prompt}", "{completion}"),
    _Preset(
        "alpaca",
        ("instruction", "output"),
        "{instruction}\n{input}",
        "{output}",
        frozenset({"input"}),
    ),
    _Preset(
        "dolly",
        ("instruction", "response"),
        "{instruction}\n{context}",
        "{response}",
        frozenset({"context"}),
    ),
)


def resolve_fields(
    layout: Layout,
    names: Sequence[str],
    sample: Iterable[Mapping[str, Any]],
    problems: ProblemCollector,
    *,
    line: int = 0,
) -> Layout | None:
    """Return the layout with the fields of the example, or None after reporting missing ones.

    `names` are the fields of the file, `sample` its first rows; `line` is that of the names, or 0
    where each row has its own.
    """
    source = layout.source
    rows = list(sample)
    chat: str | None = source.format if source.format in FORMS else None
    has_fields = source.input_field in names or source.input or source.system
    if not chat and not has_fields and source.input_field == INPUT_FIELD and not source.output:
        chat = next((name for row in rows if (name := recognise_chat(row))), None)
        if source.format not in (None, "jsonl", "json", "parquet"):
            chat = None
    if chat:
        resolved = replace(layout, chat=chat)
        problems.note_layout(resolved, names)
        return resolved
    try:
        layout = _with_templates(layout, names)
    except TemplateError as error:
        problems.error(
            0,
            "bad-template",
            f"cannot be read with these templates: {error}",
            'Name fields in braces, such as input: "{question}".',
        )
        return None
    if line and not _has_columns(layout, names, line, problems):
        return None
    if not line and layout.templates and names:
        optional = layout.templates.input.optional
        missing = [each for each in layout.templates.fields if each not in {*names, *optional}]
        for each in missing:
            report_missing_field(names, each, "the template", 0, problems)
        if missing:
            return None
    resolved = replace(layout, unread=_unread(layout, names, rows))
    problems.note_layout(resolved, names)
    problems.note_unread(template_cure(resolved, resolved.unread), resolved.unread)
    return resolved


def fields_read(layout: Layout) -> tuple[str, ...]:
    """Return the fields of the example."""
    if layout.templates:
        return layout.templates.fields
    return layout.source.input_field, layout.source.output_field


def report_missing_field(
    names: Iterable[str], field_name: str, setting: str, line: int, problems: ProblemCollector
) -> None:
    """Report that `names` do not contain a field, which is the value of `setting`."""
    names = list(names)
    close = nearest(field_name, names)
    problems.error(
        line,
        "missing-field",
        f"has no field {field_name!r}; it has {list_names(names)}",
        f"Did you mean {close!r}? Then set {setting}: {close}"
        if close and setting != "the template"
        else f"Did you mean {{{close}}}?"
        if close
        else f"Set {setting} to the name of the field that contains it.",
    )


def list_names(names: Sequence[str]) -> str:
    """Return names of fields for a message."""
    listed = ", ".join(map(repr, names[:_MAX_NAMES])) + (", ..." if len(names) > _MAX_NAMES else "")
    return listed or "no fields"


def template_cure(layout: Layout, fields: Sequence[str]) -> str:
    """Return the setting that reads more fields as part of the input."""
    own = layout.templates.input.fields if layout.templates else (layout.source.input_field,)
    template = "\\n".join(f"{{{name}}}" for name in (*fields, *own))
    return f'Set input: "{template}" to read {join(fields)}, too.'


def _with_templates(layout: Layout, names: Sequence[str]) -> Layout:
    source = layout.source
    preset = _preset(source, names)
    if preset:
        templates = Templates(
            Template.parse(preset.input, preset.optional), Template.parse(preset.output)
        )
    elif source.input or source.output or source.system:
        templates = Templates(
            Template.parse(source.input) if source.input else Template.of_field(source.input_field),
            Template.parse(source.output)
            if source.output
            else Template.of_field(source.output_field),
            Template.parse(source.system) if source.system else None,
        )
    else:
        return layout
    single_input, single_output = templates.input.single_field, templates.output.single_field
    if single_input and single_output and not templates.system:
        plain = replace(source, input_field=single_input, output_field=single_output)
        return replace(layout, source=plain)
    return replace(layout, templates=templates)


def _preset(source: Source, names: Sequence[str]) -> _Preset | None:
    declared = next((preset for preset in _PRESETS if preset.name == source.format), None)
    if declared or source.input or source.output or source.system:
        return declared
    if source.input_field != INPUT_FIELD or source.input_field in names:
        return None
    if source.is_preference:
        response = "chosen" if source.is_better else "rejected"
        if {"prompt", "chosen", "rejected"} <= {*names} and source.output_field in (
            OUTPUT_FIELD,
            "rejected",
        ):
            return _Preset("preference", (), "{prompt}", f"{{{response}}}")
        return None
    if source.output_field != OUTPUT_FIELD:
        return None
    return next((preset for preset in _PRESETS if {*preset.needed} <= {*names}), None)


def _has_columns(
    layout: Layout, names: Sequence[str], line: int, problems: ProblemCollector
) -> bool:
    """Report the columns that a header lacks or has twice."""
    source = layout.source
    is_complete = True
    settings = {
        source.input_field: "inputField",
        source.output_field: output_field_setting(source),
    }
    optional = layout.templates.input.optional if layout.templates else frozenset()
    for name in dict.fromkeys((*fields_read(layout), *layout.group_fields)):
        setting = "the template" if layout.templates else settings.get(name, "by")
        if names.count(name) > 1:
            problems.error(
                line,
                "same-field",
                f"has {names.count(name)} columns named {name!r}",
                "Give every column a unique name.",
            )
            is_complete = False
        elif name not in names and name not in optional:
            report_missing_field(names, name, setting, line, problems)
            is_complete = False
    return is_complete


def _unread(
    layout: Layout, names: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    read = {*fields_read(layout), *layout.group_fields}
    if layout.source.is_preference:
        return ()
    names = [name for name in names if name not in read]
    if not names:
        return ()
    unread = [{name: row[name] for name in names if name in row} for row in rows]
    return tuple(dict.fromkeys(name for row in unread for name in text_fields(row)))
