"""Decide the change for one name: from its declaration, or without one, and its live versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan import reasons
from tunedmodels.plan.cost import FREE, cost_of
from tunedmodels.plan.diff import input_changes, mutable_changes
from tunedmodels.plan.gate import Gate, cure, gate_for, recorded_decision, refusal
from tunedmodels.plan.history import History, RetirementSchedule, history
from tunedmodels.plan.plan import (
    Action,
    Change,
    DatasetChange,
    FieldChange,
    LiveVersion,
    Refusal,
)
from tunedmodels.plan.safety import protected, protected_by_policy
from tunedmodels.plan.version import desired_version, live_version
from tunedmodels.schema.base_models import Price
from tunedmodels.schema.project import Policy
from tunedmodels.stamp import Decision

_NO_FIELDS: tuple[FieldChange, ...] = ()

ExistingById = Mapping[tuple[str, str], ObservedModel]  # all models by (provider, model id)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Decides what happens to one declared name, given its live versions."""

    desired: Desired
    history: History
    existing: ExistingById
    dataset_change: DatasetChange | None = None  #: if examples were compared
    price: Price | None = FREE
    now: datetime | None = None  #: time for grace periods; None: none is over
    held: frozenset[tuple[str, str]] = frozenset()
    """The versions that other environments use, which are not deleted, by (provider, model id)."""

    def changes(self) -> Iterator[Change]:
        """Yield the changes of the name, none if everything is as declared.

        The change of the declared version comes first.
        """
        primary = self._primary_change()
        if primary:
            yield primary
            if primary.action is Action.CONFLICT:
                return
        yield from self._removals(primary)

    def _removals(self, primary: Change | None) -> Iterator[Change]:
        """Yield the removals of the other versions of the name."""
        for model in self.history.running:
            yield self._removal(Action.CANCEL, model, reasons.OUTDATED_JOB)
        for model in self.history.failed:
            yield self._removal(Action.DELETE, model, reasons.deleting_failed(model))
        for model in self._not_held(self.history.rejected):
            yield self._removal(Action.DELETE, model, reasons.REJECTED)
        for model in self._not_held(self.history.sweep_losers):
            yield self._removal(Action.DELETE, model, reasons.LOST_SWEEP)
        # If a version is promoted first, the versions beyond `keep` retire after that instead.
        if primary is None or primary.action in (Action.UPDATE, Action.REJECTED):
            reason = reasons.beyond_keep(self.desired.lifecycle)
            for model in self._not_held(self.retirement.due()):
                yield self._removal(Action.DELETE, model, reason)

    def _not_held(self, models: Iterable[ObservedModel]) -> Iterator[ObservedModel]:
        return (model for model in models if (model.provider, model.model_id) not in self.held)

    @property
    def retirement(self) -> RetirementSchedule:
        """The schedule by which former versions go."""
        declared = self.history.declared
        is_held = declared is not None and self._rejection(declared) is not None
        return RetirementSchedule(self.history, self.desired.lifecycle, self.now, is_held=is_held)

    def _primary_change(self) -> Change | None:
        declared = self.history.declared
        if declared is None:
            return self._create_or_replace()
        match declared.state:
            case ModelState.QUEUED | ModelState.TRAINING:
                return self._in_progress(Action.WAIT, declared, reasons.waiting(declared))
            case ModelState.FAILED | ModelState.CANCELLED:
                return self._job_ended(declared)
            case ModelState.READY:
                return self._ready(declared)

    def _ready(self, declared: ObservedModel) -> Change | None:
        serving = self.history.serving
        if declared is serving:
            fields = mutable_changes(self.desired, declared)
            return self._update(declared, fields) if fields else None
        if declared.blocked_reason:
            return self._blocked(declared)
        if rejected := self._rejected(declared):
            return rejected
        return self._in_progress(Action.PROMOTE, declared, reasons.promoting(declared, serving))

    @property
    def _gate(self) -> Gate | None:
        """The gate of the declared version; None if it was promoted before."""
        declared = self.history.declared
        was_promoted = declared and declared.promoted and declared.state is ModelState.READY
        return None if was_promoted else gate_for(self.desired, self.history.serving)

    def _rejection(self, declared: ObservedModel) -> Decision | None:
        """Return the valid decision that keeps a ready version from being promoted, or None."""
        gate = self._gate
        if gate is None or declared.state is not ModelState.READY:
            return None
        decision = recorded_decision(declared, gate)
        return None if decision is None or gate.allows(decision) else decision

    def _rejected(self, declared: ObservedModel) -> Change | None:
        gate, decision = self._gate, self._rejection(declared)
        if gate is None or decision is None:
            return None
        return Change(
            name=self.desired.name,
            action=Action.REJECTED,
            reason=refusal(gate, decision, declared.stamp.score if declared.stamp else ""),
            cure=cure(gate, decision, self.desired.name, declared.model_id),
            before=self.history.live_version(declared),
            after=desired_version(self.desired, declared.model_id),
            gate=gate,
        )

    def _create_or_replace(self) -> Change:
        existing = self.existing.get((self.desired.provider, self.desired.model_id))
        if existing and not existing.is_job_record:
            return self._conflict(existing)
        latest = self.history.latest
        if latest is None:
            return self._training(Action.CREATE, None, reasons.NEW)
        fields, dataset = input_changes(self.desired, latest), self._dataset_change(latest)
        reason = reasons.replacing(fields, dataset)
        return self._training(Action.REPLACE, latest, reason, fields, dataset)

    def _conflict(self, existing: ObservedModel) -> Change:
        return Change(
            name=self.desired.name,
            action=Action.CONFLICT,
            reason=reasons.id_taken(existing),
            cure=reasons.cure_id_taken(existing, self.desired),
            before=live_version(existing, serves=False),
            after=desired_version(self.desired, existing.model_id),
            drift=existing.stamp is None,
        )

    def _blocked(self, declared: ObservedModel) -> Change:
        return Change(
            name=self.desired.name,
            action=Action.FAILED,
            reason=f"{declared.model_id} was {declared.blocked_reason}",
            cure=reasons.CURE_BLOCKED,
            before=self.history.live_version(declared),
            after=desired_version(self.desired, declared.model_id),
        )

    def _job_ended(self, declared: ObservedModel) -> Change:
        attempt = declared.stamp.attempt if declared.stamp else 1
        attempts = self.desired.lifecycle.retry + 1
        if attempt < attempts:
            reason = reasons.retrying(declared, attempt, attempts)
            return self._training(Action.RETRY, declared, reason)
        return Change(
            name=self.desired.name,
            action=Action.FAILED,
            reason=reasons.given_up(declared, attempt),
            cure=reasons.raise_retry(attempt),
            before=self.history.live_version(declared),
            after=desired_version(self.desired, declared.model_id),
        )

    def _training(
        self,
        action: Action,
        before: ObservedModel | None,
        reason: str,
        fields: tuple[FieldChange, ...] = _NO_FIELDS,
        dataset: DatasetChange | None = None,
    ) -> Change:
        was_cancelled = before is not None and before.state is ModelState.CANCELLED
        restarts = self.history.was_cancelled or (action is Action.RETRY and was_cancelled)
        cost = cost_of(action, self.desired, self.price)
        warnings = [reasons.WAS_CANCELLED] if restarts else []
        warnings += [reasons.UNBOUNDED] if cost and cost.usd is None and not cost.epochs else []
        return Change(
            name=self.desired.name,
            action=action,
            reason=reason,
            before=self.history.live_version(before) if before else None,
            after=desired_version(self.desired, self.desired.model_id),
            fields=fields,
            dataset=dataset,
            gate=self._gate,
            cost=cost,
            retires=self._retires(),
            warnings=tuple(warnings),
        )

    def _in_progress(self, action: Action, declared: ObservedModel, reason: str) -> Change:
        fields = mutable_changes(self.desired, declared)
        return Change(
            name=self.desired.name,
            action=action,
            reason=reasons.with_drift(reason, fields),
            before=self.history.live_version(declared),
            after=desired_version(self.desired, declared.model_id),
            fields=fields,
            gate=self._gate,
            retires=self._retires(),
            warnings=(declared.warning,) if declared.warning else (),
            drift=_has_drift(fields) or reasons.is_overruled(declared, self.history.serving),
        )

    def _update(self, declared: ObservedModel, fields: tuple[FieldChange, ...]) -> Change:
        return Change(
            name=self.desired.name,
            action=Action.UPDATE,
            reason=reasons.updating(fields),
            before=self.history.live_version(declared),
            after=desired_version(self.desired, declared.model_id),
            fields=fields,
            drift=_has_drift(fields),
        )

    def _removal(self, action: Action, model: ObservedModel, reason: str) -> Change:
        before = self.history.live_version(model)
        return Change(name=self.desired.name, action=action, reason=reason, before=before)

    def _retires(self) -> tuple[LiveVersion, ...]:
        return tuple(map(self.history.live_version, self._not_held(self.retirement.due())))

    def _dataset_change(self, latest: ObservedModel) -> DatasetChange | None:
        stamp, dataset = latest.stamp, self.desired.inputs.dataset
        if stamp is None or stamp.dataset == dataset.digest:
            return None
        compared = self.dataset_change
        if compared and (compared.before, compared.after) == (stamp.dataset, dataset.digest):
            return compared
        return DatasetChange(
            before=stamp.dataset,
            after=dataset.digest,
            before_examples=stamp.examples,
            after_examples=dataset.examples,
        )


