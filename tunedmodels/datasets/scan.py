"""Scanning a file of examples: one pass for the digest and every check, in bounded memory.

Rows come in blocks; a block is digested, checked and released. Each row only leaves two hashes (see
`checks.duplicates`) and, in some files, its line number. A JSON document is the exception: it is
read whole, up to a maximum size.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tunedmodels.datasets.blocks import Block, LineIndex
from tunedmodels.datasets.checks import check_count, check_outputs, check_size
from tunedmodels.datasets.checks.duplicates import DuplicateReport, ExampleHashes
from tunedmodels.datasets.checks.meaning import Meanings, report_unread
from tunedmodels.datasets.checks.prefixes import InputPrefixes
from tunedmodels.datasets.checks.rows import RowChecker
from tunedmodels.datasets.examples import digest
from tunedmodels.datasets.limits import Limits
from tunedmodels.datasets.load import load_preferences
from tunedmodels.datasets.paths import files_of
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.datasets.readers import read
from tunedmodels.datasets.source import ExampleSource, Source, file_size, response_sources
from tunedmodels.datasets.tokens import TokenCounter, estimate_tokens
from tunedmodels.errors import Problem, ProblemsFoundError, Severity

MAX_LABELS: Final = 50
MAX_UNSENT_BYTES: Final = 128 * 1024 * 1024  # a larger file that is not sent is not read either
MAX_ERRORS: Final = 100_000  # without one example, reading stops here
REJECTED_FIELD: Final = "rejected"  # the default name of the field of the worse response


@dataclass(frozen=True, slots=True)
class DatasetScan:
    """The content and the problems of a file of examples."""

    digest: str
    """The digest (`examples.digest`) of the rows without errors; meaningful if `is_usable`."""

    examples: int
    """The number of rows with two texts, with or without errors."""

    size: int
    """The size of the file in bytes."""

    problems: tuple[Problem, ...] = ()

    labels: Mapping[str, int] | None = None
    """How often each output occurs in rows without errors; None for more than `MAX_LABELS`."""

    tokens: int = 0
    """The estimated number of tokens (`datasets.tokens`), without the preamble."""

    @property
    def is_usable(self) -> bool:
        """Whether the scan found no errors."""
        return all(problem.severity is not Severity.ERROR for problem in self.problems)


def scan(
    file: Path,
    source: ExampleSource,
    *,
    display_path: str,
    limits: Limits,
    preamble: str = "",
    task: str | None = None,
) -> DatasetScan:
    """Read `file` once and return its digest, counts and problems.

    `display_path` is how problems name the file. `preamble` only counts towards the length of
    inputs. Nothing is raised for a missing file or for its content: these are problems.
    """
    problems = ProblemCollector(display_path)
    size = sum(map(file_size, files_of(file, source)))
    is_too_large = not Source.of(source).is_selective and check_size(size, limits, problems)
    if is_too_large and size > MAX_UNSENT_BYTES:
        return DatasetScan("", 0, size, problems.by_line())
    with ExampleHashes() as hashes:
        checker = RowChecker(source, limits, preamble, problems)
        state = _ScanState(checker, hashes, Meanings(source, problems))
        for block in read(file, source, problems):
            state.add(block)
            if not state.examples and problems.error_count >= MAX_ERRORS:
                problems.error(0, "too-many-errors", "was not read further: no row is an example")
                break
        problems.end_files()
        if state.examples:
            different = state.report(source, problems)
            check_count(state.examples, different, limits, task, problems)
            check_outputs(state.examples, state.distinct_outputs, limits, problems)
        else:
            problems.keep_first("missing-field")
            if not problems.error_count:
                problems.error(0, "no-examples", "contains no examples", "Write at least one.")
    return DatasetScan(
        state.digest, state.examples, size, problems.by_line(), state.labels, state.tokens
    )


def scan_preferences(
    file: Path,
    source: ExampleSource,
    rejected_field: str,
    *,
    display_path: str,
    limits: Limits,
    preamble: str = "",
) -> DatasetScan:
    """Scan a file of preferences, that is of inputs with a better and a worse response.

    The file is read as two files of examples that share their inputs, so that every check of an
    example applies to both responses. Then the responses of each input are compared. Labels are
    not counted.
    """
    better, worse = (
        scan(file, response, display_path=display_path, limits=limits, preamble=preamble)
        for response in response_sources(source, rejected_field)
    )
    problems = tuple(sorted(dict.fromkeys((*better.problems, *worse.problems))))
    if not (better.is_usable and worse.is_usable):
        return DatasetScan("", better.examples, better.size, problems)
    try:
        rows = load_preferences(file, source, rejected_field, display_path=display_path)
    except ProblemsFoundError as error:  # another process changed the file after the scan
        return DatasetScan("", better.examples, better.size, tuple(error.problems))
    collector = ProblemCollector(display_path)
    equal = [number for number, row in enumerate(rows, 1) if row.output == row.rejected]
    if equal:
        collector.error(
            0,
            "no-preference",
            f"has {len(equal)} examples whose two responses are equal; the first is example "
            f"{equal[0]}",
            "Remove them: neither response is preferred.",
        )
    return DatasetScan(
        digest(rows),
        better.examples,
        better.size,
        (*problems, *collector.by_line()),
        tokens=better.tokens + sum(estimate_tokens(row.rejected) for row in rows),
    )


class _ScanState:
    """The state of a scan after the blocks so far."""

    def __init__(self, checker: RowChecker, hashes: ExampleHashes, meanings: Meanings) -> None:
        self.examples = 0
        self.labels: Counter[str] | None = Counter()
        self._checker = checker
        self._hashes = hashes
        self._meanings = meanings
        self._sha256 = hashlib.sha256()
        self._lines = LineIndex()
        self._prefixes = InputPrefixes()
        self._tokens = TokenCounter()

    @property
    def tokens(self) -> int:
        return self._tokens.tokens

    @property
    def digest(self) -> str:
        return self._sha256.hexdigest()

    @property
    def distinct_outputs(self) -> int | None:
        """The number of different outputs; None if the file is too large to count them."""
        return self._hashes.distinct_outputs() if self.labels is None else len(self.labels)

    def add(self, block: Block) -> None:
        block, encoded, examples = self._checker.check(block)
        self.examples += examples
        self._sha256.update(encoded)
        self._tokens.add(encoded, len(block.inputs))
        self._hashes.add(block)
        self._lines.add(block.lines)
        self._prefixes.add(block)
        self._meanings.add(block)
        if self.labels is not None:
            self.labels.update(block.outputs)
            if len(self.labels) > MAX_LABELS:
                self.labels = None

    def report(self, source: ExampleSource, problems: ProblemCollector) -> int:
        """Report the problems that only the file as a whole shows.

        Returns the number of different examples.
        """
        self._prefixes.report(source, problems)
        self._meanings.report(self.labels)
        duplicates, contradictions = self._hashes.duplicates_and_contradictions()
        self._warn(
            duplicates,
            "duplicate",
            "is the same as {first}",
            "Remove one of them.",
            problems,
        )
        if not report_unread(problems, contradictions.count):
            self._warn(
                contradictions,
                "contradiction",
                "has the same input as {first} but another output",
                "Keep the correct one.",
                problems,
            )
        return self.examples - duplicates.count

    def _warn(
        self,
        duplicates: DuplicateReport,
        code: str,
        message: str,
        cure: str,
        problems: ProblemCollector,
    ) -> None:
        for row, first in duplicates.rows:
            place = problems.place(self._lines[first])
            problems.warn(self._lines[row], code, message.format(first=place), cure)
        problems.add_omitted(code, duplicates.count - len(duplicates.rows))
