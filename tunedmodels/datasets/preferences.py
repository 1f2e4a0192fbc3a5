"""Preferences: a file of inputs with two responses each, of which one is the better.

It is read as two files of examples that share their inputs, so that every check of a single example
holds for both responses; what only shows between the two is looked at here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tunedmodels.datasets.examples import digest
from tunedmodels.datasets.limits import Limits
from tunedmodels.datasets.load import load_preferences
from tunedmodels.datasets.problems import Found
from tunedmodels.datasets.scan import Survey, survey
from tunedmodels.datasets.source import Source, responses
from tunedmodels.datasets.tokens import estimate
from tunedmodels.errors import ProblemsFoundError

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