def _has_drift(fields: tuple[FieldChange, ...]) -> bool:
    return any(field.drift for field in fields)


@dataclass(frozen=True, slots=True)
class Removal:
    """The changes to the versions of a name without a manifest."""

    changes: tuple[Change, ...] = ()
    refusal: Refusal | None = None
    retained: int = 0  #: versions that `onRemoval: retain` keeps


def remove(
    name: str,
    models: Sequence[ObservedModel],
    reason: str,
    desired: Desired | None,
    policy: Policy,
    *,
    is_promoting: bool = False,
) -> Removal:
    """Decide what happens to a name that is not declared, or is destroyed.

    For a destroyed name the lifecycle in `desired` counts as well as the stamps, which get it only
    with the next apply. Any version, and the policy, can protect or retain the whole name, since
    deleting too little can be corrected later. Versions that another environment uses stay. An
    environment that promotes the versions of another one only ends its use of them.
    """
    models = [model for model in models if not model.is_job_record]  # a record cannot be deleted
    lifecycle = desired.lifecycle if desired else None
    stamps = [model.stamp for model in models if model.stamp]
    if any(stamp.retain for stamp in stamps) or (lifecycle and lifecycle.on_removal == "retain"):
        return Removal(retained=len(models))
    past = history(models)
    if models and policy.protects(name):
        return Removal(refusal=protected_by_policy(name))
    if any(stamp.protect for stamp in stamps) or (lifecycle and lifecycle.protect):
        has_protected_former = _has_protected_former(past, models)
        return Removal(refusal=protected(name, has_protected_former=has_protected_former))
    removals = [(Action.CANCEL, model) for model in past.running]
    # The serving version goes last, so that the name answers requests as long as possible.
    deleted = (*past.failed, *past.rejected, *past.sweep_losers, *past.beyond_keep(0))
    removal = Action.RELEASE if is_promoting else Action.DELETE
    removals += [(removal, model) for model in deleted if is_promoting or not held_by(model)]
    return Removal(
        changes=tuple(
            Change(name=name, action=action, reason=reason, before=past.live_version(model))
            for action, model in removals
        )
    )


def held_by(model: ObservedModel) -> list[str]:
    """Return the other environments that use a version of this environment."""
    stamp = model.live_stamp or model.stamp
    return [use.environment for use in stamp.uses] if stamp else []


def _has_protected_former(past: History, models: Sequence[ObservedModel]) -> bool:
    others = (model for model in models if model is not past.serving)
    return any(
        model.stamp.protect for model in others if model.stamp and model.state is ModelState.READY
    )
