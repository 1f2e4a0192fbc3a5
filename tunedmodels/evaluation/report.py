"""The report of `evaluate`: all compared models on the same held-out examples, and the benefit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from tunedmodels.evaluation.gate import (
    GateVerdict,
    format_difference,
    format_interval,
    format_score,
)
from tunedmodels.evaluation.scoring import ScoredAnswer, Scores
from tunedmodels.evaluation.significance import Gain, examples_needed


class ComparedRole(StrEnum):
    """The role of a model in a comparison."""

    CANDIDATE = "candidate"
    SERVING = "serving"
    FEW_SHOT = "few-shot"
    BASE = "base"

    @property
    def is_tuned(self) -> bool:
        """Whether the model is a version, and not the base model."""
        return self in (ComparedRole.CANDIDATE, ComparedRole.SERVING)


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """A model in a comparison."""

    role: ComparedRole
    model: str  #: the id of a version, or the name of the base model (`models/NAME`)
    scores: Scores | None
    unavailable_reason: str = ""  #: why there are no `scores`, as a clause


@dataclass(frozen=True, slots=True)
class AnswerDifference:
    """One example that two models answer with different values."""

    after: ScoredAnswer

    before: ScoredAnswer | None = None
    """The answer of the reference; None for a wrong answer of the reference itself."""

    @property
    def is_gain(self) -> bool:
        """Whether the answer is better than that of the reference."""
        return self.before is not None and self.after.value > self.before.value


@dataclass(frozen=True)
class EvaluationReport:
    """The result of `tunedmodels evaluate` for one model."""

    name: str
    path: str
    metric: str
    examples: int
    few_shot: int  #: the number of examples in the few-shot prompt
    models: tuple[ComparedModel, ...]
    gated_model_id: str = ""  #: the version that the gate was evaluated for

    verdict: GateVerdict | None = None
    """The verdict on `gated_model_id`, or None without a gate."""

    can_show_text: bool = True
    """Whether the text of the examples may be shown, which requires that git tracks the file."""

    @property
    def reference(self) -> ComparedModel | None:
        """The model that the others are compared with: the serving version, else the candidate."""
        tuned = {model.role: model for model in self.models if model.role.is_tuned and model.scores}
        return tuned.get(ComparedRole.SERVING) or tuned.get(ComparedRole.CANDIDATE)

    @cached_property
    def gains(self) -> dict[ComparedRole, Gain]:
        """The gains of the other models over the reference."""
        reference = self.reference
        return {
            model.role: model.scores.gain_over(reference.scores)
            for model in self.models
            if model.scores and reference and reference.scores and model is not reference
        }

    @cached_property
    def tuning(self) -> TuningVerdict:
        """Whether tuning pays: the candidate or serving version against the best base model."""
        return _tuning_verdict(self)

    def differences(self, model: ComparedModel, limit: int) -> tuple[list[AnswerDifference], int]:
        """Return the answers of `model` that differ from the reference, and the number of others.

        Losses come first, then gains, up to `limit` of each and the largest first. For the
        reference itself these are its wrong answers.
        """
        reference = self.reference
        if model.scores is None or reference is None or reference.scores is None:
            return [], 0
        if model is reference:
            answers = model.scores.worst(len(model.scores.answers))
            wrong = [AnswerDifference(answer) for answer in answers]
            return wrong[:limit], len(wrong[limit:])
        pairs = zip(model.scores.answers, reference.scores.answers, strict=True)
        differences = [
            AnswerDifference(after, before)
            for after, before in pairs
            if after.value != before.value
        ]
        differences.sort(key=_size, reverse=True)
        losses = [difference for difference in differences if not difference.is_gain]
        gains = [difference for difference in differences if difference.is_gain]
        return losses[:limit] + gains[:limit], len(losses[limit:]) + len(gains[limit:])


@dataclass(frozen=True, slots=True)
class TuningVerdict:
    """Whether tuning pays, with the reason."""

    is_worthwhile: bool | None  #: None if it is not known
    message: str
    gain: Gain | None = None


def significance_phrase(gain: Gain) -> str:
    """Return whether a difference is significant, in one to three words."""
    if gain.is_better:
        return "better"
    if gain.is_worse:
        return "worse"
    return "may be chance" if gain.value else "no difference"


def _size(difference: AnswerDifference) -> float:
    before = difference.before.value if difference.before else 1.0
    return abs(difference.after.value - before)


def _tuning_verdict(report: EvaluationReport) -> TuningVerdict:
    tuned = next((model for model in report.models if model.role.is_tuned and model.scores), None)
    if tuned is None or tuned.scores is None:
        return TuningVerdict(None, "No tuned version could be evaluated.")
    bases = [model for model in report.models if not model.role.is_tuned]
    scored = [model for model in bases if model.scores]
    best = max(scored, key=lambda model: model.scores.value if model.scores else 0.0, default=None)
    if best is None or best.scores is None:
        reasons = (model.unavailable_reason for model in bases if model.unavailable_reason)
        reason = next(reasons, "it was not evaluated")
        return TuningVerdict(None, f"Tuning cannot be compared with the base model: {reason}.")
    gain = tuned.scores.gain_over(best.scores)
    message = " ".join(_tuning_sentences(report, tuned, best, gain))
    is_worthwhile = True if gain.is_better else False if gain.is_worse else None
    return TuningVerdict(is_worthwhile, message, gain)


def _tuning_sentences(
    report: EvaluationReport, tuned: ComparedModel, best: ComparedModel, gain: Gain
) -> Iterator[str]:
    if best.role is ComparedRole.FEW_SHOT:
        base = f"the base model with {report.few_shot} examples in its prompt"
    else:
        base = "the base model without examples"
    if gain.is_better:
        yield "Tuning pays:"
    elif gain.is_worse:
        yield "Tuning does not pay:"
    else:
        yield f"It is not known from {report.examples:,} examples whether tuning pays:"
    if tuned.scores and best.scores:
        yield f"{tuned.model} {format_score(tuned.scores.score)}, {base}"
        difference = f"{format_difference(gain.value)} ({format_interval(gain)})"
        yield f"{format_score(best.scores.score)}; {difference}."
    if not gain.is_better and not gain.is_worse:
        count = examples_needed(abs(gain.value), gain.spread)
        yield (
            f"About {count:,} examples would be enough."
            if count
            else "More examples are unlikely to decide it."
        )
