"""Describe files of examples: what they are, what they contain, and how a manifest names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tunedmodels.datasets.layout import Layout, fields_read
from tunedmodels.datasets.limits import Limits
from tunedmodels.datasets.paths import files_of
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers import read
from tunedmodels.datasets.scan import DatasetScan, scan
from tunedmodels.datasets.source import INPUT_FIELD, OUTPUT_FIELD, Source, file_size

ANY_LIMITS: Final = Limits(
    max_input_chars=2**31,
    max_output_chars=2**31,
    max_bytes=None,
    min_examples=1,
    recommended=None,
    allows_conversations=True,
)
_BOUNDS: Final = (10, 100, 1_000, 10_000)
_FORM_NAMES: Final = {
    "messages": "OpenAI messages",
    "conversations": "ShareGPT conversations",
    "contents": "contents of Vertex AI",
}
_CONTAINER_NAMES: Final = {
    "jsonl": "JSON Lines",
    "json": "a JSON document",
    "csv": "a table",
    "tsv": "a table",
    "parquet": "Parquet",
}


@dataclass(frozen=True, slots=True)
class DatasetDescription:
    """What files of examples are and contain."""

    kind: str
    """What the first file is, for the user."""
    files: int
    size: int
    scan: DatasetScan
    fields: tuple[str, ...]
    """Every field of the first rows."""
    read: tuple[str, ...]
    """The fields that examples contain; () for a chat format."""
    lengths: tuple[tuple[str, int, int], ...]
    """How many inputs and outputs are up to each length: (label, inputs, outputs)."""
    turns: int
    """The number of examples that are more than a pair of texts."""
    block: tuple[str, ...]
    """The lines of the `dataset:` block of a manifest."""


def describe(file: Path, source: Source, *, display_path: str) -> DatasetDescription:
    """Read the files of `source` and describe them. Problems are part of the result."""
    result = scan(file, source, display_path=display_path, limits=ANY_LIMITS)
    problems = ProblemCollector(display_path)
    inputs, outputs = [0] * (len(_BOUNDS) + 1), [0] * (len(_BOUNDS) + 1)
    turns = 0
    for block in read(file, source, problems):
        for counts, texts in ((inputs, block.inputs), (outputs, block.outputs)):
            for text in texts:
                counts[sum(len(text) > bound for bound in _BOUNDS)] += 1
        turns += sum(bool(each and not each.is_pair) for each in block.conversations or ())
    layout = problems.layout if isinstance(problems.layout, Layout) else None
    files = files_of(file, source)
    return DatasetDescription(
        kind=_kind(layout, source),
        files=len(files),
        size=sum(map(file_size, files)),
        scan=result,
        fields=problems.field_names,
        read=fields_read(layout) if layout and not layout.chat else (),
        lengths=tuple(zip(_labels(), inputs, outputs, strict=True)),
        turns=turns,
        block=tuple(_block(layout, source)),
    )


def _labels() -> Sequence[str]:
    return [*(f"up to {bound:,}" for bound in _BOUNDS), f"more than {_BOUNDS[-1]:,}"]


def _kind(layout: Layout | None, source: Source) -> str:
    if layout is None:
        return "a file that cannot be read"
    container = _CONTAINER_NAMES[layout.container]
    if layout.container == "csv":
        names = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
        container += f" with {names.get(layout.delimiter, repr(layout.delimiter))}"
    form = _FORM_NAMES.get(layout.chat or "", "")
    encoding = f", in {source.encoding}" if source.encoding else ""
    return f"{container}{f' of {form}' if form else ''}{encoding}"


def _block(layout: Layout | None, source: Source) -> list[str]:
    path = source.path if isinstance(source.path, str) else ", ".join(source.path)
    lines = ["dataset:", f"  path: {_quote(path)}"]
    if layout is None:
        return lines
    if source.encoding:
        lines.append(f"  encoding: {source.encoding}")
    settings = {
        "format": source.format,
        "delimiter": source.delimiter and _quote(source.delimiter),
        "inputField": _quote(source.input_field) if source.input_field != INPUT_FIELD else None,
        "outputField": _quote(source.output_field) if source.output_field != OUTPUT_FIELD else None,
        "input": source.input and _quote(source.input.replace("\n", "\\n")),
        "output": source.output and _quote(source.output.replace("\n", "\\n")),
    }
    if not layout.chat and not source.input and not source.format:
        # Recognised by the names of the fields: written out, so that the manifest says it.
        if layout.templates:
            settings["input"] = _template(layout.templates.input.fields)
            settings["output"] = _template(layout.templates.output.fields)
        else:
            own = layout.source
            settings["inputField"] = _quote(own.input_field)
            settings["outputField"] = _quote(own.output_field)
            if (own.input_field, own.output_field) == (INPUT_FIELD, OUTPUT_FIELD):
                settings["inputField"] = settings["outputField"] = None
    lines += [f"  {name}: {value}" for name, value in settings.items() if value]
    return lines


def _template(fields: Sequence[str]) -> str:
    return '"' + "\\n".join(f"{{{name}}}" for name in fields) + '"'


def _quote(text: str) -> str:
    is_plain = text[:1].isalpha() and all(char.isalnum() or char in "_-./" for char in text)
    escaped = text.replace('"', '\\"')
    return text if is_plain else f'"{escaped}"'
