"""How an answer is held against the expected one; a new metric is one entry in METRICS.

Every metric gives an example a value from 0 to 1. Most scores are the mean of these. The score of
`macroF1` is none, so a metric also says what is added up over examples and how a score is read from
the sums; whoever resamples examples needs nothing else, and one test serves every metric.
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
    import numpy as np  # not before something is measured: 0.1 s
    from numpy.typing import NDArray
    from sacrebleu.metrics.chrf import CHRF

    Sums: TypeAlias = NDArray[np.float64]


# FOLDED
# Answers that are JSON, compared field by field.
_FENCED: Final = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL | re.IGNORECASE)

_Leaf = tuple[tuple[str | int, ...], str]


def matching_fields(expected: str, got: str) -> float:
    """Return the share of fields that both have, and with the same value.

    A field is the way to a number, text, true, false, null or an empty container; the order of keys
    does not count, that of lists does. The share is of the fields of both together, so that a
    field too many costs as much as one that is missing. What is no JSON has no fields; a Markdown
    fence around it is no part of it.
    """
    there = _leaves(got)
    wanted = _leaves(expected)
    if there is None or wanted is None:
        return 0.0
    every = {way for way, _ in wanted | there}
    return len(wanted & there) / len(every)


def not_json(text: str) -> str:
    """Say why a text is no JSON, or nothing."""
    return "is no JSON, and jsonFields compares nothing else" if _leaves(text) is None else ""


def _leaves(text: str) -> frozenset[_Leaf] | None:
    fenced = _FENCED.match(text)
    try:
        return frozenset(_walk(json.loads(fenced[1] if fenced else text), ()))
    except (ValueError, RecursionError):
        return None


def _walk(value: Any, way: tuple[str | int, ...]) -> Iterator[_Leaf]:  # noqa: ANN401  # any JSON
    match value:
        case dict() if value:
            for key, below in value.items():
                yield from _walk(below, (*way, key))
        case list() if value:
            for place, below in enumerate(value):
                yield from _walk(below, (*way, place))
        case float() if value.is_integer():
            yield way, str(int(value))  # 1.0 is 1 in JSON
        case _:
            yield way, json.dumps(value)


Value: TypeAlias = Callable[[str, str], float]
_AT_THE_END: Final = ".,;:!?\u2026\u3002"


def _any(_: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Metric:
    """One way to judge answers; every function takes the expected text first.

    `tally` has a row of summands per example. `read` takes sums of such rows, one per row, and
    returns as many scores. `refuse` says why an expected text cannot be judged by, or nothing.
    """

    about: str
    value: Value
    tally: Callable[[Sequence[str], Sequence[str]], Sums]
    read: Callable[[Sums], Sums]
    refuse: Callable[[str], str] = _any

    def score(self, expected: Sequence[str], got: Sequence[str]) -> float:
        """Return the score of answers as a whole, from 0 to 1; there is at least one."""
        return float(self.read(self.tally(expected, got).sum(axis=0, keepdims=True))[0])


def exact_match(expected: str, got: str) -> float:
    """Whether the texts are equal; spaces and line ends around them do not count."""
    return float(expected.strip() == got.strip())


def normalized(text: str) -> str:
    """Return a text without what people do not hear: case, width, spacing, punctuation at its end.

    Source of the form: Unicode NFKC.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(text.split()).rstrip(_AT_THE_END).rstrip()


def normalized_match(expected: str, got: str) -> float:
    """Whether the texts are equal once they are normalized."""
    return float(normalized(expected) == normalized(got))


def label(text: str) -> str:
    """Return the label that an answer begins with: its first line, normalized, without quotes.

    A base model that is only prompted often goes on to explain itself; its label counts all the
    same.
    """
    return normalized(text.strip().partition("\n")[0]).strip("\"'`*")


def same_label(expected: str, got: str) -> float:
    """Whether the answer begins with the expected label."""
    return float(label(expected) == label(got))


def chrf(expected: str, got: str) -> float:
    """Return chrF++: how many runs of characters and words the texts share (Popovic 2017)."""
    if not expected.strip() or not got.strip():
        return exact_match(expected, got)
    return min(1.0, float(_chrf().sentence_score(got, [expected]).score) / 100)


@cache
def _chrf() -> CHRF:
    from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415  # 0.2 s, for this metric alone

    return CHRF(word_order=2)


def edit_similarity(expected: str, got: str) -> float:
    """Return 1 less the share of characters that an editor would have to change (Levenshtein)."""
    from rapidfuzz.distance import Levenshtein  # noqa: PLC0415  # for this metric alone

    return float(Levenshtein.normalized_similarity(expected.strip(), got.strip()))


def _mean_of(about: str, value: Value, refuse: Callable[[str], str] = _any) -> Metric:
    """Return a metric whose score is the mean of the values of examples."""

    def tally(expected: Sequence[str], got: Sequence[str]) -> Sums:
        import numpy as np  # noqa: PLC0415  # see above

        values = list(map(value, expected, got))
        return np.column_stack([np.array(values, np.float64), np.ones(len(values))])

    return Metric(about, value, tally, lambda sums: sums[:, 0] / sums[:, 1], refuse)


def _label_tally(expected: Sequence[str], got: Sequence[str]) -> Sums:
    """Count per label: hits, answers, and examples. An answer that is no label is only a miss."""
    import numpy as np  # noqa: PLC0415  # see above

    wanted = np.array([label(text) for text in expected])
    told = np.array([label(text) for text in got])
    labels = np.unique(wanted)
    is_wanted, is_told = wanted[:, None] == labels, told[:, None] == labels
    return np.hstack([is_wanted & is_told, is_told, is_wanted]).astype(np.float64)


def _macro_f1(sums: Sums) -> Sums:
    """Average F1 = 2 x hits / (answers + examples) over the labels that there are examples of."""
    import numpy as np  # noqa: PLC0415  # see above

    hits, answers, examples = np.split(sums, 3, axis=1)
    f1 = 2 * hits / np.maximum(answers + examples, 1)
    is_there = examples > 0
    mean: Sums = (f1 * is_there).sum(axis=1) / is_there.sum(axis=1)
    return mean


METRICS: Final[Mapping[str, Metric]] = {
    "exactMatch": _mean_of("equal, apart from spaces around it", exact_match),
    "normalizedMatch": _mean_of(
        "equal, apart from case, spacing and punctuation at the end", normalized_match
    ),
    "labelAccuracy": _mean_of("the first line is the expected label", same_label),
    "macroF1": Metric(
        "F1 of every label, averaged, so that rare labels count as much",
        same_label,
        _label_tally,
        _macro_f1,
    ),
    "chrF": _mean_of("shared runs of characters and words (chrF++)", chrf),
    "editSimilarity": _mean_of("share of characters that need no edit", edit_similarity),
    "jsonFields": _mean_of("share of JSON fields that are equal", matching_fields, not_json),
}
