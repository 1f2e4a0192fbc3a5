"""The leading `label:` markers of inputs, "question:" and then "context:" in all of them.

F4: examples must look like production traffic, with the same keywords in the same order. But prose
has colons too: a label counts as a marker only when at least one example in ten, and two of them,
have it. Whoever differs from what most examples have is named.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.problems import PER_CODE, Found
from tunedmodels.datasets.source import Source

# A word or a few at the beginning of a line, a colon, and then a blank or the end of the line.
_LEADING = re.compile(r"\s*[^\W\d_][\w -]{0,30}:(?!\S)")
_LABEL = re.compile(r"^[ \t]*([^\W\d_][\w -]{0,30}):(?!\S)", re.MULTILINE)
_SHAPES = 256  # inputs of more kinds than this have no markers, but prose with colons
_ONE_IN = 10

Shape = tuple[str, ...]


@dataclass(slots=True)
class _Seen:
    count: int = 0
    lines: list[int] = field(default_factory=list)

    def add(self, count: int, lines: Sequence[int]) -> None:
        self.count += count
        self.lines += lines[: PER_CODE - len(self.lines)]


class Markers:
    """The labels of every input, by their order in it: (`question`, `context`), or () for none."""

    def __init__(self) -> None:
        self._shapes: dict[Shape, _Seen] | None = {(): _Seen()}

    def add(self, block: Block) -> None:
        """Look at the next inputs."""
        if self._shapes is None:
            return
        marked = {
            row: text
            for row, text in enumerate(block.inputs)
            if ":" in text and _LEADING.match(text)
        }
        for row, text in marked.items():
            # A dialogue has its labels many times: each counts where it first stands.
            shape = tuple(dict.fromkeys(_LABEL.findall(text)))
            self._shapes.setdefault(shape, _Seen()).add(1, [block.lines[row]])
        plain = block.lines
        if marked:
            plain = [line for row, line in enumerate(block.lines) if row not in marked]
        self._shapes[()].add(len(plain), plain)
        if len(self._shapes) > _SHAPES:
            self._shapes = None

    def report(self, source: Source, found: Found) -> None:
        """Warn of each example whose markers are not those of most others."""
        shapes = self._shapes or {}
        if len(shapes) < len(["usual", "another"]):
            return
        labels: Counter[str] = Counter()
        for shape, seen in shapes.items():
            labels.update(dict.fromkeys(shape, seen.count))
        enough = max(2, sum(seen.count for seen in shapes.values()) / _ONE_IN)
        markers = {label for label, count in labels.items() if count >= enough}
        usual: Counter[Shape] = Counter()
        for shape, seen in shapes.items():
            usual[_only(markers, shape)] += seen.count
        norm = usual.most_common(1)[0][0]
        others = [(shape, seen) for shape, seen in shapes.items() if _only(markers, shape) != norm]
        named = sorted((line, shape) for shape, seen in others for line in seen.lines)
        for line, shape in named:
            found.warn(
                line,
                "other-markers",
                f"begins with {_words(shape)}; most examples begin with {_words(norm)}",
                "Use the markers of production traffic in every example, in the same order (F4).",
                path=source.input_field,
            )
        if unnamed := sum(seen.count for _, seen in others) - len(named):
            found.count("other-markers", unnamed)


def _only(markers: set[str], shape: Shape) -> Shape:
    return tuple(label for label in shape if label in markers)


def _words(shape: Shape) -> str:
    return ", ".join(f"{label}:" for label in shape) or "no marker"
