"""Where a version comes from, as JSON documents (`show --card`, `verify`), and their schemas."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from tunedmodels.evaluation.curves import CurveKind, read_curve
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.provenance import Commit, ProvenanceCard, Verification
from tunedmodels.render.document import (
    FORMAT_VERSION,
    Count,
    Document,
    FormatVersion,
    Time,
    json_schema,
    to_json,
)
from tunedmodels.render.status_json import parse_score, promoted_by
from tunedmodels.stamp import Decision, parse_gate_record
from tunedmodels.text import utc_iso


class CommitDocument(Document):
    """A commit; the author and the subject are null if the commit is not in this repository."""

    commit: str
    author: str | None
    subject: str | None
    #: Whether the working tree had changes that were not committed.
    is_changed: bool


class TrainingDatasetDocument(Document):
    """The training examples."""

    path: str | None
    sha256: str
    examples: Count
    is_proved: bool


class HyperparametersDocument(Document):
    """The hyperparameters that the service reports."""

    epoch_count: int | None
    batch_size: int | None
    learning_rate: float | None
    learning_rate_multiplier: float | None


class CurveSummaryDocument(Document):
    """The loss curve, and how many epochs it recommends."""

    steps: Count
    last_loss: float
    epoch_means: list[float]
    kind: CurveKind
    recommended_epoch_count: int | None


class ScoreDocument(Document):
    """The score of the version and the decision of its gate."""

    path: str | None
    metric: str
    score: float | None
    verdict: Decision | None


class ProvenanceDocument(Document):
    """Where a version comes from."""

    format_version: FormatVersion
    project: str
    name: str
    version: str
    resource: str
    provider: str
    state: ModelState
    serves: bool
    fingerprint: str
    manifest: str | None
    trained_from: CommitDocument | None
    trained_at: Time | None
    completed_at: Time | None
    base: str
    parent: str | None
    dataset: TrainingDatasetDocument
    hyperparameters: HyperparametersDocument
    curve: CurveSummaryDocument | None
    evaluation: ScoreDocument | None
    cost_usd: float | None
    attempt: Count
    promoted_at: Time | None
    promoted_by: Literal["hand", "apply"] | None
    promoted_from: CommitDocument | None


class VerificationCheckDocument(Document):
    """One comparison of a version with the repository."""

    name: str
    holds: bool
    words: str
    cure: str


class VerificationDocument(Document):
    """The comparison of a version with the repository."""

    format_version: FormatVersion
    name: str
    version: str
    commit: str
    verified: bool
    checks: list[VerificationCheckDocument]


def provenance_json(card: ProvenanceCard) -> str:
    """Return the card as JSON in ASCII."""
    version, stamp = card.version, card.stamp
    used = version.used
    document = ProvenanceDocument(
        format_version=FORMAT_VERSION,
        project=card.project,
        name=card.name,
        version=version.model_id,
        resource=version.resource,
        provider=version.provider,
        state=version.state,
        serves=card.serves,
        fingerprint=stamp.fingerprint,
        manifest=card.manifest or None,
        trained_from=_commit(card.trained_from),
        trained_at=_time(version.created),
        completed_at=_time(version.completed),
        base=version.source,
        parent=card.parent or None,
        dataset=TrainingDatasetDocument(
            path=card.dataset_path or None,
            sha256=stamp.dataset,
            examples=stamp.examples,
            is_proved=not stamp.unverified,
        ),
        hyperparameters=HyperparametersDocument(
            epoch_count=used.epoch_count,
            batch_size=used.batch_size,
            learning_rate=used.learning_rate,
            learning_rate_multiplier=used.learning_rate_multiplier,
        ),
        curve=_curve(version),
        evaluation=_score(card),
        cost_usd=card.cost_usd,
        attempt=stamp.attempt,
        promoted_at=_time(stamp.promoted),
        promoted_by=promoted_by(stamp),
        promoted_from=_commit(card.promoted_from),
    )
    return to_json(document, ascii_only=True)


def verification_json(verification: Verification) -> str:
    """Return the verification as JSON in ASCII."""
    document = VerificationDocument(
        format_version=FORMAT_VERSION,
        name=verification.name,
        version=verification.version,
        commit=verification.commit,
        verified=verification.is_verified,
        checks=[
            VerificationCheckDocument(
                name=check.name, holds=check.is_met, words=check.message, cure=check.cure
            )
            for check in verification.checks
        ],
    )
    return to_json(document, ascii_only=True)


def provenance_schema() -> dict[str, Any]:
    """Return the JSON Schema of the card."""
    return json_schema(ProvenanceDocument, "The output of `tunedmodels show --card json`")


def verification_schema() -> dict[str, Any]:
    """Return the JSON Schema of the verification."""
    return json_schema(VerificationDocument, "The output of `tunedmodels verify --format json`")


def _time(time: datetime | None) -> str | None:
    return utc_iso(time) if time else None


def _commit(commit: Commit | None) -> CommitDocument | None:
    if commit is None:
        return None
    return CommitDocument(
        commit=commit.id,
        author=commit.author or None,
        subject=commit.subject or None,
        is_changed=commit.is_changed,
    )


def _curve(version: ObservedModel) -> CurveSummaryDocument | None:
    if not version.curve:
        return None
    reading = read_curve(version.curve, epoch_count=version.used.epoch_count)
    return CurveSummaryDocument(
        steps=version.step,
        last_loss=version.curve[-1].mean_loss,
        epoch_means=list(reading.epoch_means),
        kind=reading.kind,
        recommended_epoch_count=reading.recommended_epoch_count,
    )


def _score(card: ProvenanceCard) -> ScoreDocument | None:
    if not card.stamp.score:
        return None
    metric, _, score = card.stamp.score.partition(":")
    record = parse_gate_record(card.stamp.gate_record)
    return ScoreDocument(
        path=card.evaluation_path or None,
        metric=metric,
        score=parse_score(score),
        verdict=record.decision if record else None,
    )
