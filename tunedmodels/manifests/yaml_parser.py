"""From the events of a YAML parser to plain values.

PyYAML's C parser gives events and an own builder makes the values: half the time of CSafeLoader,
no recursion, and room for what a loader of untrusted text must refuse: duplicate keys, tags, and
aliases that multiply. The pure parser gives the same events where the C one is missing.
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

from tunedmodels.manifests.location import Step
from tunedmodels.manifests.yaml_errors import Fault, FaultError, syntax_fault, unprintable
from tunedmodels.manifests.yaml_scalars import Value, plain, shown, visible

# FOLDED
# One YAML document as plain values, which knows the lines of its keys if it was read with them.
Lines = dict[Step, int]  # the lines of one container's keys, or of its items by their index


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document. `lines` knows the lines of keys and items by the id of their container."""

    value: Value
    line: int
    lines: dict[int, Lines] = field(default_factory=dict, repr=False, compare=False)

    def find(self, path: Sequence[Step]) -> tuple[int, int]:
        """Follow a path as far as it was written; return its line and how many steps that was."""
        here: Any = self.value
        line = self.line
        for depth, step in enumerate(path):
            if not isinstance(here, dict | list):
                return line, depth
            try:
                below = here[step]  # type: ignore[index]  # a step of the wrong kind raises TypeError
            except (KeyError, IndexError, TypeError):
                return line, depth
            line = self.lines.get(id(here), {}).get(step, line)
            here = below
        return line, len(path)


MAX_DEPTH: Final = 100
MAX_ALIASED: Final = 100_000  # values that all aliases of one file may stand for together

# The types say that an event may have no mark and an alias no name; from a parser, they have.
_Event: TypeAlias = Any

_DROP: Final = object()  # the key of a value that is read and forgotten
_MERGE: Final = object()  # the key `<<`
_TAG: Final = "tag:yaml.org,2002:"


@dataclass(slots=True)
class _Frame:
    """A container that is being filled; `key` waits for its value, `start` counted before it."""

    container: Any
    line: int
    start: int
    anchor: str | None = None
    key: Any = None
    merged: list[tuple[dict[str, Value], Lines]] = field(default_factory=list)


