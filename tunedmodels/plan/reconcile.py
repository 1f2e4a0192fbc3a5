"""The table of the planner for one declared name: what there is decides what happens."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan import reasons
from tunedmodels.plan.cost import FREE, Pricing, cost_of
from tunedmodels.plan.diff import fixed_fields, mutable_fields
from tunedmodels.plan.gate import Gate, cure, gate_of, judged, refusal
from tunedmodels.plan.history import History, Retirement, history, version, wanted
from tunedmodels.plan.plan import (
    Action,
    Change,
    DatasetChange,
    FieldChange,
    LabelChange,
    Refusal,
    Version,
)
from tunedmodels.plan.safety import protected, protected_by_policy
from tunedmodels.schema.project import Policy
from tunedmodels.stamp import Decision

_NO_FIELDS: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetCounts:
    """How two datasets differ, as multisets; see DatasetChange."""

    added: int | None
    removed: int | None
    reworded: int | None = 0
    edited: int | None = 0
    order_only: bool = False
    labels: tuple[LabelChange, ...] = ()
    unknown: str = ""


_NOT_COMPARED = DatasetCounts(None, None, None, None)


@dataclass(frozen=True, slots=True)
class Remembered:
    """The version of a name that this machine was the last to promote, and when."""

    model_id: str
    promoted: datetime


Taken = Mapping[tuple[str, str], ObservedModel]  # (provider, model id) -> whoever has it
Differences = Mapping[tuple[str, str], DatasetCounts]  # (digest before, digest after) -> counts


@dataclass(frozen=True, slots=True)
class Declared:
    """One declared name among its live versions.

    `now` decides whose grace is over; without it, nobody's is.
    """

    want: Desired
    past: History
    taken: Taken
    differences: Differences
    remembered: Remembered | None = None
    pricing: Pricing = FREE
    now: datetime | None = None

    def changes(self) -> Iterator[Change]:
        """Yield what happens to the name: nothing at all when it is as declared.

        What is about the declared version comes first, then what is about the others.
        """
        main = self._main()
        if main:
            yield main
            if main.action is Action.CONFLICT:
                return
        for model in self.past.running:
            yield self._gone(Action.CANCEL, model, reasons.OUTDATED_JOB)
        for model in self.past.broken:
            yield self._gone(Action.DELETE, model, reasons.broken(model))
        for model in self.past.rejected:
            yield self._gone(Action.DELETE, model, reasons.REJECTED)
        for model in self.past.lost:
            yield self._gone(Action.DELETE, model, reasons.LOST)
        # Where another version is to serve first, what is beyond `keep` retires after that.
        if main is None or main.action in (Action.UPDATE, Action.REJECTED):
            for model in self.retirement.due():
                yield self._gone(Action.DELETE, model, reasons.beyond(self.want.lifecycle))

    @property
    def retirement(self) -> Retirement:
        """Which of the former versions go, and when."""
        exact = self.past.exact
        is_held = exact is not None and self._decision(exact) is not None
        return Retirement(self.past, self.want.lifecycle, self.now, is_held=is_held)

    def _main(self) -> Change | None:
        exact = self.past.exact
        if exact is None:
            return self._missing()
        match exact.state:
            case ModelState.QUEUED | ModelState.TRAINING:
                return self._going_on(Action.WAIT, exact, reasons.waiting(exact))
            case ModelState.FAILED | ModelState.CANCELLED:
                return self._ended(exact)
            case ModelState.READY:
                return self._ready(exact)

    def _ready(self, exact: ObservedModel) -> Change | None:
        if exact is self.past.serves:
            fields = mutable_fields(self.want, exact)
            return self._update(exact, fields) if fields else None
        if exact.objection:
            return self._objected(exact)
        if rejected := self._rejected(exact):
            return rejected
        return self._going_on(Action.PROMOTE, exact, reasons.promoting(exact, self.past.serves))

    @property
    def _gate(self) -> Gate | None:
        """What the declared version must pass; nothing, when it served before."""
        exact = self.past.exact
        has_served = exact and exact.promoted and exact.state is ModelState.READY
        return None if has_served else gate_of(self.want, self.past.serves)

    def _decision(self, exact: ObservedModel) -> Decision | None:
        """Return the decision that keeps a ready version from serving, if it stands."""
        gate = self._gate
        if gate is None or exact.state is not ModelState.READY:
            return None
        decision = judged(exact, gate)
        return None if decision is None or gate.admits(decision) else decision

    def _rejected(self, exact: ObservedModel) -> Change | None:
        gate, decision = self._gate, self._decision(exact)
        if gate is None or decision is None:
            return None
        return Change(
            name=self.want.name,
            action=Action.REJECTED,
            reason=refusal(gate, decision, exact.stamp.score if exact.stamp else ""),
            cure=cure(gate, decision, self.want.name, exact.model_id),
            before=self.past.version(exact),
            after=wanted(self.want, exact.model_id),
            gate=gate,
        )

    def _missing(self) -> Change:
        there = self.taken.get((self.want.provider, self.want.model_id))
        if there and not there.is_record:
            return self._conflict(there)
        latest = self.past.latest
        was_deleted = self._was_deleted()
        if latest is None:
            reason = reasons.GONE if was_deleted else reasons.NEW
            return self._training(Action.CREATE, None, reason, drift=was_deleted)
        fields = fixed_fields(self.want, latest)
        dataset = self._dataset(latest)
        reason = reasons.GONE if was_deleted else reasons.replacing(fields, dataset)
        return self._training(Action.REPLACE, latest, reason, fields, dataset, drift=was_deleted)

    def _conflict(self, there: ObservedModel) -> Change:
        return Change(
            name=self.want.name,
            action=Action.CONFLICT,
            reason=reasons.taken(there),
            cure=reasons.cure_taken(there, self.want.name),
            before=version(there, serves=False),
            after=wanted(self.want, there.model_id),
            drift=there.stamp is None,
        )

    def _was_deleted(self) -> bool:
        """Whether the declared version was there, as far as this machine remembers."""
        known, serves = self.remembered, self.past.serves
        if known is None or known.model_id not in self._declared_ids():
            return False
        # Where another one was promoted after it, it retired: somebody else's apply did that.
        return serves is None or serves.promoted is None or serves.promoted <= known.promoted

    def _objected(self, exact: ObservedModel) -> Change:
        return Change(
            name=self.want.name,
            action=Action.FAILED,
            reason=f"{exact.model_id} was {exact.objection}",
            cure=reasons.CURE_OBJECTION,
            before=self.past.version(exact),
            after=wanted(self.want, exact.model_id),
        )

    def _declared_ids(self) -> Collection[str]:
        """Return the ids of the versions that are as declared."""
        return [self.want.model_id]

    def _ended(self, exact: ObservedModel) -> Change:
        attempt = exact.stamp.attempt if exact.stamp else 1
        attempts = self.want.lifecycle.retry + 1
        if attempt < attempts:
            return self._training(Action.RETRY, exact, reasons.retrying(exact, attempt, attempts))
        return Change(
            name=self.want.name,
            action=Action.FAILED,
            reason=reasons.given_up(exact, attempt),
            cure=reasons.raise_retry(attempt),
            before=self.past.version(exact),
            after=wanted(self.want, exact.model_id),
        )

    def _training(
        self,
        action: Action,
        before: ObservedModel | None,
        reason: str,
        fields: tuple[FieldChange, ...] = _NO_FIELDS,
        dataset: DatasetChange | None = None,
        *,
        drift: bool = False,
    ) -> Change:
        was_cancelled = before is not None and before.state is ModelState.CANCELLED
        cost = cost_of(action, self.want, self.pricing)
        is_again = self.past.was_cancelled or (action is Action.RETRY and was_cancelled)
        warnings = [reasons.WAS_CANCELLED] if is_again else []
        warnings += [reasons.UNBOUNDED] if cost and cost.usd is None and not cost.epochs else []
        return Change(
            name=self.want.name,
            action=action,
            reason=reason,
            before=self.past.version(before) if before else None,
            after=wanted(self.want, self.want.model_id),
            fields=fields,
            dataset=dataset,
            gate=self._gate,
            cost=cost,
            retires=self._retires(),
            warnings=tuple(warnings),
            drift=drift,
        )

    def _going_on(self, action: Action, exact: ObservedModel, reason: str) -> Change:
        fields = mutable_fields(self.want, exact)
        return Change(
            name=self.want.name,
            action=action,
            reason=reasons.drifted(reason, fields),
            before=self.past.version(exact),
            after=wanted(self.want, exact.model_id),
            fields=fields,
            gate=self._gate,
            retires=self._retires(),
            warnings=(exact.remark,) if exact.remark else (),
            drift=_any_drift(fields) or reasons.overruled(exact, self.past.serves),
        )

    def _update(self, exact: ObservedModel, fields: tuple[FieldChange, ...]) -> Change:
        return Change(
            name=self.want.name,
            action=Action.UPDATE,
            reason=reasons.updating(fields),
            before=self.past.version(exact),
            after=wanted(self.want, exact.model_id),
            fields=fields,
            drift=_any_drift(fields),
        )

    def _gone(self, action: Action, model: ObservedModel, reason: str) -> Change:
        return Change(
            name=self.want.name, action=action, reason=reason, before=self.past.version(model)
        )

    def _retires(self) -> tuple[Version, ...]:
        return tuple(map(self.past.version, self.retirement.due()))

    def _dataset(self, latest: ObservedModel) -> DatasetChange | None:
        stamp, dataset = latest.stamp, self.want.dataset
        if stamp is None or stamp.dataset == dataset.digest:
            return None
        counts = self.differences.get((stamp.dataset, dataset.digest), _NOT_COMPARED)
        return DatasetChange(
            before=stamp.dataset,
            after=dataset.digest,
            before_examples=stamp.examples,
            after_examples=dataset.examples,
            added=counts.added,
            removed=counts.removed,
            reworded=counts.reworded,
            edited=counts.edited,
            order_only=counts.order_only,
            labels=counts.labels,
            unknown=counts.unknown,
        )


def _any_drift(fields: tuple[FieldChange, ...]) -> bool:
    return any(field.drift for field in fields)


# FOLDED
# The table of the planner for one name without a manifest.
@dataclass(frozen=True, slots=True)
class Removal:
    """What becomes of a name that goes: deleted, refused or, so many versions, `retained`."""

    changes: tuple[Change, ...] = ()
    refusal: Refusal | None = None
    retained: int = 0


def remove(
    name: str, models: Sequence[ObservedModel], reason: str, want: Desired | None, policy: Policy
) -> Removal:
    """Decide what becomes of a name that is no longer declared.

    `want` is given when a declared name is destroyed: what it says counts as well as the stamps,
    which know it only after the next apply. Any version may protect or retain the whole name, since
    deleting too little can be mended. So may the policy.
    """
    models = [model for model in models if not model.is_record]  # there is nothing to remove
    lifecycle = want.lifecycle if want else None
    stamps = [model.stamp for model in models if model.stamp]
    if any(stamp.retain for stamp in stamps) or (lifecycle and lifecycle.on_removal == "retain"):
        return Removal(retained=len(models))
    past = history(models)
    if models and policy.protects(name):
        return Removal(refusal=protected_by_policy(name))
    if any(stamp.protect for stamp in stamps) or (lifecycle and lifecycle.protect):
        return Removal(refusal=protected(name, former=_former_protects(past, models)))
    going = [(Action.CANCEL, model) for model in past.running]
    # The serving version is worth the most and goes last, so that the name answers till the end.
    going += [(Action.DELETE, model) for model in (*past.broken, *past.rejected, *past.lost)]
    going += [(Action.DELETE, model) for model in past.beyond(0)]
    return Removal(
        changes=tuple(
            Change(name=name, action=action, reason=reason, before=past.version(model))
            for action, model in going
        )
    )


def _former_protects(past: History, models: Sequence[ObservedModel]) -> bool:
    others = (model for model in models if model is not past.serves)
    return any(
        model.stamp.protect for model in others if model.stamp and model.state is ModelState.READY
    )
