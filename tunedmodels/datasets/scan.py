"""One pass over a file of examples: the digest, every check, and memory that stays flat.

Rows come in blocks; a block is digested, checked and forgotten. What a row leaves behind is two
fingerprints (`repeats`), and now and then a line number.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tunedmodels.datasets.blocks import Block, Lines
from tunedmodels.datasets.checks import judge_bytes, judge_count, judge_outputs
from tunedmodels.datasets.checks.duplicates import Fingerprints, Repeats
from tunedmodels.datasets.checks.prefixes import Markers
from tunedmodels.datasets.checks.rows import Checks
from tunedmodels.datasets.examples import digest
from tunedmodels.datasets.limits import Limits
from tunedmodels.datasets.load import load_preferences
from tunedmodels.datasets.problems import PER_CODE, Found
from tunedmodels.datasets.readers import read
from tunedmodels.datasets.source import Source, responses
from tunedmodels.datasets.tokens import Tally, estimate
from tunedmodels.errors import Problem, ProblemsFoundError, Severity

MAX_LABELS = 50


@dataclass(frozen=True, slots=True)
class Survey:
    """What stands in a file of examples.

    `digest` (`examples.digest`) and `labels` are over the rows without an error, `examples` counts
    all rows with two texts; so the digest means something only where `is_usable`. `labels` counts
    each output, and is None where there are more than `MAX_LABELS`. `size` is in bytes. `tokens` is
    an estimate (`datasets.tokens`), without the preamble.
    """

    digest: str
    examples: int
    size: int
    problems: tuple[Problem, ...] = ()
    labels: Mapping[str, int] | None = None
    tokens: int = 0

    @property
    def is_usable(self) -> bool:
        """Whether nothing worse than a warning was found."""
        return all(problem.severity is not Severity.ERROR for problem in self.problems)


def survey(
    file: Path,
    source: Source,
    *,
    written: str,
    limits: Limits,
    preamble: str = "",
    task: str | None = None,
) -> Survey:
    """Read `file` once and tell what stands in it and what is wrong with it.

    `written` is how problems name the file. `preamble` counts for the length of inputs alone.
    Raises nothing for what a file holds, or does not: that is what `problems` are for.
    """
    found = Found(written)
    with Fingerprints() as fingerprints:
        tally = _Tally(Checks(source, limits, preamble, found), fingerprints)
        for block in read(file, source, found):
            tally.add(block)
            if not tally.examples and found.errors >= PER_CODE:
                break  # no example among a thousand rows: the rest would say nothing new
        size = _size(file)
        judge_bytes(size, limits, found)
        if tally.examples:
            tally.report(source, found)
            judge_count(tally.examples, limits, task, found)
            judge_outputs(tally.examples, tally.distinct, limits, found)
        else:
            found.only_first("missing-field")
            if not found.errors:
                found.error(0, "no-examples", "holds no example", "Write at least one.")
    return Survey(tally.digest, tally.examples, size, found.problems(), tally.labels, tally.tokens)


class _Tally:
    """What is known of the blocks so far."""

    def __init__(self, checks: Checks, fingerprints: Fingerprints) -> None:
        self.examples = 0
        self.labels: Counter[str] | None = Counter()
        self._checks = checks
        self._fingerprints = fingerprints
        self._hash = hashlib.sha256()
        self._lines = Lines()
        self._markers = Markers()
        self._tokens = Tally()

    @property
    def tokens(self) -> int:
        return self._tokens.tokens

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    @property
    def distinct(self) -> int | None:
        """How many different outputs there are; None where nobody needs to know."""
        return self._fingerprints.distinct_outputs() if self.labels is None else len(self.labels)

    def add(self, block: Block) -> None:
        self.examples += len(block.inputs)
        block, encoded = self._checks.admit(block)
        self._hash.update(encoded)
        self._tokens.add(encoded, len(block.inputs))
        self._fingerprints.add(block)
        self._lines.add(block.lines)
        self._markers.add(block)
        if self.labels is not None:
            self.labels.update(block.outputs)
            if len(self.labels) > MAX_LABELS:
                self.labels = None

    def report(self, source: Source, found: Found) -> None:
        """Report what only shows in the file as a whole."""
        self._markers.report(source, found)
        duplicates, contradictions = self._fingerprints.duplicates_and_contradictions()
        self._warn(
            duplicates,
            "duplicate",
            "says the same as line {first}",
            "Drop one of them.",
            found,
        )
        self._warn(
            contradictions,
            "contradiction",
            "has the same input as line {first} and another output",
            "Keep the right one.",
            found,
        )

    def _warn(self, repeats: Repeats, code: str, message: str, cure: str, found: Found) -> None:
        for row, first in repeats.rows:
            found.warn(self._lines[row], code, message.format(first=self._lines[first]), cure)
        found.count(code, repeats.count - len(repeats.rows))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return 0


# FOLDED
# Preferences: a file of inputs with two responses each, of which one is the better.
#
# It is read as two files of examples that share their inputs, so that every check of a single
# example holds for both responses; what only shows between the two is looked at here.
REJECTED_FIELD: Final = "rejected"


def survey_preferences(
    file: Path,
    source: Source,
    rejected_field: str,
    *,
    written: str,
    limits: Limits,
    preamble: str = "",
) -> Survey:
    """Read `file` and tell what stands in it, as `survey` does; labels are not counted."""
    better, worse = (
        survey(file, side, written=written, limits=limits, preamble=preamble)
        for side in responses(source, rejected_field)
    )
    problems = tuple(sorted(dict.fromkeys((*better.problems, *worse.problems))))
    if not (better.is_usable and worse.is_usable):
        return Survey("", better.examples, better.size, problems)
    try:
        rows = load_preferences(file, source, rejected_field, written=written)
    except ProblemsFoundError as changed:  # by somebody, since it was read a moment ago
        return Survey("", better.examples, better.size, tuple(changed.problems))
    found = Found(written)
    same = sum(row.output == row.rejected for row in rows)
    if same:
        first = next(at for at, row in enumerate(rows, 1) if row.output == row.rejected)
        found.error(
            0,
            "no-preference",
            f"has {same} examples whose two responses are the same, first example {first}",
            "Drop them: there is nothing to prefer.",
        )
    return Survey(
        digest(rows),
        better.examples,
        better.size,
        (*problems, *found.problems()),
        tokens=better.tokens + sum(estimate(row.rejected) for row in rows),
    )
