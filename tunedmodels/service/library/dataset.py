"""Pasted or uploaded examples, read and checked as a file of a project is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from tunedmodels.datasets.diff import Numbered
from tunedmodels.datasets.limits import limits_for
from tunedmodels.datasets.load import load_numbered
from tunedmodels.datasets.scan import Survey, survey
from tunedmodels.datasets.source import ENDINGS, Format
from tunedmodels.errors import Problem, Severity

_PROBLEMS_SHOWN = 50
_LABELS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Written:
    """How the examples are written: see `datasets.source.Source`."""

    format: Format
    input_field: str
    output_field: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What stands in the examples. `examples` is empty unless all of them can be used."""

    written: Written
    survey: Survey
    examples: Sequence[Numbered]

    @property
    def problems(self) -> Sequence[Problem]:
        """The problems to show, the errors first, each kind by line."""
        order = list(Severity)
        found = sorted(self.survey.problems, key=lambda one: (order.index(one.severity), one.line))
        return found[:_PROBLEMS_SHOWN]

    @property
    def more_problems(self) -> int:
        """How many problems are not shown."""
        return len(self.survey.problems) - len(self.problems)

    @property
    def labels(self) -> Sequence[tuple[str, int]]:
        """The commonest outputs and how often each stands, where outputs repeat."""
        labels = self.survey.labels or {}
        if len(labels) * 2 > self.survey.examples:
            return []
        return sorted(labels.items(), key=lambda one: -one[1])[:_LABELS_SHOWN]


def check(content: bytes, written: Written, *, base_model: str) -> Checked:
    """Read and check examples for a base model. Raises nothing for what they hold."""
    # The readers go through files; nobody else may look into this one.
    with TemporaryDirectory(prefix="tunedmodels-") as folder:
        file = Path(folder) / f"examples.{written.format}"
        file.write_bytes(content)
        found = survey(file, written, written="examples", limits=limits_for(base_model))
        examples = load_numbered(file, written) if found.is_usable else []
    return Checked(written, found, examples)


def format_of(content: bytes, file_name: str) -> Format:
    """Return the format of a file by its ending, of a text by its beginning."""
    by_name = ENDINGS.get(PurePath(file_name).suffix.lower())
    if by_name:
        return by_name
    text = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    first = text.partition(b"\n")[0]
    if text.startswith(b"["):
        return "json"
    if text.startswith(b"{"):
        with suppress(ValueError, RecursionError):
            json.loads(first)
            return "jsonl"
        # A line that is broken is one broken line of many; a brace alone opens a document.
        return "json" if first.strip() == b"{" else "jsonl"
    return "tsv" if b"\t" in first and b"," not in first else "csv"
