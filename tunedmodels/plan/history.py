"""The live versions of one name by their role, and the schedule by which former versions go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.plan.plan import LiveVersion, PendingRetirement
from tunedmodels.plan.version import format_time, live_version
from tunedmodels.schema.tuned_model import Lifecycle

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class History:
    """The versions of one name at all providers.

    Records of deleted jobs are left out, except a failure of the declared version.
    """

    declared: ObservedModel | None  #: the declared version, if it exists
    serving: ObservedModel | None
    ready: tuple[ObservedModel, ...]
    """Other ready versions, in the order in which they are kept: newest promotion, then newest."""
    running: tuple[ObservedModel, ...]  #: other versions, by id
    failed: tuple[ObservedModel, ...]  #: other failed or cancelled versions, by id
    rejected: tuple[ObservedModel, ...] = ()  #: other versions that a gate rejected, by id
    sweep_losers: tuple[ObservedModel, ...] = ()  #: other candidates that were not chosen, by id
    served_until: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    """When the successor of a version was promoted, by (provider, model id)."""
    was_cancelled: bool = False  #: there is the record of a cancelled job of the declared version

    @property
    def latest(self) -> ObservedModel | None:
        """The version that a new one would replace: the serving one, else the newest."""
        if self.serving:
            return self.serving
        others = (*self.ready, *self.rejected, *self.sweep_losers, *self.running, *self.failed)
        return max(others, key=_keep_order, default=None)

    def beyond_keep(self, keep: int) -> tuple[ObservedModel, ...]:
        """Return the ready versions that `keep` does not cover, oldest first."""
        return self.ready[keep:][::-1]

    def beyond_keep_beside_serving(self, keep: int) -> tuple[ObservedModel, ...]:
        """Return the same for the time in which the declared version is not promoted."""
        others = tuple(model for model in self.ready if model is not self.serving)
        return others[keep:][::-1]

    def live_version(self, model: ObservedModel) -> LiveVersion:
        """Return one of these models as a plan has it."""
        return live_version(model, serves=model is self.serving)


def history(
    models: Sequence[ObservedModel], *, provider: str = "", fingerprint: str = ""
) -> History:
    """Sort the versions of one name; without a fingerprint none of them is the declared one."""
    declared = None
    was_cancelled = False
    for model in models:
        if model.provider != provider or model.fingerprint != fingerprint:
            continue
        if model.is_job_record and model.state is ModelState.CANCELLED:
            was_cancelled = True
        elif declared is None or _usefulness(model) > _usefulness(declared):
            declared = model
    others = sorted(
        (model for model in models if model is not declared and not model.is_job_record),
        key=_keep_order,
        reverse=True,
    )
    ready = [model for model in others if model.state is ModelState.READY]
    rejected = sorted((m for m in ready if m.stamp and m.stamp.is_rejected), key=_id)
    losers = sorted(
        (m for m in ready if m.stamp and m.stamp.has_lost_sweep and m not in rejected), key=_id
    )
    return History(
        declared=declared,
        serving=serving(models),
        ready=tuple(model for model in ready if model not in rejected and model not in losers),
        running=tuple(sorted((m for m in others if m.state.is_running), key=_id)),
        failed=tuple(sorted((m for m in others if _has_failed(m)), key=_id)),
        rejected=tuple(rejected),
        sweep_losers=tuple(losers),
        served_until=_served_until(models),
        was_cancelled=was_cancelled,
    )


@dataclass(frozen=True, slots=True)
class RetirementSchedule:
    """Which former versions of a name go, and when: those covered by neither `keep` nor `grace`.

    Grace starts when a version is replaced, which is the promotion time of its successor. No state
    is stored and no process waits: the first plan after the grace period deletes the version.
    """

    history: History
    lifecycle: Lifecycle
    now: datetime | None  #: None: no grace period is over
    is_held: bool  #: the declared version is not promoted, so `keep` excludes the serving one

    @property
    def is_timed(self) -> bool:
        """Whether the time decides that a version goes or stays."""
        return any(self._until(m) for m in self._uncovered() if m is not self.history.serving)

    def due(self) -> Iterator[ObservedModel]:
        """Yield the versions to delete now or after the next promotion, oldest first."""
        return (model for model in self._uncovered() if self._is_due(model))

    def pending(self, name: str) -> Iterator[PendingRetirement]:
        """Yield the versions that a later apply deletes."""
        for model in self._uncovered():
            if self.lifecycle.grace and not self._is_due(model):
                until = None if model is self.history.serving else self._until(model)
                yield PendingRetirement(
                    name=name,
                    model_id=model.model_id,
                    grace=self.lifecycle.grace,
                    until=format_time(until),
                )

    def _uncovered(self) -> tuple[ObservedModel, ...]:
        keep = self.lifecycle.keep
        if self.is_held:
            return self.history.beyond_keep_beside_serving(keep)
        return self.history.beyond_keep(keep)

    def _is_due(self, model: ObservedModel) -> bool:
        if model is self.history.serving:
            return not self.lifecycle.grace
        until = self._until(model)
        return until is None or (self.now is not None and self.now >= until)

    def _until(self, model: ObservedModel) -> datetime | None:
        """Return the end of a grace period; None for a version that was never promoted."""
        served_until = self.history.served_until.get(_id(model))
        if served_until is None or not self.lifecycle.grace:
            return None
        return served_until + timedelta(seconds=self.lifecycle.grace_s)


def _served_until(models: Sequence[ObservedModel]) -> Mapping[tuple[str, str], datetime]:
    promoted = [(m.promoted, m.model_id, m.provider, m) for m in models if m.promoted]
    in_order = sorted(promoted, key=lambda entry: entry[:3])
    return {_id(former[3]): successor[0] for former, successor in pairwise(in_order)}


def _has_failed(model: ObservedModel) -> bool:
    return model.state in (ModelState.FAILED, ModelState.CANCELLED)


def _keep_order(model: ObservedModel) -> tuple[bool, datetime, datetime, str, str]:
    # Ids order equal times, as for the serving version: otherwise equal plans could differ.
    is_ready = model.state is ModelState.READY
    promoted = model.promoted or _NEVER
    created = _NEVER if model.promoted else model.created or _NEVER
    return is_ready, promoted, created, model.model_id, model.provider


def _usefulness(model: ObservedModel) -> tuple[bool, bool, datetime, datetime, str, str]:
    # A service that assigns ids may have one fingerprint twice: take the most useful version.
    return not _has_failed(model), *_keep_order(model)


def _id(model: ObservedModel) -> tuple[str, str]:
    return model.provider, model.model_id
