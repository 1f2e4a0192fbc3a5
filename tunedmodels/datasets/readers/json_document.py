"""JSON as one document: an array of objects, columns, or what `DataFrame.to_json` writes.

The document is read whole, so its size is limited. Objects one after the other, each over many
lines, are read as well.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, Final

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.encodings import open_utf8
from tunedmodels.datasets.layout import (
    Layout,
    fields_read,
    report_missing_field,
    resolve_fields,
)
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers.rows import (
    ParsedRow,
    json_type,
    report_repeated_key,
    row_parser,
    to_blocks,
)
from tunedmodels.datasets.source import output_field_setting
from tunedmodels.datasets.templates import NumberText

MAX_DOCUMENT_BYTES: Final = 64 * 1024 * 1024
_SAMPLE_ROWS: Final = 50

# Programs for `python3 -c`, on one line each, so that a command printed with indentation works.
_CONVERT_ARRAY: Final = (
    "import json, sys; [print(json.dumps(row)) for row in json.load(sys.stdin.buffer)]"
)
_CONVERT_COLUMNS: Final = (
    "import json, sys; "
    "c = {k: v for k, v in json.load(sys.stdin.buffer).items() if isinstance(v, list)}; "
    "[print(json.dumps({k: v[i] for k, v in c.items() if i < len(v)})) "
    "for i in range(max(map(len, c.values())))]"
)

_TWO_STRINGS: Final = "An example consists of two strings."
_SEPARATORS: Final = frozenset(" \t\r\n,:")
_decode_at = json.JSONDecoder(parse_int=NumberText, parse_float=NumberText).raw_decode

_Row = tuple[object, int]


class _RepeatedKey(dict[str, Any]):
    """An object that has a key twice."""

    key = ""


def read_json(file: Path, layout: Layout, problems: ProblemCollector) -> Iterator[Block]:
    """Yield the rows of a JSON document."""
    size = file.stat().st_size
    with open_utf8(file, layout.encoding) as opened:
        content = opened.read(64 if size > MAX_DOCUMENT_BYTES else MAX_DOCUMENT_BYTES + 1)
        if size > MAX_DOCUMENT_BYTES:
            _report_too_large(file, content, size, problems)
            return
        while len(content) <= MAX_DOCUMENT_BYTES and (more := opened.read(1 << 20)):
            content += more
    if len(content) > MAX_DOCUMENT_BYTES:
        _report_too_large(file, content[:64], size, problems)
        return
    # surrogateescape: a byte that is not UTF-8 makes only its own row unusable.
    text = content.decode("utf-8-sig", "surrogateescape")
    rows = _document_rows(text, layout, problems)
    if rows is None:
        return
    first = list(islice(rows, _SAMPLE_ROWS))
    sample = [row for row, _ in first if isinstance(row, dict)]
    names = list(dict.fromkeys(name for row in sample for name in row))
    resolved = resolve_fields(layout, names, sample, problems)
    if resolved is None:
        return
    yield from to_blocks(_parse([first, rows], resolved, problems))


def _parse(
    parts: Iterable[Iterable[_Row]], layout: Layout, problems: ProblemCollector
) -> Iterator[ParsedRow]:
    parse = row_parser(layout, problems)
    read = {*fields_read(layout), *layout.group_fields, layout.chat}
    for part in parts:
        for row, line in part:
            if isinstance(row, _RepeatedKey) and row.key in read:
                report_repeated_key(row.key, line, problems)
            else:
                yield from parse(row, line)


def _document_rows(text: str, layout: Layout, problems: ProblemCollector) -> Iterator[_Row] | None:
    decoder = json.JSONDecoder(
        parse_int=NumberText, parse_float=NumberText, object_pairs_hook=_object
    )
    try:
        document, end = decoder.raw_decode(text, _skip_separators(text, 0))
        rest = _skip_separators(text, end)
        if rest < len(text):
            if isinstance(document, dict):
                return iter(_concatenated(text, decoder))
            _report_malformed(json.JSONDecodeError("Extra data", text, rest), problems)
            return None
    except json.JSONDecodeError as error:
        _report_malformed(error, problems)
    except RecursionError:
        problems.error(0, "malformed", "is nested too deeply", _TWO_STRINGS)
    else:
        return _rows(document, text, layout, problems)
    return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) == len(pairs):
        return row
    repeated = _RepeatedKey(row)
    names = [name for name, _ in pairs]
    repeated.key = next(name for name in names if names.count(name) > 1)
    return repeated


def _concatenated(text: str, decoder: json.JSONDecoder) -> list[_Row]:
    """Return objects that follow one another, each over any number of lines."""
    rows: list[_Row] = []
    at, line, counted = _skip_separators(text, 0), 1, 0
    while at < len(text):
        line += text.count("\n", counted, at)
        counted = at
        value, at = decoder.raw_decode(text, at)
        rows.append((value, line))
        at = _skip_separators(text, at)
    return rows


def _rows(
    document: object, text: str, layout: Layout, problems: ProblemCollector
) -> Iterator[_Row] | None:
    if isinstance(document, list):
        if document and all(isinstance(row, list) for row in document[:_SAMPLE_ROWS]):
            problems.error(
                0,
                "malformed",
                "is an array of arrays, without the names of the fields",
                "Write an array of objects; with pandas: df.to_json(FILE, orient='records')",
            )
            return None
        return zip(document, _element_lines(text, text.index("[")), strict=True)
    if isinstance(document, dict):
        return _object_rows(document, text, layout, problems)
    problems.error(
        0, "malformed", f"is {json_type(document)}, not an array", "Write an array of objects."
    )
    return None


def _object_rows(  # noqa: PLR0911  # one for each form
    document: dict[str, Any], text: str, layout: Layout, problems: ProblemCollector
) -> Iterator[_Row] | None:
    """Return the rows of an object: columns, or an orientation of pandas."""
    columns, data = document.get("columns"), document.get("data")
    values = list(document.values())
    if isinstance(columns, list) and isinstance(data, list):  # orient="split"
        offset = _value_offsets(text)["data"]
        named = (dict(zip(columns, row, strict=False)) for row in data)
        return zip(named, _element_lines(text, offset), strict=True)
    if isinstance(data, list) and (document.keys() == {"data"} or "schema" in document):
        return zip(data, _element_lines(text, _value_offsets(text)["data"]), strict=True)
    if values and all(isinstance(value, dict) for value in values):
        names = fields_read(layout)
        if any(name in document for name in names) or not any(
            isinstance(each, str) for value in values[:1] for each in value.values()
        ):
            return _transposed(document)  # orient="columns"
        if all(key.isdigit() for key in document):  # orient="index"
            return iter([(row, 1) for row in values])
        return _transposed(document)
    if values and all(isinstance(value, str | bool) or value is None for value in values):
        return iter([(document, 1)])  # one example
    if any(isinstance(document.get(name), list) for name in ("messages", "contents")):
        return iter([(document, 1)])
    return _column_rows(document, text, layout, problems)


def _transposed(document: dict[str, Any]) -> Iterator[_Row]:
    """Yield the rows of columns whose values are named by the index."""
    keys = dict.fromkeys(key for column in document.values() for key in column)
    for key in keys:
        yield {name: column[key] for name, column in document.items() if key in column}, 1


def _column_rows(
    document: dict[str, Any], text: str, layout: Layout, problems: ProblemCollector
) -> Iterator[_Row] | None:
    resolved = resolve_fields(layout, list(document), [], problems)
    if resolved is None:
        return None
    source = resolved.source
    names = fields_read(resolved)
    settings = {source.input_field: "inputField", source.output_field: output_field_setting(source)}
    optional = resolved.templates.input.optional if resolved.templates else frozenset()
    missing = [name for name in names if name not in document and name not in optional]
    for name in missing:
        report_missing_field(document, name, settings.get(name, "the template"), 0, problems)
    if missing:
        return None
    offsets = _value_offsets(text)
    names = tuple(name for name in names if name in document)
    for name in names:
        if not isinstance(document[name], list):
            problems.error(
                _line_at(text, offsets[name]),
                "malformed",
                f"the field {name!r} is {json_type(document[name])}, not an array of strings",
                "Write an array of objects, or columns; one object per line is format: jsonl.",
            )
            return None
    return _zip_columns(document, text, names, offsets, problems)


def _zip_columns(
    document: dict[str, Any],
    text: str,
    names: tuple[str, ...],
    offsets: dict[str, int],
    problems: ProblemCollector,
) -> Iterator[_Row]:
    lists = {name: value for name, value in document.items() if isinstance(value, list)}
    shortest = min((lists[name] for name in names), key=len)
    for number, line in enumerate(islice(_element_lines(text, offsets[names[0]]), len(shortest))):
        yield {name: value[number] for name, value in lists.items() if number < len(value)}, line
    longest = max(names, key=lambda name: len(lists[name]))
    if len(lists[longest]) != len(shortest):
        short = next(name for name in names if len(lists[name]) == len(shortest))
        lines = _element_lines(text, offsets[longest])
        problems.error(
            next(islice(lines, len(shortest), None)),
            "uneven-columns",
            f"the column {longest!r} is longer than {short!r}",
            "Give all columns the same length.",
        )


def _element_lines(text: str, start: int) -> Iterator[int]:
    """Yield the line of each element of the valid JSON array that begins at `start`."""
    line, counted, at = 1, 0, _skip_separators(text, start + 1)
    while text[at] != "]":
        line += text.count("\n", counted, at)
        yield line
        counted = at
        _, at = _decode_at(text, at)
        at = _skip_separators(text, at)


def _value_offsets(text: str) -> dict[str, int]:
    """Return where the value of each key begins in a valid JSON object."""
    offsets: dict[str, int] = {}
    at = _skip_separators(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = _decode_at(text, at)
        offsets[key] = _skip_separators(text, at)
        _, at = _decode_at(text, offsets[key])
        at = _skip_separators(text, at)
    return offsets


def _skip_separators(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SEPARATORS:
        at += 1
    return at


def _line_at(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _report_malformed(error: json.JSONDecodeError, problems: ProblemCollector) -> None:
    before = error.doc[: error.pos].rstrip()
    following = error.doc[error.pos :].lstrip()
    if error.msg == "Extra data":
        problems.error(
            error.lineno,
            "malformed",
            "continues after the end of the document",
            "If every line is a JSON object, set format: jsonl",
        )
    elif "trailing comma" in error.msg or (before.endswith(",") and following[:1] in ("]", "}")):
        place = len(before) - (before.endswith(","))
        problems.error(
            error.doc.count("\n", 0, place) + 1,
            "malformed",
            "has a comma after the last value",
            "Remove this comma.",
        )
    else:
        problems.error(
            error.lineno,
            "malformed",
            f"is not valid JSON: {error.msg}",
            "Find the mistake with an editor that checks JSON.",
        )


def _report_too_large(file: Path, head: bytes, size: int, problems: ProblemCollector) -> None:
    """Report the size, with a command that converts the document to JSON Lines."""
    is_array = head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    path = str(file) if "://" in problems.file else problems.file  # a local copy, or the file
    target = str(PurePath(path).with_suffix(".jsonl"))
    if target == path:
        target = f"{path}.jsonl"
    program = _CONVERT_ARRAY if is_array else _CONVERT_COLUMNS
    command = f"python3 -c {shlex.quote(program)} < {shlex.quote(path)} > {shlex.quote(target)}"
    problems.error(
        0,
        "document-too-large",
        f"has {size:,} bytes; a JSON document may have {MAX_DOCUMENT_BYTES:,} (64 MiB)",
        f"Convert it to JSON Lines, which have no limit, and declare the new file:\n{command}",
    )
