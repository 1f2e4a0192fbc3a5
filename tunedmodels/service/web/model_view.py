"""Stored models as the pages show them: as observed models, grouped by name, with their status."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from tunedmodels.model_fields import MutableFields
from tunedmodels.observed import (
    LossPoint,
    ModelState,
    ModelVersions,
    ObservedModel,
    UsedHyperparameters,
    serving,
)
from tunedmodels.service.errors import ApiStatus
from tunedmodels.service.records import StoredModel, TunedModelState, group_key
from tunedmodels.service.web.templating import escape_controls, quantity
from tunedmodels.stamp import (
    DEFAULT_ENVIRONMENT,
    MANUAL,
    Decision,
    Stamp,
    parse_description,
    parse_gate_record,
)
from tunedmodels.text import join, utc_minute
from tunedmodels.wire.status import printable_line


class _Snapshot(msgspec.Struct, rename="camel", gc=False):
    """One entry of a stored curve; see `service.api.responses.snapshot`."""

    step: int = 0
    epoch: int = 0
    mean_loss: float = 0.0


_decode_curve = msgspec.json.Decoder(list[_Snapshot], strict=False).decode  # also the text "NaN"


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A stored model, as a record and as a client of the API observes it."""

    model: StoredModel
    observed: ObservedModel

    @property
    def is_running(self) -> bool:
        """Whether its job has not ended."""
        return self.observed.state.is_running

    @property
    def group_key(self) -> str:
        """The key of its name: the name in its stamp, otherwise its display name."""
        return group_key(self.model.id, self.model.display_name, self.model.description)

    @property
    def title(self) -> str:
        """The name to display."""
        stamp = self.observed.stamp
        name = (stamp.name if stamp else "") or self.model.display_name or self.model.id
        return escape_controls(name)

    @property
    def project(self) -> str:
        """The project and the environment that own it; empty without one."""
        stamp = self.observed.stamp
        if stamp is None:
            return ""
        is_default = stamp.environment == DEFAULT_ENVIRONMENT
        return stamp.project if is_default else f"{stamp.project}, {stamp.environment}"


@dataclass(frozen=True, slots=True)
class VersionGroup:
    """The versions of one name, newest first."""

    versions: Sequence[StoredVersion]

    @property
    def serving_id(self) -> str:
        """The id of the serving version; empty without one."""
        model = serving([version.observed for version in self.versions])
        return model.model_id if model else ""

    def environments(self, version: StoredVersion) -> tuple[str, ...]:
        """Return the environments that a version serves."""
        model = ModelVersions("", tuple(each.observed for each in self.versions), is_declared=True)
        return model.environments(version.observed)

    def previous_ready(self, version: StoredVersion) -> StoredVersion | None:
        """Return the newest ready version that is older than `version`."""
        older = (other for other in self.versions if other.model.seq < version.model.seq)
        return next((other for other in older if other.observed.state is ModelState.READY), None)


def stored_version(model: StoredModel, curve: str = "") -> StoredVersion:
    """Return a stored model with its observed form. `curve` contains all or some snapshots."""
    return StoredVersion(model, observed_from_record(model, curve))


def observed_from_record(model: StoredModel, curve: str = "") -> ObservedModel:
    """Return a stored model as a client of the API observes it.

    `curve` contains snapshots as `{..},{..}`.
    """
    description, stamp = parse_description(model.description)
    state = _state(model)
    is_unsuccessful = state in (ModelState.FAILED, ModelState.CANCELLED)
    return ObservedModel(
        provider="embedded",
        model_id=model.id,
        resource=model.name,
        state=state,
        source=model.source or model.base_model,
        fields=MutableFields(
            display_name=model.display_name,
            description=description,
            temperature=model.temperature,
            top_p=model.top_p,
            top_k=model.top_k,
            reader_project_numbers=tuple(json.loads(model.readers)),
        ),
        stamp=stamp,
        used=UsedHyperparameters(
            epoch_count=model.epoch_count,
            batch_size=model.batch_size,
            learning_rate=model.learning_rate,
        ),
        created=parse_time(model.create_time),
        completed=parse_time(model.complete_time),
        curve=tuple(
            LossPoint(point.step, point.epoch, point.mean_loss)
            for point in _decode_curve(f"[{curve}]")
        ),
        failure=printable_line(model.error_message) if is_unsuccessful else "",
    )


