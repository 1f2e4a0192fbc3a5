"""The gate: whether a version is good enough to serve, said with its numbers.

A threshold is passed when the measured value reaches it *and* the examples suffice to say so:

  atLeast               below it: refused. The 90 % interval wholly at or above it: passed.
  notWorseThanServingBy the interval of the gain wholly above -margin: passed. Wholly below 0, so
                        that the new version is worse beyond bad luck: refused.
  anything between      inconclusive: more examples are needed, and it says how many would do.
                        `onInconclusive` decides what becomes of the version.

A threshold that passes does not hide one that does not: the gate says the worst of its thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tunedmodels.desired import DesiredEvaluation
from tunedmodels.evaluation.scoring import Scores
from tunedmodels.evaluation.significance import Gain, Interval, enough
from tunedmodels.stamp import Decision


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of a version, and whether it may serve.

    `words` are sentences for people. `gain` is None where nothing serves to compare with. `enough`
    is how many examples would do where these do not, None where no number would or none is needed.
    """

    decision: Decision
    promotes: bool
    words: str
    score: Interval
    examples: int
    gain: Gain | None = None
    enough: int | None = None


@dataclass(frozen=True, slots=True)
class _Finding:
    decision: Decision
    words: str
    enough: int | None = None


def judge(
    evaluation: DesiredEvaluation,
    candidate: Scores,
    serving: Scores | None = None,
    *,
    no_serving: str = "",
) -> Verdict:
    """Hold a version against the thresholds of its evaluation.

    `serving` are the scores of the version that it would replace, None when there is none or it
    could not be asked; then `no_serving` says in a clause why, such as "it was trained with another
    preamble".
    """
    rules = evaluation.rules
    gain = candidate.gain_over(serving) if serving else None
    findings = []
    if rules.at_least is not None:
        findings.append(_at_least(rules.at_least, candidate.score))
    if rules.not_worse_than_serving_by is not None:
        findings.append(_not_worse(rules.not_worse_than_serving_by, gain, no_serving))
    order = list(Decision)
    worst = max((each.decision for each in findings), key=order.index, default=Decision.PASSED)
    is_open = worst is Decision.INCONCLUSIVE and rules.on_inconclusive == "promote"
    counts = [each.enough for each in findings if each.decision is Decision.INCONCLUSIVE]
    return Verdict(
        decision=worst,
        promotes=worst is Decision.PASSED or is_open,
        words=" ".join(_sentences(evaluation, candidate, findings, worst)),
        score=candidate.score,
        examples=len(candidate.answers),
        gain=gain,
        enough=None if None in counts else max(filter(None, counts), default=None),
    )


def _sentences(
    evaluation: DesiredEvaluation, candidate: Scores, findings: list[_Finding], worst: Decision
) -> Iterator[str]:
    rules, count = evaluation.rules, len(candidate.answers)
    examples = "1 example" if count == 1 else f"{count:,} examples"
    yield f"{rules.metric} {bounds(candidate.score)} on {examples}."
    yield from (each.words for each in findings if each.words)
    if worst is not Decision.INCONCLUSIVE:
        return
    counts = [each.enough for each in findings if each.decision is Decision.INCONCLUSIVE]
    if None in counts:
        yield "More examples would hardly tell."
    elif counts:
        yield f"About {max(filter(None, counts)):,} examples would do."
    if rules.on_inconclusive == "promote":
        yield "It may serve all the same, as onInconclusive says."


def _at_least(threshold: float, score: Interval) -> _Finding:
    wanted = f"{threshold:g}"
    if score.value < threshold:
        by_luck = score.high >= threshold
        clearly = "though by as little as luck may do" if by_luck else "clearly"
        return _Finding(Decision.REFUSED, f"That is below atLeast {wanted}, {clearly}.")
    if score.low >= threshold:
        return _Finding(Decision.PASSED, f"That is at least {wanted}.")
    return _Finding(
        Decision.INCONCLUSIVE,
        f"So few examples cannot tell it from less than atLeast {wanted}.",
        enough(score.value - threshold, score.spread),
    )


def _not_worse(margin: float, gain: Gain | None, no_serving: str) -> _Finding:
    allowed = f"{margin:g}"
    if gain is None:
        if no_serving:
            words = f"The version that serves could not be compared: {no_serving}."
            return _Finding(Decision.INCONCLUSIVE, words)
        return _Finding(Decision.PASSED, "Nothing serves that it could be worse than.")
    measured = f"{signed(gain.value)} against the version that serves ({between(gain)})"
    if gain.low > -margin:
        return _Finding(Decision.PASSED, f"{measured}: not worse by {allowed}.")
    if gain.high < 0:
        return _Finding(Decision.REFUSED, f"{measured}: worse, and that is no bad luck.")
    return _Finding(
        Decision.INCONCLUSIVE,
        f"{measured}: so few examples cannot tell whether it is worse by {allowed}.",
        enough(gain.value + margin, gain.spread),
    )


def bounds(score: Interval) -> str:
    """Return a score with its interval: `0.870 (0.82 to 0.92)`."""
    return f"{score.value:.3f} ({score.low:.2f} to {score.high:.2f})"


def between(gain: Gain) -> str:
    """Return the interval of a gain: `-0.05 to +0.03`."""
    return f"{gain.low:+.2f} to {gain.high:+.2f}"


def signed(value: float) -> str:
    """Return a difference of scores: `+0.031`; no difference has no sign."""
    return f"{value:+.3f}" if round(value, 3) else "0.000"