class Builder:
    """Turns the events of one text into documents and faults."""

    def __init__(self, *, keep_lines: bool) -> None:
        self.documents: list[Document] = []
        self.faults: list[Fault] = []
        self._keep_lines = keep_lines
        self._lines: dict[int, Lines] = {}
        self._top = _Frame([], 0, 0)
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Value, int]] = {}
        self._count = 0
        self._aliased = 0

    def run(self, text: str) -> None:
        """Read to the end; raises FaultError or yaml.YAMLError where reading cannot go on."""
        parser = yaml.CSafeLoader(text) if yaml.__with_libyaml__ else yaml.SafeLoader(text)
        on: dict[type, Callable[[_Event], None]] = {
            ScalarEvent: self._scalar,
            MappingStartEvent: self._start,
            MappingEndEvent: self._end,
            SequenceStartEvent: self._start,
            SequenceEndEvent: self._end,
            AliasEvent: self._alias,
            StreamStartEvent: lambda _: None,
            DocumentStartEvent: self._document,
            DocumentEndEvent: self._document_end,
        }
        next_event = parser.get_event
        event = next_event()
        while type(event) is not StreamEndEvent:
            on[type(event)](event)
            event = next_event()

    def _document(self, event: _Event) -> None:
        self._top = _Frame([], event.start_mark.line + 1, 0)
        self._lines = {}
        self._anchors = {}

    def _document_end(self, _: _Event) -> None:
        value = self._top.container[0]
        if value is not None:
            self.documents.append(Document(value, self._top.line, self._lines))

    def _scalar(self, event: _Event) -> None:
        top = self._top
        self._count += 1
        if type(top.container) is dict and top.key is None:
            self._key(event)
            return
        value: Value = event.value
        if event.tag is not None:
            value = self._tagged(event)
        elif not event.style:
            value = plain(event.value)
        elif event.style == '"' and not event.value.isascii():
            value = self._encodable(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        if self._keep_lines:
            self._mark(event)
        self._put(value, event)

    def _key(self, event: _Event) -> None:
        top, name = self._top, sys.intern(event.value)
        if event.anchor is not None:
            self._anchors[event.anchor] = (name, 1)
        if event.tag not in (None, "!", f"{_TAG}str"):
            self._tagged(event)
        if name == "<<" and not event.style:
            top.key = _MERGE
            return
        if name in top.container:
            first = self._lines.get(id(top.container), {}).get(name, 0)
            message = f"is written twice, first in line {first}"
            self._fault(event, "duplicate-key", message, "keep one of the two", name)
        top.key = name
        if self._keep_lines:
            lines = self._lines.setdefault(id(top.container), {})
            lines[name] = event.start_mark.line + 1

    def _start(self, event: _Event) -> None:
        self._count += 1
        is_mapping = type(event) is MappingStartEvent
        if event.tag not in (None, "!", f"{_TAG}map" if is_mapping else f"{_TAG}seq"):
            self._refuse_tag(event)
        if self._keep_lines:
            self._mark(event)
        if len(self._stack) == MAX_DEPTH:
            raise FaultError(
                Fault(
                    event.start_mark.line + 1,
                    "too-deep",
                    f"is nested more than {MAX_DEPTH} levels deep",
                    "no manifest needs that; look for brackets that are never closed",
                )
            )
        line = event.start_mark.line + 1
        if not self._stack:
            self._top.line = line  # the first key, where comments or --- stand before it
        self._stack.append(self._top)
        self._top = _Frame({} if is_mapping else [], line, self._count, event.anchor)
        # A container that was forgotten may have had this id, and its lines are still there.
        self._lines.pop(id(self._top.container), None)

    def _end(self, event: _Event) -> None:
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

    def _alias(self, event: _Event) -> None:
        value, size = self._anchors.get(event.anchor, (None, 1))
        self._count += size
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            message = f"has aliases that stand for more than {MAX_ALIASED:,} values"
            cure = "write the values out, or use spec.defaults of the Project"
            raise FaultError(Fault(event.start_mark.line + 1, "alias-bomb", message, cure))
        if event.anchor not in self._anchors:
            name = visible(event.anchor)
            message = f"*{name} stands for nothing: no &{name} ends before it"
            self._fault(event, "unknown-alias", message, "define the anchor first, or quote the *")
        if self._keep_lines:
            self._mark(event)
        self._put(value, event)

    def _put(self, value: Value, event: _Event) -> None:
        """Place a finished value into the container that is open."""
        top = self._top
        if type(top.container) is list:
            top.container.append(value)
        elif top.key is None:
            cure = "write a word as the key, and quotes around text that begins with { or ["
            self._fault(event, "bad-key", "has a key that is no text", cure)
            top.key = _DROP
        else:
            if top.key is _MERGE:
                self._merge(value, event)
            elif top.key is not _DROP:
                top.container[top.key] = value
            top.key = None

    def _merge(self, value: Value, event: _Event) -> None:
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                self._top.merged.append((each, self._lines.get(id(each), {})))
            else:
                message = f"<< needs a mapping, or a list of mappings (got {shown(each)})"
                self._fault(event, "bad-merge", message, "write << : *NAME, where &NAME is one")

    def _mark(self, event: _Event) -> None:
        """Remember the line of a list's item; keys are remembered where they are read."""
        if type(self._top.container) is list:
            lines = self._lines.setdefault(id(self._top.container), {})
            lines[len(self._top.container)] = event.start_mark.line + 1

    def _tagged(self, event: _Event) -> Value:
        """Return what a scalar with a standard tag means; refuse every other tag."""
        if event.tag in ("!", f"{_TAG}str"):
            return str(event.value)
        value = plain(event.value) if event.value else None
        match event.tag.removeprefix(_TAG):
            case "int" if type(value) is int:
                return value
            case "float" if type(value) in (int, float):
                return float(value)  # type: ignore[arg-type]  # the guard above says int or float
            case "bool" if type(value) is bool:
                return value
            case "null" if value is None:
                return None
        self._refuse_tag(event)
        return None

    def _refuse_tag(self, event: _Event) -> None:
        tag = event.tag.replace(_TAG, "!!", 1)
        message = f"has the tag {visible(tag)}, which means nothing here"
        self._fault(event, "unknown-tag", message, "remove the tag, and write the value itself")

    def _encodable(self, event: _Event) -> Value:
        """Refuse half of a surrogate pair, which only the pure parser lets through."""
        try:
            event.value.encode()
        except UnicodeEncodeError:
            message = f"holds half a character: {shown(event.value)}"
            self._fault(event, "not-text", message, "write the character itself")
            return None
        return str(event.value)

    def _fault(self, event: _Event, code: str, message: str, cure: str, key: str = "") -> None:
        keys = [frame.key for frame in (*self._stack, self._top) if isinstance(frame.key, str)]
        path = (*keys, key) if key else tuple(keys)
        self.faults.append(Fault(event.start_mark.line + 1, code, message, cure, path))


# FOLDED
# From YAML text to documents of plain values, and everything that is wrong with it as YAML.
@dataclass(frozen=True, slots=True)
class Reading:
    """What a text holds, empty documents left out, and what is wrong with it as YAML."""

    documents: tuple[Document, ...]
    faults: tuple[Fault, ...]


def read(text: str, *, lines: bool = False) -> Reading:
    """Read all documents; after a fault of syntax, those before it. Never raises."""
    builder = Builder(keep_lines=lines)
    try:
        builder.run(text)
    except FaultError as error:
        builder.faults.append(error.fault)
    except yaml.reader.ReaderError:
        builder.faults.append(unprintable(text))
    except yaml.MarkedYAMLError as error:
        builder.faults.append(syntax_fault(error, text))
    if builder.faults and not lines:
        return read(text, lines=True)  # now with the lines that the faults speak of
    return Reading(tuple(builder.documents), tuple(builder.faults))
