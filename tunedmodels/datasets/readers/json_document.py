"""JSON as one document: an array of objects, or an object of columns (arrays of equal length).

The document is read whole, so its size is limited.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, Final

from tunedmodels.datasets.blocks import ROWS_PER_BLOCK, Block
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers.rows import json_type, parse_row, report_missing_field
from tunedmodels.datasets.source import ExampleSource, output_field_setting

MAX_DOCUMENT_BYTES: Final = 64 * 1024 * 1024

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
_decode_at = json.JSONDecoder().raw_decode

_Row = tuple[str, str, int]


def read_json(file: Path, source: ExampleSource, problems: ProblemCollector) -> Iterator[Block]:
    """Yield the rows of a JSON document."""
    size = file.stat().st_size
    if size > MAX_DOCUMENT_BYTES:
        _report_too_large(file, size, problems)
        return
    # surrogateescape: a byte that is not UTF-8 makes only its own row unusable.
    text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        _report_malformed(error, problems)
    except RecursionError:
        problems.error(0, "malformed", "is nested too deeply", _TWO_STRINGS)
    except ValueError:  # the limit of int()
        problems.error(0, "malformed", "contains a number with too many digits", _TWO_STRINGS)
    else:
        rows = _rows(document, text, source, problems)
        while block := list(islice(rows, ROWS_PER_BLOCK)):
            yield Block.from_rows(block)


def _rows(
    document: object, text: str, source: ExampleSource, problems: ProblemCollector
) -> Iterator[_Row]:
    if isinstance(document, list):
        for value, line in zip(document, _element_lines(text, text.index("[")), strict=True):
            if pair := parse_row(value, source, line, problems):
                yield *pair, line
    elif isinstance(document, dict):
        yield from _column_rows(document, text, source, problems)
    else:
        problems.error(
            0, "malformed", f"is {json_type(document)}, not an array", "Write an array of objects."
        )


def _column_rows(
    document: dict[str, Any], text: str, source: ExampleSource, problems: ProblemCollector
) -> Iterator[_Row]:
    fields = {"inputField": source.input_field, output_field_setting(source): source.output_field}
    missing = {setting: field for setting, field in fields.items() if field not in document}
    for setting, field in missing.items():
        report_missing_field(document, field, setting, 0, problems)
    if missing:
        return
    offsets = _value_offsets(text)
    for field in fields.values():
        if not isinstance(document[field], list):
            problems.error(
                _line_at(text, offsets[field]),
                "malformed",
                f"the field {field!r} is {json_type(document[field])}, not an array of strings",
                "Write an array of objects, or columns; one object per line is format: jsonl.",
            )
            return
    inputs, outputs = (document[field] for field in fields.values())
    input_lines = _element_lines(text, offsets[source.input_field])
    for text_input, output, line in zip(inputs, outputs, input_lines, strict=False):
        row = {source.input_field: text_input, source.output_field: output}
        if pair := parse_row(row, source, line, problems):
            yield *pair, line
    if len(inputs) != len(outputs):
        shorter, longer = sorted(fields.values(), key=lambda field: len(document[field]))
        lines = _element_lines(text, offsets[longer])
        problems.error(
            next(islice(lines, len(document[shorter]), None)),
            "uneven-columns",
            f"the column {longer!r} is longer than {shorter!r}",
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
    while text[at] in _SEPARATORS:
        at += 1
    return at


def _line_at(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _report_malformed(error: json.JSONDecodeError, problems: ProblemCollector) -> None:
    if error.msg == "Extra data":
        problems.error(
            error.lineno,
            "malformed",
            "continues after the end of the document",
            "If every line is a JSON object, set format: jsonl or name it .jsonl.",
        )
    else:
        problems.error(
            error.lineno,
            "malformed",
            f"is not valid JSON: {error.msg}",
            "Find the mistake with an editor that checks JSON.",
        )


def _report_too_large(file: Path, size: int, problems: ProblemCollector) -> None:
    """Report the size, with a command that converts the document to JSON Lines."""
    with file.open("rb") as opened:
        is_array = opened.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
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
