"""Recognise what a file is by its beginning, before any row is judged."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, Final, get_args

import msgspec

from tunedmodels.datasets.encodings import (
    GZIP_ERRORS,
    GZIP_MAGIC,
    UTF8_BOM,
    first_wrong_byte,
    guess_encoding,
    is_known_encoding,
    open_utf8,
    report_gzip,
)
from tunedmodels.datasets.forms import FORMS
from tunedmodels.datasets.headers import declared_separator, find_delimiter
from tunedmodels.datasets.layout import Layout, resolve_fields
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.source import (
    FORMAT_BY_SUFFIX,
    Container,
    Format,
    Source,
    read_head,
)
from tunedmodels.datasets.stand_ins import CONFLICT_START, recognise_stand_in, report_conflict

SAMPLE_BYTES: Final = 64 * 1024
_MAX_SAMPLE_BYTES: Final = 4 * 1024 * 1024  # for a first line that is longer than the sample
_SAMPLE_ROWS: Final = 20
_PARQUET_MAGIC: Final = b"PAR1"
_ARCHIVES: Final = {
    b"PK\x03\x04": "zip (perhaps Excel)",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"\xfd7zXZ\0": "xz",
    b"\xd0\xcf\x11\xe0": "Excel (.xls)",
}
_UNREADABLE_CURES: Final = {
    "zip (perhaps Excel)": "Save the table as CSV UTF-8, or unpack it to a text file.",
    "Excel (.xls)": "Save the table as CSV UTF-8.",
}
_EMPTY_VALUE: Final = object()


def recognise(  # noqa: PLR0911  # one for each check
    file: Path, source: Source, problems: ProblemCollector
) -> Layout | None:
    """Return the layout of a file, or None after reporting why it cannot be read."""
    head = read_head(file, problems)
    if head is None:
        return None
    if stand_in := recognise_stand_in(head, file):
        problems.error(0, "stand-in", stand_in.message, stand_in.cure)
        return None
    container = _container(file, source, head, problems)
    if container is None:
        return None
    if container == "parquet":
        return Layout(source, "parquet")
    if not _is_text(head, problems) or not _check_encoding(source, problems):
        return None
    try:
        sample = _read_sample(file, source.encoding)
    except GZIP_ERRORS:
        report_gzip(problems)
        return None
    if not _has_encoding(sample, head, source, problems):
        return None
    text = sample.removeprefix(UTF8_BOM)
    if (conflict := _find_conflict(text)) is not None:
        report_conflict(conflict, problems)
        return None
    layout = Layout(source, container, source.encoding)
    if container in ("csv", "tsv"):
        return _table(layout, text, problems)
    return _json(layout, file, text, problems)


def _container(  # noqa: PLR0911  # one for each source of the answer
    file: Path, source: Source, head: bytes, problems: ProblemCollector
) -> Container | None:
    """Return the container by the declaration, the suffix or the first bytes."""
    if head.startswith(_PARQUET_MAGIC):
        return "parquet"
    if source.format in get_args(Container):
        return next(name for name in get_args(Container) if name == source.format)
    path = file.with_suffix("") if file.suffix.lower() in (".gz", ".gzip") else file
    by_suffix = FORMAT_BY_SUFFIX.get(path.suffix.lower())
    if by_suffix and by_suffix != "parquet":
        return by_suffix
    if by_suffix == "parquet":
        problems.error(
            0,
            "binary",
            "is not Parquet, as its name says",
            "Name it by what it is, or write it again.",
        )
        return None
    if source.format in FORMS:
        return "jsonl"
    if not _is_text(head, problems):
        return None
    suffixes = ", ".join(FORMAT_BY_SUFFIX)
    problems.error(
        0,
        "unknown-format",
        f"has the suffix {path.suffix!r}, which is not that of a known format",
        f"Set format: {_guess_format(head)}, or rename it to {suffixes}.",
    )
    return None


def _guess_format(head: bytes) -> Format:
    text = head.removeprefix(UTF8_BOM).lstrip()
    if text.startswith(b"["):
        return "json"
    if text.startswith(b"{"):
        return "jsonl" if _is_json_line(text.partition(b"\n")[0]) else "json"
    return "tsv" if b"\t" in text.partition(b"\n")[0] else "csv"


def _is_text(head: bytes, problems: ProblemCollector) -> bool:
    if head.startswith(GZIP_MAGIC):
        return True
    archive = next((name for magic, name in _ARCHIVES.items() if head.startswith(magic)), None)
    if archive and (b"\0" in head or archive != "bzip2"):
        problems.error(
            0,
            "binary",
            f"is compressed with {archive}",
            _UNREADABLE_CURES.get(archive, "Decompress it, or compress it with gzip."),
        )
    elif b"\0" in head and not guess_encoding(head):
        offset = head.index(b"\0")
        problems.error(
            head.count(b"\n", 0, offset) + 1,
            "binary",
            f"is not text: byte {offset + 1:,} is 0x00",
            "Examples are text in UTF-8, as JSONL, JSON, CSV or TSV, or Parquet.",
        )
    else:
        return True
    return False


def _check_encoding(source: Source, problems: ProblemCollector) -> bool:
    if source.encoding is None or is_known_encoding(source.encoding):
        return True
    problems.error(
        0,
        "unknown-encoding",
        f"cannot be read: no encoding is called {source.encoding!r}",
        "Set encoding to a name such as windows-1252, utf-16 or shift_jis.",
    )
    return False


def _has_encoding(sample: bytes, head: bytes, source: Source, problems: ProblemCollector) -> bool:
    """Report a file in another encoding than UTF-8, or than the declared one."""
    if source.encoding:
        if head.startswith(UTF8_BOM) and _is_8bit(source.encoding):
            problems.error(
                0, "wrong-encoding", f"is UTF-8, not {source.encoding}", "Remove encoding."
            )
            return False
        return True
    encoding = guess_encoding(sample)
    if not encoding:
        return True
    wrong = first_wrong_byte(sample) or 0
    line = 0 if encoding.startswith("utf") else sample.count(b"\n", 0, wrong) + 1
    name = encoding.upper() if encoding.startswith("utf") else encoding
    message = (
        f"is {name}"
        if encoding.startswith("utf")
        else f"is not UTF-8 but probably {name}: byte 0x{sample[wrong]:02x}"
    )
    cure = f"Set encoding: {encoding}, or save the file as UTF-8."
    problems.error(line, "not-utf8", message, cure)
    return False


def _is_8bit(encoding: str) -> bool:
    return not encoding.lower().replace("_", "-").startswith("utf")


def _read_sample(file: Path, encoding: str | None) -> bytes:
    """Return the beginning of a file, with at least one whole line if it is short enough."""
    with open_utf8(file, encoding) as opened:
        sample = b""
        while len(sample) < _MAX_SAMPLE_BYTES:
            part = opened.read(SAMPLE_BYTES)
            sample += part
            if not part or b"\n" in sample:
                break
    return sample


def _find_conflict(text: bytes) -> int | None:
    """Return the line of the first mark of a merge conflict, or None."""
    offset = 0 if text.startswith(CONFLICT_START) else text.find(b"\n" + CONFLICT_START) + 1
    is_found = text.startswith(CONFLICT_START, offset) and b"\n=======" in text[offset:]
    return text.count(b"\n", 0, offset) + 1 if is_found else None


def _table(layout: Layout, sample: bytes, problems: ProblemCollector) -> Layout | None:
    source = layout.source
    if sample.lstrip()[:1] == b"{" and _is_json_line(sample.lstrip().partition(b"\n")[0]):
        problems.error(0, "wrong-format", "is JSON Lines, not a table", "Set format: jsonl")
        return None
    text = sample.decode("utf-8", "replace")
    separator = declared_separator(text)
    preferred = "\t" if layout.container == "tsv" else ","
    if source.delimiter:
        delimiter = source.delimiter
    elif separator:
        delimiter = separator
    else:
        fields = (source.input_field, source.output_field) if source.header else ()
        delimiter = find_delimiter(text, preferred, fields)
    return replace(layout, container="csv", delimiter=delimiter, skip_lines=1 if separator else 0)


def _json(layout: Layout, file: Path, sample: bytes, problems: ProblemCollector) -> Layout | None:
    """Tell JSON Lines from one document by the content, unless the format is declared."""
    text = sample.lstrip()
    lines = [line.strip() for line in text.split(b"\n", 6) if line.strip()][:6]
    if not lines:
        return layout
    found = _json_container(lines, layout.container)
    if found is None:
        _report_not_json(file, lines, problems)
        return None
    declared = layout.source.format
    if found != layout.container and declared in ("json", "jsonl"):
        what = "one JSON document" if found == "json" else "JSON Lines: one object per line"
        problems.error(0, "wrong-format", f"is {what}", f"Set format: {found}")
        return None
    layout = replace(layout, container=found)
    if found == "json":
        return layout
    rows = _sample_rows(text)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return resolve_fields(layout, names, rows, problems)


def _json_container(  # noqa: PLR0911  # one for each kind
    lines: Sequence[bytes], named: Container
) -> Container | None:
    """Return the container of JSON by its first lines; None for other than JSON objects."""
    first = lines[0]
    decoded = _decode(first)
    if isinstance(decoded, dict):
        return "json" if len(lines) == 1 and named == "json" else "jsonl"
    if decoded is not _EMPTY_VALUE:
        is_rows = len(lines) > 1 and _decode(lines[1]) is not _EMPTY_VALUE
        is_rows = is_rows or not isinstance(decoded, list)
        return "jsonl" if is_rows and named == "jsonl" else "json"
    if isinstance(_decode(first.removesuffix(b",")), dict) and first.endswith(b","):
        return None
    if first.startswith(b"{'"):
        return None
    if any(isinstance(_decode(line), dict) for line in lines[1:]) and first != b"[":
        return "jsonl" if named == "jsonl" else "json"
    if first[:1] in (b"[", b"{"):
        is_cut = len(lines) == 1 and not first.endswith((b"]", b"}", b"[", b"{"))
        if first.startswith(b"[") or len(lines) > 1:
            return "json"
        return "json" if is_cut and named == "json" else named
    return None if named == "jsonl" and len(lines) > 2 else named  # noqa: PLR2004  # three of three


def _report_not_json(file: Path, lines: Sequence[bytes], problems: ProblemCollector) -> None:
    first = lines[0]
    path = str(file) if "://" in problems.file else problems.file
    quoted = shlex.quote(path)
    if first.startswith(b"{'"):
        program = (
            "import ast, json, sys; "
            "[print(json.dumps(ast.literal_eval(line))) for line in sys.stdin if line.strip()]"
        )
        target = shlex.quote(str(PurePath(path).with_suffix(".converted.jsonl")))
        problems.error(
            0,
            "python-objects",
            "is written as Python objects, with single quotes, and not as JSON",
            f"Convert it, and declare the new file:\n"
            f"python3 -c {shlex.quote(program)} < {quoted} > {target}",
        )
    elif first.startswith(b"{"):
        problems.error(
            0,
            "trailing-comma",
            "has a comma after the object of each line; JSON Lines have none",
            f"sed -i.bak -E 's/,[[:space:]]*$//' {quoted}",
        )
    else:
        format_ = "tsv" if b"\t" in first else "csv"
        cure = "Write one JSON object per line."
        if any(char in first for char in (b",", b";", b"\t")):
            cure = f"Set format: {format_}"
        problems.error(0, "wrong-format", "is not JSON", cure)


def _sample_rows(text: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    lines = text.split(b"\n", _SAMPLE_ROWS)
    for line in lines[:_SAMPLE_ROWS]:
        decoded = _decode(line)
        if isinstance(decoded, dict):
            rows.append(decoded)
    return rows


def _is_json_line(line: bytes) -> bool:
    return isinstance(_decode(line), dict)


def _decode(line: bytes) -> object:
    try:
        return msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return _EMPTY_VALUE


__all__ = ["recognise"]
