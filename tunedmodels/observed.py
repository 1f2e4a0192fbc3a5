"""THERE: what a provider says about the tuned models that exist."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from tunedmodels.stamp import Stamp


class ModelState(StrEnum):
    """Where a version is in its life; the same words for every provider."""

    QUEUED = "queued"
    TRAINING = "training"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_running(self) -> bool:
        """Whether a job is still at work on it, or will be."""
        return self in (ModelState.QUEUED, ModelState.TRAINING)


class LossPoint(msgspec.Struct, frozen=True, gc=False):
    """One step of training: `step` counts from 1, `epoch` (0-based) is full passes done by then.

    A Struct, since one look at many models makes hundreds of thousands of them, and a frozen
    dataclass takes six times as long.
    """

    step: int
    epoch: int
    mean_loss: float


@dataclass(frozen=True, slots=True)
class UsedHyperparameters:
    """What the service says it trained with; None where it does not say."""

    epoch_count: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    learning_rate_multiplier: float | None = None
    adapter_size: int | None = None
    beta: float | None = None


@dataclass(frozen=True, slots=True)
class ObservedModel:
    """One live tuned model.

    `resource` is what an application calls (`tunedModels/ID`); `source` is the base model
    (`models/NAME`) or the tuned model (`tunedModels/ID`) it was trained on. `description` holds the
    person's own words, without the stamp. `labels` are those beside our own, and None where the
    service has none. `failure` is the service's reason, where it gives one.

    `phase` says in words what a running job is at, `steps` how many it has, where the service
    counts them. `objection` says why a version must not begin to serve although it is ready, and
    `remark` what else is to be known of it: that it was trained on less than was declared. Of a
    job that can never be deleted only a record may be left: FAILED or CANCELLED, and `is_record`.
    """

    provider: str
    model_id: str
    resource: str
    state: ModelState
    source: str
    display_name: str = ""
    description: str = ""
    stamp: Stamp | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    reader_project_numbers: tuple[int, ...] = ()
    labels: Mapping[str, str] | None = None
    used: UsedHyperparameters = UsedHyperparameters()
    created: datetime | None = None
    completed: datetime | None = None
    curve: tuple[LossPoint, ...] = ()
    failure: str = ""
    phase: str = ""
    steps: int | None = None
    objection: str = ""
    remark: str = ""
    is_record: bool = False

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its stamp, or empty."""
        return self.stamp.fingerprint if self.stamp else ""

    @property
    def promoted(self) -> datetime | None:
        """When it was last made to serve."""
        return self.stamp.promoted if self.stamp else None

    @property
    def step(self) -> int:
        """Steps done so far."""
        return self.curve[-1].step if self.curve else 0

    @property
    def total_steps(self) -> int | None:
        """ceil(examples x epochs / batch size), as the API counts; None where a part is unknown."""
        if self.steps is not None:
            return self.steps
        if not (self.stamp and self.used.epoch_count and self.used.batch_size):
            return None
        return math.ceil(self.stamp.examples * self.used.epoch_count / self.used.batch_size)


def next_mark(now: datetime, versions: Iterable[ObservedModel]) -> datetime:
    """Return the promoted mark that makes one of these versions serve: newer than all of theirs.

    It is `now`, unless the clock of another machine was ahead of ours.
    """
    marks = [each.promoted + timedelta(microseconds=1) for each in versions if each.promoted]
    return max([now, *marks])


def serving(versions: list[ObservedModel]) -> ObservedModel | None:
    """Return the version that answers for its name: READY, with the newest promoted mark.

    `versions` are the versions of one name. Equal marks are settled by id and provider, so that
    everybody who looks sees the same one.
    """
    promoted = [(v.promoted, v.model_id, v.provider, v) for v in versions if v.promoted]
    ready = [entry for entry in promoted if entry[3].state is ModelState.READY]
    return max(ready, key=lambda entry: entry[:3])[3] if ready else None


@dataclass(frozen=True, slots=True)
class Named:
    """One name with all its live versions; `is_declared` says whether a manifest declares it."""

    name: str
    versions: tuple[ObservedModel, ...]
    is_declared: bool

    @property
    def serving(self) -> ObservedModel | None:
        """The version that answers for the name."""
        return serving(list(self.versions))


def missing(models: Sequence[Named]) -> list[str]:
    """Return the declared names that nothing serves."""
    return [model.name for model in models if model.is_declared and model.serving is None]
