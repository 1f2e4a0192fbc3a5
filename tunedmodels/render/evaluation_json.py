"""An evaluation report as a JSON document, and the schema of the document."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from tunedmodels.evaluation.metrics import METRICS
from tunedmodels.evaluation.report import (
    AnswerDifference,
    ComparedModel,
    ComparedRole,
    EvaluationReport,
    significance_phrase,
)
from tunedmodels.evaluation.significance import Gain
from tunedmodels.render.document import (
    FORMAT_VERSION,
    Count,
    Document,
    FormatVersion,
    json_schema,
    to_json,
)
from tunedmodels.render.options import RenderOptions
from tunedmodels.stamp import Decision

Share = Annotated[float, Meta(ge=0, le=1)]
SignedShare = Annotated[float, Meta(ge=-1, le=1)]


class DifferenceDocument(Document):
    """An example that was answered better or worse than by the reference, or wrong."""

    line: Annotated[int, Meta(ge=1)]
    value: Share
    before: Share | None
    text_input: str | UnsetType = UNSET
    expected: str | UnsetType = UNSET
    got: str | UnsetType = UNSET
    got_before: str | UnsetType = UNSET


class GainDocument(Document):
    """The difference between the score of a model and that of the reference."""

    over: str
    value: SignedShare
    low: SignedShare
    high: SignedShare
    luck: Annotated[Share, Meta(description="Probability of such a difference by chance.")]
    words: str


class ContenderDocument(Document):
    """One model and its score."""

    role: ComparedRole
    model: str
    score: Share | None
    low: Share | None
    high: Share | None
    unable: Annotated[str, Meta(description="Why it was not scored; empty if it was.")]
    gain: GainDocument | None
    differences: list[DifferenceDocument]
    more: Count


class TuningDocument(Document):
    """The comparison with the base model; `pays` is null if there are too few examples to tell."""

    pays: bool | None
    words: str


class GateDocument(Document):
    """The decision of the gate."""

    model: str
    decision: Decision
    promotes: bool
    words: str
    enough: Annotated[Count, Meta(description="The examples that a decision needs.")] | None


class EvaluationDocument(Document):
    """The scores of the versions of a model and of its base model."""

    format_version: FormatVersion
    name: str
    path: str
    metric: Annotated[str, Meta(extra_json_schema={"enum": list(METRICS)})]
    examples: Count
    few_shot: Count
    contenders: list[ContenderDocument]
    tuning: TuningDocument
    gate: GateDocument | None


def evaluation_json(report: EvaluationReport, options: RenderOptions) -> str:
    """Return the report as JSON in ASCII; examples are written whole, not cut."""
    verdict = report.verdict
    document = EvaluationDocument(
        format_version=FORMAT_VERSION,
        name=report.name,
        path=report.path,
        metric=report.metric,
        examples=report.examples,
        few_shot=report.few_shot,
        contenders=[_contender(report, model, options.max_examples) for model in report.models],
        tuning=TuningDocument(pays=report.tuning.is_worthwhile, words=report.tuning.message),
        gate=GateDocument(
            model=report.gated_model_id,
            decision=verdict.decision,
            promotes=verdict.can_serve,
            words=verdict.message,
            enough=verdict.examples_needed,
        )
        if verdict
        else None,
    )
    return to_json(document, ascii_only=True)


def evaluation_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    return json_schema(EvaluationDocument, "The output of `tunedmodels evaluate --format json`")


def _contender(
    report: EvaluationReport, model: ComparedModel, max_examples: int
) -> ContenderDocument:
    score = model.scores.score if model.scores else None
    shown, more = report.differences(model, max_examples)
    gain = report.gains.get(model.role)
    return ContenderDocument(
        role=model.role,
        model=model.model,
        score=_rounded(score.value) if score else None,
        low=_rounded(score.low) if score else None,
        high=_rounded(score.high) if score else None,
        unable=model.unavailable_reason,
        gain=_gain(report, gain) if gain else None,
        differences=[_difference(report, each) for each in shown] if max_examples else [],
        more=more if max_examples else 0,
    )


def _gain(report: EvaluationReport, gain: Gain) -> GainDocument:
    return GainDocument(
        over=report.reference.model if report.reference else "",
        value=_rounded(gain.value),
        low=_rounded(gain.low),
        high=_rounded(gain.high),
        luck=_rounded(gain.p_value),
        words=significance_phrase(gain),
    )


def _difference(report: EvaluationReport, difference: AnswerDifference) -> DifferenceDocument:
    after, before = difference.after, difference.before
    has_text = report.can_show_text
    return DifferenceDocument(
        line=after.line,
        value=_rounded(after.value),
        before=_rounded(before.value) if before else None,
        text_input=after.text_input if has_text else UNSET,
        expected=after.expected if has_text else UNSET,
        got=after.answer if has_text else UNSET,
        got_before=before.answer if has_text and before else UNSET,
    )


def _rounded(value: float) -> float:
    return round(value, 6) + 0.0  # no -0.0
