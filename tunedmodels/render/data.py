"""Render the description of files of examples as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tunedmodels.datasets.describe import DatasetDescription
from tunedmodels.render.layout import Style, cut, no_style, pad
from tunedmodels.render.problems import count_phrase, problems_text
from tunedmodels.text import plural, printable

_BAR_COLUMNS: Final = 24
_MAX_LABELS: Final = 12
_LABEL_COLUMNS: Final = 40


def description_text(description: DatasetDescription, style: Style = no_style) -> str:
    """Return what the files are and contain, and the block for a manifest."""
    sections = [_facts(description)]
    if description.scan.examples:
        sections.append(_lengths(description))
        sections.append(_labels(description))
    text = "\n".join("\n".join(lines) + "\n" for lines in map(list, sections) if lines)
    if description.scan.problems:
        text += "\n" + problems_text(description.scan.problems, style)
    text += f"{count_phrase(description.scan.problems).capitalize()}.\n"
    if description.scan.is_usable:
        text += "\nFor a manifest:\n" + "".join(f"  {line}\n" for line in description.block)
    return text


def _facts(description: DatasetDescription) -> Iterator[str]:
    files = f"{description.files} {plural(description.files, 'file')}"
    count = description.scan.examples
    yield f"Format    {description.kind} ({files}, {description.size:,} bytes)"
    different = f", about {description.scan.tokens:,} tokens" if description.scan.tokens else ""
    yield f"Examples  {count:,}{different}"
    if description.turns:
        yield f"          {description.turns:,} of them have several turns, files or tools"
    if description.fields:
        unread = {*description.fields} - {*description.read} if description.read else set()
        names = (
            f"{printable(name)} (not read)" if name in unread else printable(name)
            for name in description.fields
        )
        yield f"Fields    {', '.join(names)}"


def _lengths(description: DatasetDescription) -> Iterator[str]:
    yield pad("Characters", 20) + pad("inputs", _BAR_COLUMNS + 10) + "outputs"
    most = max(max(inputs, outputs) for _, inputs, outputs in description.lengths) or 1
    for label, inputs, outputs in description.lengths:
        if inputs or outputs:
            yield (
                pad(f"  {label}", 20)
                + pad(f"{inputs:>7,} {_bar(inputs, most)}", _BAR_COLUMNS + 10)
                + f"{outputs:>7,} {_bar(outputs, most)}"
            ).rstrip()


def _bar(count: int, most: int) -> str:
    return "#" * (round(_BAR_COLUMNS * count / most) or (1 if count else 0))


def _labels(description: DatasetDescription) -> Iterator[str]:
    labels = description.scan.labels or {}
    if not labels or len(labels) * 2 > description.scan.examples:
        return
    yield "Labels"
    ranked = sorted(labels.items(), key=lambda item: (-item[1], item[0]))
    for label, count in ranked[:_MAX_LABELS]:
        shown = cut(printable(label), _LABEL_COLUMNS)
        yield f"  {count:>7,}  {shown}"
    if len(ranked) > _MAX_LABELS:
        yield f"           and {len(ranked) - _MAX_LABELS} more"