def parse_time(text: str) -> datetime | None:
    """Return a stored time; None if it is empty."""
    return msgspec.convert(text, datetime) if text else None


def _state(model: StoredModel) -> ModelState:
    match TunedModelState(model.state):
        case TunedModelState.CREATING:
            return ModelState.TRAINING if model.start_time else ModelState.QUEUED
        case TunedModelState.ACTIVE:
            return ModelState.READY
        case TunedModelState.FAILED:
            is_cancelled = model.error_code == ApiStatus.CANCELLED.code
            return ModelState.CANCELLED if is_cancelled else ModelState.FAILED


def group_versions(versions: Sequence[StoredVersion]) -> list[VersionGroup]:
    """Group versions by name; names and versions keep the order of the input."""
    groups: dict[str, list[StoredVersion]] = {}
    for version in versions:
        groups.setdefault(version.group_key, []).append(version)
    return [VersionGroup(group) for group in groups.values()]


@dataclass(frozen=True, slots=True)
class ServingStatus:
    """The status of a version among those of its name, as text; unknown values are empty."""

    #: `serves`, `refused` or `undecided`.
    label: str = ""
    #: For example `macroF1 0.963`.
    score: str = ""
    #: The decision of its gate.
    gate: str = ""
    #: When it was promoted, by which command, from which commit.
    promoted: str = ""
    #: Why a ready version does not serve.
    verdict: str = ""


def serving_status(observed: ObservedModel, *, serving_id: str) -> ServingStatus:
    """Return the status of a version; `serving_id` is the serving version of its name."""
    stamp = observed.stamp
    label = "serves" if observed.model_id == serving_id else ""
    if stamp is None:
        return ServingStatus(label)
    score = escape_controls(stamp.score.replace(":", " ", 1))
    verdict = ""
    if stamp.is_rejected and observed.state is ModelState.READY:
        record = parse_gate_record(stamp.gate_record)
        is_refused = record is not None and record.decision is Decision.REFUSED
        label = "refused" if is_refused else "undecided"
        reason = "Its gate refused it" if is_refused else "Its gate could not decide"
        reason += f" at {score}" if score else ""
        serving_version = f"{serving_id} serves." if serving_id else "No version serves."
        verdict = f"{reason}, so it was not promoted. {serving_version}"
    return ServingStatus(label, score, _gate_decision(stamp), _promotion(stamp), verdict)


def _gate_decision(stamp: Stamp) -> str:
    """Return what the gate decided, compared with which version, and whether it was overruled."""
    record = parse_gate_record(stamp.gate_record)
    if record is None:
        return ""
    decision = {
        Decision.PASSED: "passed",
        Decision.REFUSED: "refused it",
        Decision.INCONCLUSIVE: "could not decide",
    }[record.decision]
    if record.baseline_prefix:
        decision += f", compared with {stamp.name}-{escape_controls(record.baseline_prefix)}"
    is_overruled = stamp.promoted_by == MANUAL and record.decision is not Decision.PASSED
    return f"{decision}; overruled manually" if is_overruled else decision


def _promotion(stamp: Stamp) -> str:
    """Return when the version was promoted last, how, and from which commit."""
    if stamp.promoted is None:
        return ""
    author = "manually" if stamp.promoted_by == MANUAL else "by apply"
    commit = stamp.promoted_commit
    origin = f" from commit {escape_controls(commit[:12])}" if commit else ""
    return f"{utc_minute(stamp.promoted)}, {author}{origin}"


def stamp_sentences(stamp: Stamp, environments: Sequence[str] = ()) -> Iterator[str]:
    """Yield sentences about the training inputs of a version and how plans treat it."""
    commit = f", trained from commit {stamp.commit[:12]}" if stamp.commit else ""
    yield f"Version of {stamp.name} in the project {stamp.project}{commit}."
    if environments:
        yield f"It serves in {join(environments)}."
    if stamp.unverified:
        yield "It was adopted, so its training examples cannot be verified."
    else:
        yield (
            f"Trained on {quantity(stamp.examples, 'example')} with the digest "
            f"{stamp.dataset[:12]}...; the fingerprint of all inputs is {stamp.fingerprint[:12]}..."
        )
    if stamp.attempt > 1:
        yield f"It took {stamp.attempt} attempts."
    if stamp.preamble:
        yield "Every training input had a preamble; put it before your questions too."
    if stamp.protect:
        yield "It is protected: no plan deletes it."
    if stamp.retain:
        yield "It is kept when its manifest is removed."
