"""The live models as JSON documents (`status` and `show`), and the schemas of the documents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from tunedmodels.observed import ModelState, ModelVersions, ObservedModel
from tunedmodels.render.document import (
    FORMAT_VERSION,
    Count,
    Document,
    FormatVersion,
    Time,
    json_schema,
    to_json,
)
from tunedmodels.render.status import gate_record, sorted_versions, sweep_role
from tunedmodels.stamp import MANUAL, Decision, Stamp
from tunedmodels.text import utc_iso


class VersionDocument(Document):
    """One version of a model."""

    id: str
    provider: str
    state: ModelState
    fingerprint: str
    promoted: Time | None
    unverified: bool
    step: Count
    total_steps: int | None
    last_loss: float | None
    failure: str
    metric: str | None
    score: float | None
    gate: Decision | None
    sweep: Literal["chosen", "tried"] | None
    commit: str | None
    promoted_by: Literal["hand", "apply"] | None
    promoted_from: str | None
    #: The environments that it serves, if the project has others than the default one.
    environments: list[str] | UnsetType = UNSET


class ModelDocument(Document):
    """One name with its versions."""

    name: str
    #: The id of the serving version.
    serving: str | None
    versions: list[VersionDocument]


class StatusDocument(Document):
    """All models."""

    format_version: FormatVersion
    models: list[ModelDocument]


class UsedHyperparametersDocument(Document):
    """The hyperparameters that the service reports."""

    epoch_count: int | None
    batch_size: int | None
    learning_rate: float | None


class CurvePointDocument(Document):
    """One step of training."""

    step: Count
    epoch: Count
    mean_loss: float


class DetailedVersionDocument(VersionDocument, kw_only=True):
    """One version of a model with its loss curve."""

    hyperparameters: UsedHyperparametersDocument
    curve: list[CurvePointDocument]


class ShowDocument(Document):
    """One model with the loss curves of its versions."""

    format_version: FormatVersion
    name: str
    serving: str | None
    versions: list[DetailedVersionDocument]


def status_json(models: Sequence[ModelVersions]) -> str:
    """Return all models as JSON."""
    rows = [
        ModelDocument(
            name=model.name,
            serving=_serving_id(model),
            versions=[
                VersionDocument(**_facts(version, model)) for version in sorted_versions(model)
            ],
        )
        for model in models
    ]
    return to_json(StatusDocument(format_version=FORMAT_VERSION, models=rows))


def show_json(model: ModelVersions) -> str:
    """Return one model as JSON, with the loss curve of every version."""
    document = ShowDocument(
        format_version=FORMAT_VERSION,
        name=model.name,
        serving=_serving_id(model),
        versions=[_detailed(version, model) for version in sorted_versions(model)],
    )
    return to_json(document)


def status_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document of all models."""
    return json_schema(StatusDocument, "The output of `tunedmodels status --format json`")


def show_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document of one model."""
    return json_schema(ShowDocument, "The output of `tunedmodels show --format json`")


def parse_score(text: str) -> float | None:
    """Return the number of a score; None if it is not one, since anyone can edit a stamp."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def promoted_by(stamp: Stamp | None) -> Literal["hand", "apply"] | None:
    """Return how the version with this stamp was last promoted."""
    if stamp is None or stamp.promoted is None:
        return None
    return "hand" if stamp.promoted_by == MANUAL else "apply"


def _serving_id(model: ModelVersions) -> str | None:
    return model.serving.model_id if model.serving else None


def _detailed(version: ObservedModel, model: ModelVersions) -> DetailedVersionDocument:
    used = version.used
    return DetailedVersionDocument(
        **_facts(version, model),
        hyperparameters=UsedHyperparametersDocument(
            epoch_count=used.epoch_count,
            batch_size=used.batch_size,
            learning_rate=used.learning_rate,
        ),
        curve=[
            CurvePointDocument(step=point.step, epoch=point.epoch, mean_loss=point.mean_loss)
            for point in version.curve
        ],
    )


def _facts(version: ObservedModel, model: ModelVersions) -> dict[str, Any]:
    """Return the fields of a VersionDocument."""
    stamp, record = version.stamp, gate_record(version)
    metric, _, score = (stamp.score if stamp else "").partition(":")
    return {
        "id": version.model_id,
        "provider": version.provider,
        "state": version.state,
        "fingerprint": version.fingerprint,
        "promoted": utc_iso(version.promoted) if version.promoted else None,
        "unverified": bool(stamp and stamp.unverified),
        "step": version.step,
        "total_steps": version.total_steps,
        "last_loss": version.curve[-1].mean_loss if version.curve else None,
        "failure": version.failure,
        "metric": metric or None,
        "score": parse_score(score),
        "gate": record.decision if record else None,
        "sweep": sweep_role(version),
        "commit": (stamp.commit if stamp else "") or None,
        "promoted_by": promoted_by(stamp),
        "promoted_from": (stamp.promoted_commit if stamp else "") or None,
        "environments": list(model.environments(version)) or UNSET,
    }
