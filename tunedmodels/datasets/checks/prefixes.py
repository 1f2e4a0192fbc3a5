"""The check for inputs whose labels differ from the others, such as "question:" and "context:".

F4: examples must look like production traffic, with the same keywords in the same order. Prose
contains colons too, so a label only counts as a marker if at least one example in ten, and two of
them, have it. Each example whose markers differ from those of most examples is reported.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.problems import MAX_PER_CODE, ProblemCollector
from tunedmodels.datasets.source import ExampleSource

# One or a few words at the beginning of a line, a colon, and then a blank or the end of the line.
_LEADING = re.compile(r"\s*[^\W\d_][\w -]{0,30}:(?!\S)")
_LABEL = re.compile(r"^[ \t]*([^\W\d_][\w -]{0,30}):(?!\S)", re.MULTILINE)
_MAX_SHAPES = 256  # inputs with more shapes have no markers: they are prose with colons
_ONE_IN = 10

Shape = tuple[str, ...]
"""The labels of an input in order, such as (`question`, `context`); () for no labels."""


@dataclass(slots=True)
class _ShapeLines:
    count: int = 0
    lines: list[int] = field(default_factory=list)

    def add(self, count: int, lines: Sequence[int]) -> None:
        self.count += count
        self.lines += lines[: MAX_PER_CODE - len(self.lines)]


class InputPrefixes:
    """The shapes of all inputs."""

    def __init__(self) -> None:
        self._shapes: dict[Shape, _ShapeLines] | None = {(): _ShapeLines()}

    def add(self, block: Block) -> None:
        """Add the shapes of the next inputs."""
        if self._shapes is None:
            return
        labeled = {
            row: text
            for row, text in enumerate(block.inputs)
            if ":" in text and _LEADING.match(text)
        }
        for row, text in labeled.items():
            # A dialogue repeats its labels: each counts once, where it first occurs.
            shape = tuple(dict.fromkeys(_LABEL.findall(text)))
            self._shapes.setdefault(shape, _ShapeLines()).add(1, [block.lines[row]])
        plain = block.lines
        if labeled:
            plain = [line for row, line in enumerate(block.lines) if row not in labeled]
        self._shapes[()].add(len(plain), plain)
        if len(self._shapes) > _MAX_SHAPES:
            self._shapes = None

    def report(self, source: ExampleSource, problems: ProblemCollector) -> None:
        """Warn of each example whose markers are not those of most examples."""
        shapes = self._shapes or {}
        if len(shapes) < len(["usual", "another"]):
            return
        markers = _find_markers(shapes)
        counts: Counter[Shape] = Counter()
        for shape, lines in shapes.items():
            counts[_restrict(shape, markers)] += lines.count
        norm = counts.most_common(1)[0][0]
        others = {
            shape: lines for shape, lines in shapes.items() if _restrict(shape, markers) != norm
        }
        reported = sorted((line, shape) for shape in others for line in others[shape].lines)
        for line, shape in reported:
            problems.warn(
                line,
                "other-markers",
                f"begins with {_describe(shape)}; most examples begin with {_describe(norm)}",
                "Use the markers of production traffic in every example, in the same order.",
                path=source.input_field,
            )
        if omitted := sum(lines.count for lines in others.values()) - len(reported):
            problems.add_omitted("other-markers", omitted)


def _find_markers(shapes: dict[Shape, _ShapeLines]) -> set[str]:
    """Return the labels that enough examples have."""
    counts: Counter[str] = Counter()
    for shape, lines in shapes.items():
        counts.update(dict.fromkeys(shape, lines.count))
    least = max(2, sum(lines.count for lines in shapes.values()) / _ONE_IN)
    return {label for label, count in counts.items() if count >= least}


def _restrict(shape: Shape, markers: set[str]) -> Shape:
    return tuple(label for label in shape if label in markers)


def _describe(shape: Shape) -> str:
    return ", ".join(f"{label}:" for label in shape) or "no marker"
