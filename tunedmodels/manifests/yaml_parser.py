"""Parse YAML text into documents of plain values, and find every problem in it.

PyYAML's C parser gives the events, and a builder of our own makes the values. That takes half the
time of CSafeLoader, needs no recursion, and rejects what is dangerous in untrusted text: duplicate
keys, tags, and aliases that multiply. The pure Python parser, which gives the same events, is used
where the C parser is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from tunedmodels.manifests.location import PathPart
from tunedmodels.manifests.yaml_errors import (
    YamlProblem,
    YamlProblemError,
    character_problem,
    syntax_problem,
)
from tunedmodels.manifests.yaml_scalars import Value, parse_scalar, quote_value
from tunedmodels.text import printable

MAX_DEPTH: Final = 100
MAX_ALIASED: Final = 100_000  # values that all aliases of one file together may stand for

Lines = dict[PathPart, int]
"""The lines of the keys of a mapping, or of the items of a list."""


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One YAML document."""

    value: Value
    line: int
    lines: dict[int, Lines] = field(default_factory=dict, repr=False, compare=False)
    """By the `id` of each container; empty unless the text was parsed with lines."""

    def find(self, path: Sequence[PathPart]) -> tuple[int, int]:
        """Return the line of a path, and how many of its parts exist in the document."""
        value: Any = self.value
        line = self.line
        for depth, part in enumerate(path):
            if not isinstance(value, dict | list):
                return line, depth
            try:
                inner = value[part]  # type: ignore[index]  # a part of the wrong type: TypeError
            except (KeyError, IndexError, TypeError):
                return line, depth
            line = self.lines.get(id(value), {}).get(part, line)
            value = inner
        return line, len(path)


@dataclass(frozen=True, slots=True)
class YamlContents:
    """The documents in a text, without empty ones, and the problems of the text as YAML."""

    documents: tuple[YamlDocument, ...]
    problems: tuple[YamlProblem, ...]


def parse(text: str, *, lines: bool = False) -> YamlContents:
    """Return all documents; after a syntax error, those before it. Never raises."""
    builder = _Builder(keep_lines=lines)
    try:
        builder.run(text)
    except YamlProblemError as error:
        builder.problems.append(error.problem)
    except yaml.reader.ReaderError:
        builder.problems.append(character_problem(text))
    except yaml.MarkedYAMLError as error:
        builder.problems.append(syntax_problem(error, text))
    if builder.problems and not lines:
        return parse(text, lines=True)  # messages name lines
    return YamlContents(tuple(builder.documents), tuple(builder.problems))


# The stubs make the mark of an event and the name of an alias optional; the parser sets both.
_Event: TypeAlias = Any

_DROP: Final = object()  # the key of a value to discard
_MERGE: Final = object()  # the key `<<`
_TAG: Final = "tag:yaml.org,2002:"


@dataclass(slots=True)
class _Frame:
    """A container that is being filled."""

    container: Any
    line: int
    start: int
    """The count of values before the container."""
    anchor: str | None = None
    key: Any = None
    """The key whose value comes next."""
    merged: list[tuple[dict[str, Value], Lines]] = field(default_factory=list)


