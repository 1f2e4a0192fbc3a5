"""The gate: whether the scores of a version are good enough to serve.

A threshold passes when the measured value reaches it *and* there are enough examples to show it:

  atLeast               refused if the value is below it; passed if the whole 90 % interval is at
                        or above it.
  notWorseThanServingBy passed if the whole interval of the gain is above -margin; refused if it is
                        wholly below 0, so that the new version is significantly worse.
  otherwise             inconclusive: more examples are needed. `onInconclusive` decides whether
                        the version may serve.

The decision of the gate is the worst decision of its thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tunedmodels.desired import DesiredEvaluation
from tunedmodels.evaluation.scoring import Scores
from tunedmodels.evaluation.significance import Gain, Interval, examples_needed
from tunedmodels.stamp import Decision
from tunedmodels.text import plural


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """The decision of the gate on a version, with its reasons."""

    decision: Decision
    can_serve: bool  #: whether the version may be promoted
    message: str  #: sentences for the user
    score: Interval
    examples: int

    gain: Gain | None = None
    """The gain over the baseline, or None without a baseline."""

    examples_needed: int | None = None
    """The number of examples that would decide an inconclusive gate.

    None if no number would, or if the gate is not inconclusive.
    """


@dataclass(frozen=True, slots=True)
class _ThresholdResult:
    decision: Decision
    message: str
    examples_needed: int | None = None


def evaluate_gate(
    evaluation: DesiredEvaluation,
    candidate: Scores,
    baseline: Scores | None = None,
    *,
    no_baseline_reason: str = "",
) -> GateVerdict:
    """Compare the scores of a version with the thresholds of its evaluation.

    `baseline` are the scores of the serving version, or None if there is none or it could not be
    evaluated; for the latter, `no_baseline_reason` is a clause such as "it was trained with another
    preamble".
    """
    spec = evaluation.spec
    gain = candidate.gain_over(baseline) if baseline else None
    results = []
    if spec.at_least is not None:
        results.append(_check_at_least(spec.at_least, candidate.score))
    if spec.not_worse_than_serving_by is not None:
        margin = spec.not_worse_than_serving_by
        results.append(_check_not_worse(margin, gain, no_baseline_reason))
    order = list(Decision)
    worst = max((result.decision for result in results), key=order.index, default=Decision.PASSED)
    can_serve_undecided = worst is Decision.INCONCLUSIVE and spec.on_inconclusive == "promote"
    needed = _examples_needed(results)
    return GateVerdict(
        decision=worst,
        can_serve=worst is Decision.PASSED or can_serve_undecided,
        message=" ".join(_sentences(evaluation, candidate, results, worst)),
        score=candidate.score,
        examples=len(candidate.answers),
        gain=gain,
        examples_needed=None if None in needed else max(filter(None, needed), default=None),
    )


def _examples_needed(results: Sequence[_ThresholdResult]) -> list[int | None]:
    return [
        result.examples_needed for result in results if result.decision is Decision.INCONCLUSIVE
    ]


def _sentences(
    evaluation: DesiredEvaluation,
    candidate: Scores,
    results: Sequence[_ThresholdResult],
    worst: Decision,
) -> Iterator[str]:
    spec, count = evaluation.spec, len(candidate.answers)
    examples = f"{count:,} {plural(count, 'example')}"
    yield f"{spec.metric} {format_score(candidate.score)} on {examples}."
    if candidate.exact_share is not None:
        yield f"Only {candidate.exact_share:.3f} of the answers are spelled exactly as expected."
    yield from (result.message for result in results)
    if worst is not Decision.INCONCLUSIVE:
        return
    needed = _examples_needed(results)
    if None in needed:
        yield "More examples are unlikely to decide it."
    elif needed:
        yield f"About {max(filter(None, needed)):,} examples would be enough."
    if spec.on_inconclusive == "promote":
        yield "It may serve, because onInconclusive is promote."


def _check_at_least(threshold: float, score: Interval) -> _ThresholdResult:
    at_least = f"atLeast {threshold:g}"
    if score.value < threshold:
        if score.high < threshold:
            return _ThresholdResult(Decision.REFUSED, f"That is clearly below {at_least}.")
        message = f"That is below {at_least}, although the difference may be chance."
        return _ThresholdResult(Decision.REFUSED, message)
    if score.low >= threshold:
        return _ThresholdResult(Decision.PASSED, f"That is at least {threshold:g}.")
    return _ThresholdResult(
        Decision.INCONCLUSIVE,
        f"These are too few examples to show that it reaches {at_least}.",
        examples_needed(score.value - threshold, score.spread),
    )


def _check_not_worse(margin: float, gain: Gain | None, no_baseline_reason: str) -> _ThresholdResult:
    if gain is None:
        if no_baseline_reason:
            message = f"The serving version could not be compared: {no_baseline_reason}."
            return _ThresholdResult(Decision.INCONCLUSIVE, message)
        message = "No serving version exists to compare with."
        return _ThresholdResult(Decision.PASSED, message)
    difference = f"{format_difference(gain.value)} ({format_interval(gain)})"
    measured = f"Against the serving version {difference}"
    if gain.low > -margin:
        return _ThresholdResult(Decision.PASSED, f"{measured}: not worse by {margin:g}.")
    if gain.high < 0:
        return _ThresholdResult(Decision.REFUSED, f"{measured}: significantly worse.")
    return _ThresholdResult(
        Decision.INCONCLUSIVE,
        f"{measured}: too few examples to tell whether it is worse by {margin:g}.",
        examples_needed(gain.value + margin, gain.spread),
    )


def format_score(score: Interval) -> str:
    """Return a score with its interval: `0.870 (0.82 to 0.92)`."""
    return f"{score.value:.3f} ({score.low:.2f} to {score.high:.2f})"


def format_interval(gain: Gain) -> str:
    """Return the interval of a gain: `-0.05 to +0.03`."""
    return f"{gain.low:+.2f} to {gain.high:+.2f}"


def format_difference(value: float) -> str:
    """Return a difference of scores: `+0.031`; a difference of zero has no sign."""
    return f"{value:+.3f}" if round(value, 3) else "0.000"
