"""Observed: the live tuned models as a provider reports them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from tunedmodels.model_fields import MutableFields
from tunedmodels.stamp import DEFAULT_ENVIRONMENT, Stamp
from tunedmodels.wire.gemini import Snapshot


class ModelState(StrEnum):
    """The state of a version, the same for every provider."""

    QUEUED = "queued"
    TRAINING = "training"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_running(self) -> bool:
        """Whether its job is queued or running."""
        return self in (ModelState.QUEUED, ModelState.TRAINING)


#: One step of training: `step` from 1, `epoch` (full passes before it) and `mean_loss`. It is the
#: message of the API, since a list of models contains hundreds of thousands of them.
LossPoint = Snapshot


@dataclass(frozen=True, slots=True)
class UsedHyperparameters:
    """The hyperparameters that the service reports; None if it does not report one."""

    epoch_count: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    learning_rate_multiplier: float | None = None
    adapter_size: int | None = None
    beta: float | None = None


@dataclass(frozen=True, slots=True)
class ObservedModel:
    """One live tuned model, as a provider reports it."""

    provider: str  #: name of the provider in the Project manifest
    model_id: str
    resource: str  #: the name that an application calls, `tunedModels/ID`
    state: ModelState
    source: str  #: what it was trained on: `models/NAME` or `tunedModels/ID`
    fields: MutableFields = field(default_factory=MutableFields)
    stamp: Stamp | None = None
    """None: it is not managed by tunedmodels. In a claimed model (`Ownership.claim`) it is the
    stamp as the environment sees it."""
    live_stamp: Stamp | None = None  #: the stored stamp, if `stamp` differs from it
    has_trusted_owner: bool = True  #: the caller, or an owner that the provider lists, owns it
    etag: str = field(default="", compare=False)  #: of `get`; empty: the service has none
    used: UsedHyperparameters = UsedHyperparameters()
    created: datetime | None = None
    completed: datetime | None = None
    curve: tuple[LossPoint, ...] = ()
    failure: str = ""  #: the reason of the service, if it gives one
    job_phase: str = ""  #: what a running job does, as text for users
    declared_total_steps: int | None = None  #: steps of the job, if the service reports them
    blocked_reason: str = ""  #: why it must not be promoted although it is ready
    warning: str = ""  #: for example that it was trained on fewer examples than declared
    is_job_record: bool = False
    """Only the record of a FAILED or CANCELLED job is left, which cannot be deleted."""
    deploy_command: str = ""
    """The command that deploys `resource`, which does not serve before; else empty."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint in its stamp, or empty."""
        return self.stamp.fingerprint if self.stamp else ""

    @property
    def promoted(self) -> datetime | None:
        """When it was last promoted."""
        return self.stamp.promoted if self.stamp else None

    @property
    def has_partial_curve(self) -> bool:
        """Whether the service sent only the end of a long curve."""
        return bool(self.curve) and self.curve[0].step > 1

    @property
    def step(self) -> int:
        """The training steps done so far."""
        return self.curve[-1].step if self.curve else 0

    @property
    def total_steps(self) -> int | None:
        """ceil(examples x epochs / batch size), as the API counts; None if a part is unknown."""
        if self.declared_total_steps is not None:
            return self.declared_total_steps
        if not (self.stamp and self.used.epoch_count and self.used.batch_size):
            return None
        return math.ceil(self.stamp.examples * self.used.epoch_count / self.used.batch_size)


def next_promotion_time(now: datetime, versions: Iterable[ObservedModel]) -> datetime:
    """Return the promotion time that makes a version of a name the serving one.

    It is `now`, or later than the newest promotion if the clock of another machine was ahead.
    """
    times = [v.promoted + timedelta(microseconds=1) for v in versions if v.promoted]
    return max([now, *times])


def serving(versions: Iterable[ObservedModel]) -> ObservedModel | None:
    """Return the serving version of one name: READY, with the newest promotion time.

    Equal times are ordered by id and provider, so that every machine finds the same version.
    """
    promoted = [(v.promoted, v.model_id, v.provider, v) for v in versions if v.promoted]
    ready = [entry for entry in promoted if entry[3].state is ModelState.READY]
    return max(ready, key=lambda entry: entry[:3])[3] if ready else None


def environments_served(
    versions: Iterable[ObservedModel],
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the environments that each version of one name and home serves, by (provider, id)."""
    newest: dict[str, tuple[datetime, str, str]] = {}
    for version in versions:
        stamp = version.live_stamp or version.stamp
        if stamp is None or version.state is not ModelState.READY:
            continue
        promotions = {use.environment: use.promoted for use in stamp.uses}
        promotions[stamp.environment] = stamp.promoted
        for environment, promoted in promotions.items():
            if promoted:
                entry = promoted, version.model_id, version.provider
                newest[environment] = max(entry, newest.get(environment, entry))
    served: dict[tuple[str, str], tuple[str, ...]] = {}
    for environment, (_, model_id, provider) in sorted(newest.items()):
        served[provider, model_id] = (*served.get((provider, model_id), ()), environment)
    return served


@dataclass(frozen=True, slots=True)
class ModelVersions:
    """One name with all its live versions."""

    name: str
    versions: tuple[ObservedModel, ...]
    is_declared: bool  #: a manifest declares the name

    @property
    def serving(self) -> ObservedModel | None:
        """The serving version."""
        return serving(self.versions)

    def environments(self, version: ObservedModel) -> tuple[str, ...]:
        """Return the environments that a version serves; empty if there is only the default one."""
        served = environments_served(self.versions)
        names = {name for environments in served.values() for name in environments}
        if names <= {DEFAULT_ENVIRONMENT}:
            return ()
        return served.get((version.provider, version.model_id), ())


def unserved_names(models: Iterable[ModelVersions]) -> list[str]:
    """Return the declared names without a serving version."""
    return [model.name for model in models if model.is_declared and model.serving is None]