class _Builder:
    """Turns the events of one text into documents and problems."""

    def __init__(self, *, keep_lines: bool) -> None:
        self.documents: list[YamlDocument] = []
        self.problems: list[YamlProblem] = []
        self._keep_lines = keep_lines
        self._lines: dict[int, Lines] = {}
        self._top = _Frame([], 0, 0)
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Value, int]] = {}
        self._count = 0
        self._aliased = 0

    def run(self, text: str) -> None:
        """Read all events. Raises YamlProblemError or yaml.YAMLError where reading must stop."""
        parser = yaml.CSafeLoader(text) if yaml.__with_libyaml__ else yaml.SafeLoader(text)
        handlers: dict[type, Callable[[_Event], None]] = {
            ScalarEvent: self._on_scalar,
            MappingStartEvent: self._on_container_start,
            MappingEndEvent: self._on_container_end,
            SequenceStartEvent: self._on_container_start,
            SequenceEndEvent: self._on_container_end,
            AliasEvent: self._on_alias,
            StreamStartEvent: lambda _: None,
            DocumentStartEvent: self._on_document_start,
            DocumentEndEvent: self._on_document_end,
        }
        next_event = parser.get_event
        event = next_event()
        while type(event) is not StreamEndEvent:
            handlers[type(event)](event)
            event = next_event()

    def _on_document_start(self, event: _Event) -> None:
        self._top = _Frame([], event.start_mark.line + 1, 0)
        self._lines = {}
        self._anchors = {}

    def _on_document_end(self, _: _Event) -> None:
        value = self._top.container[0]
        if value is not None:
            self.documents.append(YamlDocument(value, self._top.line, self._lines))

    def _on_scalar(self, event: _Event) -> None:
        top = self._top
        self._count += 1
        if type(top.container) is dict and top.key is None:
            self._key(event)
            return
        value: Value = event.value
        if event.tag is not None:
            value = self._tagged_scalar(event)
        elif not event.style:
            value = parse_scalar(event.value)
        elif event.style == '"' and not event.value.isascii():
            value = self._check_encodable(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        if self._keep_lines:
            self._record_line(event)
        self._put(value, event)

    def _key(self, event: _Event) -> None:
        top, name = self._top, sys.intern(event.value)
        if event.anchor is not None:
            self._anchors[event.anchor] = (name, 1)
        if event.tag not in (None, "!", f"{_TAG}str"):
            self._tagged_scalar(event)
        if name == "<<" and not event.style:
            top.key = _MERGE
            return
        if name in top.container:
            first = self._lines.get(id(top.container), {}).get(name, 0)
            message = f"is a duplicate key, first in line {first}"
            self._report(event, "duplicate-key", message, "keep one of the two", name)
        top.key = name
        if self._keep_lines:
            lines = self._lines.setdefault(id(top.container), {})
            lines[name] = event.start_mark.line + 1

    def _on_container_start(self, event: _Event) -> None:
        self._count += 1
        is_mapping = type(event) is MappingStartEvent
        if event.tag not in (None, "!", f"{_TAG}map" if is_mapping else f"{_TAG}seq"):
            self._report_tag(event)
        if self._keep_lines:
            self._record_line(event)
        if len(self._stack) == MAX_DEPTH:
            raise YamlProblemError(
                YamlProblem(
                    event.start_mark.line + 1,
                    "too-deep",
                    f"is nested more than {MAX_DEPTH} levels deep",
                    "check for brackets that are not closed",
                )
            )
        line = event.start_mark.line + 1
        if not self._stack:
            self._top.line = line  # the first key, after comments or ---
        self._stack.append(self._top)
        self._top = _Frame({} if is_mapping else [], line, self._count, event.anchor)
        # A container that was freed may have had this id and left its lines.
        self._lines.pop(id(self._top.container), None)

    def _on_container_end(self, event: _Event) -> None:
        frame, self._top = self._top, self._stack.pop()
        for merged, lines in frame.merged:
            own = self._lines.setdefault(id(frame.container), {})
            for key, value in merged.items():
                if key not in frame.container:
                    frame.container[key] = value
                    own[key] = lines.get(key, frame.line)
        if frame.anchor is not None:
            size = self._count - frame.start + 1
            self._anchors[frame.anchor] = (frame.container, size)
        self._put(frame.container, event)

    def _on_alias(self, event: _Event) -> None:
        value, size = self._anchors.get(event.anchor, (None, 1))
        self._count += size
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            message = f"has aliases that expand to more than {MAX_ALIASED:,} values"
            cure = "write the values out, or use spec.defaults of the Project"
            raise YamlProblemError(
                YamlProblem(event.start_mark.line + 1, "alias-bomb", message, cure)
            )
        if event.anchor not in self._anchors:
            name = printable(event.anchor)
            message = f"has an unknown alias *{name}: &{name} is not defined before it"
            self._report(event, "unknown-alias", message, "define the anchor first, or quote the *")
        if self._keep_lines:
            self._record_line(event)
        self._put(value, event)

    def _put(self, value: Value, event: _Event) -> None:
        """Add a finished value to the innermost open container."""
        top = self._top
        if type(top.container) is list:
            top.container.append(value)
        elif top.key is None:
            cure = "write text as the key, and put text that begins with { or [ in quotes"
            self._report(event, "bad-key", "has a key that is not text", cure)
            top.key = _DROP
        else:
            if top.key is _MERGE:
                self._merge(value, event)
            elif top.key is not _DROP:
                top.container[top.key] = value
            top.key = None

    def _merge(self, value: Value, event: _Event) -> None:
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                self._top.merged.append((part, self._lines.get(id(part), {})))
            else:
                message = f"<< requires a mapping or a list of mappings (got {quote_value(part)})"
                self._report(
                    event, "bad-merge", message, "write << : *NAME, where &NAME is a mapping"
                )

    def _record_line(self, event: _Event) -> None:
        """Record the line of a list item; `_key` records the line of a key."""
        if type(self._top.container) is list:
            lines = self._lines.setdefault(id(self._top.container), {})
            lines[len(self._top.container)] = event.start_mark.line + 1

    def _tagged_scalar(self, event: _Event) -> Value:
        """Return the value of a scalar with a standard tag; report every other tag."""
        if event.tag in ("!", f"{_TAG}str"):
            return str(event.value)
        value = parse_scalar(event.value) if event.value else None
        match event.tag.removeprefix(_TAG):
            case "int" if type(value) is int:
                return value
            case "float" if type(value) in (int, float):
                return float(value)  # type: ignore[arg-type]  # the guard checked the type
            case "bool" if type(value) is bool:
                return value
            case "null" if value is None:
                return None
        self._report_tag(event)
        return None

    def _report_tag(self, event: _Event) -> None:
        tag = event.tag.replace(_TAG, "!!", 1)
        message = f"has the tag {printable(tag)}, which is not supported"
        self._report(event, "unknown-tag", message, "remove the tag and write the value itself")

    def _check_encodable(self, event: _Event) -> Value:
        """Report half of a surrogate pair, which only the pure Python parser accepts."""
        try:
            event.value.encode()
        except UnicodeEncodeError:
            message = f"contains half a surrogate pair: {quote_value(event.value)}"
            self._report(event, "not-text", message, "write the character itself")
            return None
        return str(event.value)

    def _report(self, event: _Event, code: str, message: str, cure: str, key: str = "") -> None:
        keys = [frame.key for frame in (*self._stack, self._top) if isinstance(frame.key, str)]
        path = (*keys, key) if key else tuple(keys)
        self.problems.append(YamlProblem(event.start_mark.line + 1, code, message, cure, path))
