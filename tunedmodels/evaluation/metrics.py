"""Metrics: how an answer is scored against the expected one. A new metric is one entry in METRICS.

Every metric gives an example a value from 0 to 1, and most scores are the mean of these values. The
score of `macroF1` is not, so a metric also defines summands per example and how a score is computed
from their sums. A test that resamples examples needs nothing else, so one test serves all metrics.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    import numpy as np  # start-up: imported when a score is computed, 0.1 s
    from numpy.typing import NDArray
    from sacrebleu.metrics.chrf import CHRF

    Sums: TypeAlias = NDArray[np.float64]

ScoreExample: TypeAlias = Callable[[str, str], float]

_TRAILING_PUNCTUATION: Final = ".,;:!?\u2026\u3002"
_FENCED: Final = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL | re.IGNORECASE)

FOLDING_METRICS: Final = frozenset({"normalizedMatch", "labelAccuracy", "macroF1"})
"""The metrics for which another spelling of the expected answer is right."""

_Leaf = tuple[tuple[str | int, ...], str]


def _accept_any(_: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Metric:
    """One way to score answers. Every function has the expected text as its first parameter."""

    description: str

    value: ScoreExample
    """Return the value of one answer, from 0 to 1."""

    summands: Callable[[Sequence[str], Sequence[str]], Sums]
    """Return one row of summands per example."""

    score_sums: Callable[[Sums], Sums]
    """Return one score per row, where each row is a sum of rows of summands."""

    rejection_reason: Callable[[str], str] = _accept_any
    """Return why the metric cannot use an expected text, or an empty string."""

    def score(self, expected: Sequence[str], actual: Sequence[str]) -> float:
        """Return the score of all answers, from 0 to 1; there must be at least one."""
        sums = self.summands(expected, actual).sum(axis=0, keepdims=True)
        return float(self.score_sums(sums)[0])


def exact_match(expected: str, actual: str) -> float:
    """Return 1 if the texts are equal, except for surrounding white space."""
    return float(expected.strip() == actual.strip())


def normalize_text(text: str) -> str:
    """Return a text without differences in case, width, spacing and trailing punctuation.

    Source of the normal form: Unicode NFKC.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(text.split()).rstrip(_TRAILING_PUNCTUATION).rstrip()


def normalized_match(expected: str, actual: str) -> float:
    """Return 1 if the normalized texts are equal."""
    return float(normalize_text(expected) == normalize_text(actual))


def parse_label(text: str) -> str:
    """Return the label at the beginning of an answer: its first line, normalized, without quotes.

    A base model that is only prompted often adds an explanation; its label still counts.
    """
    return normalize_text(text.strip().partition("\n")[0]).strip("\"'`*")


def label_match(expected: str, actual: str) -> float:
    """Return 1 if the answer begins with the expected label."""
    return float(parse_label(expected) == parse_label(actual))


def chrf(expected: str, actual: str) -> float:
    """Return chrF++: the share of common n-grams of characters and words (Popovic 2017)."""
    if not expected.strip() or not actual.strip():
        return exact_match(expected, actual)
    return min(1.0, float(_chrf().sentence_score(actual, [expected]).score) / 100)


def edit_similarity(expected: str, actual: str) -> float:
    """Return 1 minus the share of characters that must be edited (Levenshtein)."""
    from rapidfuzz.distance import Levenshtein  # noqa: PLC0415  # only for this metric

    return float(Levenshtein.normalized_similarity(expected.strip(), actual.strip()))


def json_field_match(expected: str, actual: str) -> float:
    """Return the share of fields that both JSON texts have with the same value.

    A field is the path to a number, string, true, false, null or an empty container; the order of
    keys is ignored, the order of lists is not. The share is of the fields of both texts, so an
    additional field costs as much as a missing one. Text that is not JSON has no fields; a Markdown
    fence around the JSON is ignored.
    """
    actual_leaves = _leaves(actual)
    expected_leaves = _leaves(expected)
    if actual_leaves is None or expected_leaves is None:
        return 0.0
    paths = {path for path, _ in expected_leaves | actual_leaves}
    return len(expected_leaves & actual_leaves) / len(paths)


def reject_non_json(text: str) -> str:
    """Return why a text is not JSON, or an empty string."""
    return "is not JSON, and jsonFields only compares JSON" if _leaves(text) is None else ""


def _leaves(text: str) -> frozenset[_Leaf] | None:
    fenced = _FENCED.match(text)
    try:
        return frozenset(_walk(json.loads(fenced[1] if fenced else text), ()))
    except (ValueError, RecursionError):
        return None


def _walk(value: Any, path: tuple[str | int, ...]) -> Iterator[_Leaf]:  # noqa: ANN401  # any JSON
    match value:
        case dict() if value:
            for key, member in value.items():
                yield from _walk(member, (*path, key))
        case list() if value:
            for index, element in enumerate(value):
                yield from _walk(element, (*path, index))
        case float() if value.is_integer():
            yield path, str(int(value))  # 1.0 and 1 are equal in JSON
        case _:
            yield path, json.dumps(value)


@cache
def _chrf() -> CHRF:
    from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415  # only for this metric: 0.2 s

    return CHRF(word_order=2)


def _mean_of(
    description: str, value: ScoreExample, rejection_reason: Callable[[str], str] = _accept_any
) -> Metric:
    """Return a metric whose score is the mean of the values of the examples."""

    def summands(expected: Sequence[str], actual: Sequence[str]) -> Sums:
        import numpy as np  # noqa: PLC0415  # see above

        values = list(map(value, expected, actual))
        return np.column_stack([np.array(values, np.float64), np.ones(len(values))])

    return Metric(
        description, value, summands, lambda sums: sums[:, 0] / sums[:, 1], rejection_reason
    )


def _label_summands(expected: Sequence[str], actual: Sequence[str]) -> Sums:
    """Return per label: hits, answers, examples. An answer that is not a label is only a miss."""
    import numpy as np  # noqa: PLC0415  # see above

    expected_labels = np.array([parse_label(text) for text in expected])
    actual_labels = np.array([parse_label(text) for text in actual])
    labels = np.unique(expected_labels)
    is_expected = expected_labels[:, None] == labels
    is_answer = actual_labels[:, None] == labels
    return np.hstack([is_expected & is_answer, is_answer, is_expected]).astype(np.float64)


def _macro_f1(sums: Sums) -> Sums:
    """Return the mean of F1 = 2 x hits / (answers + examples) over the labels with examples."""
    import numpy as np  # noqa: PLC0415  # see above

    hits, answers, examples = np.split(sums, 3, axis=1)
    f1 = 2 * hits / np.maximum(answers + examples, 1)
    has_examples = examples > 0
    mean: Sums = (f1 * has_examples).sum(axis=1) / has_examples.sum(axis=1)
    return mean


METRICS: Final[Mapping[str, Metric]] = {
    "exactMatch": _mean_of("equal, except for surrounding spaces", exact_match),
    "normalizedMatch": _mean_of(
        "equal, except for case, spacing and punctuation at the end", normalized_match
    ),
    "labelAccuracy": _mean_of("the first line is the expected label", label_match),
    "macroF1": Metric(
        "mean F1 over the labels, so that rare labels have the same weight",
        label_match,
        _label_summands,
        _macro_f1,
    ),
    "chrF": _mean_of("share of common character and word n-grams (chrF++)", chrf),
    "editSimilarity": _mean_of("share of characters that need no edit", edit_similarity),
    "jsonFields": _mean_of(
        "share of JSON fields that are equal", json_field_match, reject_non_json
    ),
}
