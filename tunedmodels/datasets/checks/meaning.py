"""The checks of what examples mean: spellings of one text, placeholders and unread fields.

Two texts are the same if their folded keys are equal (`datasets.folding`). The keys of inputs are
compared in the first `MAX_FOLDED_ROWS` rows only, which is far beyond what tuning needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tunedmodels.datasets.blocks import Block
from tunedmodels.datasets.folding import PLACEHOLDERS, fold, is_placeholder
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.source import ExampleSource
from tunedmodels.text import join, plural, printable

MAX_FOLDED_ROWS: Final = 5_000
_MAX_LABEL_CHARS: Final = 60
_MAX_NAMES: Final = 5
_FREE_TEXT: Final = 50  # with more different outputs, they are free text


class Meanings:
    """The folded keys of the examples."""

    def __init__(self, source: ExampleSource, problems: ProblemCollector) -> None:
        self._source = source
        self._problems = problems
        self._first: dict[int, tuple[int, int, str]] = {}  # by the hash of the key
        self._rows = 0
        self._first_by_label: dict[str, int] | None = {}
        self._near: list[tuple[int, int, bool]] = []

    def add(self, block: Block) -> None:
        """Add the next examples."""
        outputs = {*block.outputs}
        # In a large file, only outputs without white space around them are looked up.
        is_beginning = self._rows < MAX_FOLDED_ROWS
        if not PLACEHOLDERS.isdisjoint(map(str.strip, outputs) if is_beginning else outputs):
            self._warn_of_placeholders(block)
        if self._first_by_label is not None:
            new = outputs.difference(self._first_by_label)
            if len(self._first_by_label) + len(new) > _FREE_TEXT:
                self._first_by_label = None
            elif new:
                for output, line in zip(block.outputs, block.lines, strict=True):
                    self._first_by_label.setdefault(output, line)
        if is_beginning:
            self._fold(block)

    def report(self, labels: Mapping[str, int] | None) -> None:
        """Warn of spellings of one label, and of inputs that differ only in their spelling."""
        if labels is not None:
            self._warn_of_spellings(labels)
        for line, first, is_same in self._near:
            other = self._problems.place(first)
            self._problems.warn(
                line,
                "near-duplicate" if is_same else "near-contradiction",
                f"has the same input as {other} but for case, spaces or invisible characters"
                + ("" if is_same else ", and another output"),
                "Remove one of them." if is_same else "Keep the correct one.",
                path=self._source.input_field,
            )

    def _fold(self, block: Block) -> None:
        self._rows += len(block.inputs)
        first = self._first
        for text_input, output, line in zip(block.inputs, block.outputs, block.lines, strict=True):
            key = hash(fold(text_input))
            known = first.get(key)
            if known is None:
                first[key] = (line, hash(text_input), output)
            elif known[1] != hash(text_input):
                self._near.append((line, known[0], fold(known[2]) == fold(output)))

    def _warn_of_placeholders(self, block: Block) -> None:
        for output, line in zip(block.outputs, block.lines, strict=True):
            if is_placeholder(output):
                self._problems.warn(
                    line,
                    "placeholder",
                    f"is {output.strip()!r}, which means a missing value",
                    "Write the output, remove the row, or set drop: [placeholders]",
                    path=self._source.output_field,
                )

    def _warn_of_spellings(self, labels: Mapping[str, int]) -> None:
        spellings: dict[str, list[str]] = {}
        for label in labels:
            spellings.setdefault(fold(label), []).append(label)
        for ways in spellings.values():
            if len(ways) < len(["one", "another"]) or len(ways[0]) > _MAX_LABEL_CHARS:
                continue
            ways.sort(key=lambda label: -labels[label])
            shown = join(f"{_show(label)} ({labels[label]:,})" for label in ways[:_MAX_NAMES])
            rare = ways[-1]
            line = (self._first_by_label or {}).get(rare, 0)
            self._problems.warn(
                line,
                "label-spellings",
                f"{len(ways)} spellings of one label: {shown}",
                "Write each label in one way: the model answers with each of them.",
                path=self._source.output_field,
            )


def report_unread(problems: ProblemCollector, contradictions: int) -> bool:
    """Report the fields with text that are not read; return whether that is an error.

    It is an error if the inputs repeat with other outputs, because the fields tell them apart.
    """
    if not problems.unread:
        return False
    fields = join(map(repr, problems.unread[:_MAX_NAMES]))
    name = f"the {plural(len(problems.unread), 'field')} {fields}"
    verb = "is" if len(problems.unread) == 1 else "are"
    if not contradictions:
        problems.warn(0, "unread-field", f"{name} {verb} not read", problems.unread_cure)
        return False
    inputs = f"{contradictions:,} {plural(contradictions, 'input repeats', 'inputs repeat')}"
    problems.error(
        0,
        "unread-field",
        f"{name} {verb} not read, and without {'it' if verb == 'is' else 'them'} {inputs} with "
        "another output",
        problems.unread_cure,
    )
    return True


def _show(label: str) -> str:
    shown = printable(label)
    return repr(label) if shown == label else f"'{shown}'"
