"""The planner: makes a plan from the desired and the observed models. Pure.

`reconcile` decides about each name separately. This module brings the names together: which models
belong to the project, in which order the changes are applied, and whether the plan is safe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan import identity, reasons, safety, unread
from tunedmodels.plan.inputs import (
    NO_FACTS,
    BaseModelFacts,
    Blocker,
    Messages,
    PlanInputs,
    PlanOptions,
)
from tunedmodels.plan.plan import Action, Change, PendingRetirement, Plan, Refusal
from tunedmodels.plan.promotion import used_or_declared
from tunedmodels.plan.reconcile import ExistingById, remove
from tunedmodels.plan.safety import Allowances
from tunedmodels.plan.sweep import reconciler_for
from tunedmodels.plan.unread import GitReview
from tunedmodels.plan.version import format_time
from tunedmodels.schema.project import Policy

__all__ = [
    "NO_FACTS",
    "Allowances",
    "BaseModelFacts",
    "Blocker",
    "PlanInputs",
    "PlanOptions",
    "make_plan",
]

Ancestry = tuple[str, ...]  # a name, after all the names that it continues from
Versions = Mapping[str, Sequence[ObservedModel]]  # of this project, by name


def make_plan(inputs: PlanInputs, options: PlanOptions) -> Plan:
    """Return the plan that turns the observed models into the desired ones."""
    policy, ownership = options.policy, inputs.ownership
    desired = {model.name: model for model in inputs.desired}
    existing = {(model.provider, model.model_id): model for model in inputs.observed}
    all_versions = ownership.versions(existing.values())
    versions = _select(all_versions, desired, options.selection)
    if options.destroying:
        declared_part = _PlanPart()
        removed_part = _removed_part(versions, desired, reasons.DESTROYED, inputs, policy)
    else:
        declared_part = _declared_part(inputs, policy, versions, existing)
        undeclared = {name: group for name, group in versions.items() if name not in desired}
        removed_part = _removed_part(undeclared, {}, reasons.NOT_DECLARED, inputs, policy)
    entries = sorted(declared_part.entries + removed_part.entries, key=lambda entry: entry[0])
    changes = [
        _with_training_warnings(change, inputs.training_warnings)
        for _, part in entries
        for change in part
    ]
    if not options.destroying:
        changes = [identity.with_hints(each, inputs, versions, desired) for each in changes]
    notices = [] if options.destroying else _add_notices(changes, inputs, desired)
    refusals = [
        *declared_part.refusals,
        *removed_part.refusals,
        *safety.over_budget(changes, policy),
        *identity.refusals(inputs),
    ]
    review = GitReview()
    if not options.destroying:
        if not options.selection:
            refusals += safety.no_manifests(len(desired), options.allowances)
        refusals += _too_many_deletes(removed_part, all_versions, options)
        review = unread.review(removed_part.changes, declared_part.changes, versions, inputs.git)
        count = safety.ready_deletions(removed_part.changes)
        refusals += review.refusals(options.allowances.delete, count)
    return Plan(
        project=ownership.project,
        lineage=ownership.lineage,
        environment=options.environment,
        changes=tuple(changes),
        refusals=tuple(refusals),
        warnings=(
            *_plan_warnings(changes, versions, desired, policy),
            *notices,
            *review.warnings(),
            *identity.warnings(inputs),
        ),
        selection=options.selection,
        notes=tuple(identity.notes(inputs, versions, changes)),
        unchanged=declared_part.unchanged,
        retained=removed_part.unchanged,
        manifests=len(desired),
        live=_live_count(inputs, versions, desired),
        max_cost_usd=policy.max_cost_usd,
        leaving=tuple(declared_part.leaving),
        moment=format_time(inputs.now) if declared_part.is_timed else "",
    )


def _live_count(inputs: PlanInputs, versions: Versions, desired: Mapping[str, Desired]) -> int:
    return sum(
        not model.is_job_record
        for name, group in versions.items()
        for model in _own_part(inputs, desired.get(name), group)
    )


@dataclass(slots=True)
class _PlanPart:
    """A part of the plan, in progress."""

    entries: list[tuple[Ancestry, Sequence[Change]]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    leaving: list[PendingRetirement] = field(default_factory=list)
    unchanged: int = 0  #: names, or retained versions, without a change
    is_timed: bool = False  #: the time decides about some of it

    @property
    def changes(self) -> list[Change]:
        """All changes of the part."""
        return [change for _, part in self.entries for change in part]


def _select(
    versions: Versions, desired: Mapping[str, Desired], selection: Sequence[str]
) -> Versions:
    """Return the versions of the selected names and of those that they continue from."""
    if not selection:
        return versions
    return {name: versions.get(name, ()) for name in {*selection, *desired}}


def _declared_part(
    inputs: PlanInputs, policy: Policy, versions: Versions, existing: ExistingById
) -> _PlanPart:
    part = _PlanPart()
    order = DependencyOrder({model.name: model for model in inputs.desired}, inputs.base_models)
    blocked: dict[str, Action] = {}
    for ancestry, model in order.in_order():
        reconciler = reconciler_for(model, versions.get(model.name, ()), inputs, existing)
        changes = list(reconciler.changes())
        changes += identity.moves(model.name, versions.get(model.name, ()), inputs, changes)
        if not inputs.ownership.is_promoting:
            part.refusals += identity.held_updates(changes, versions.get(model.name, ()))
        part.leaving += reconciler.retirement.pending(model.name)
        part.is_timed |= reconciler.retirement.is_timed
        if not changes or changes[0].after is None:
            # Any changes are about other versions of the name, or about its identity.
            part.unchanged += not any(change.action is Action.MOVE for change in changes)
        elif changes[0].action.trains:
            part.refusals += safety.base_not_allowed(model.name, model.base_model, policy)
            changes[0] = order.block_if_untrainable(changes[0], model, blocked)
            part.refusals += safety.sweep_over_budget(changes[0])
        if changes:
            part.entries.append((ancestry, changes))
            if not changes[0].action.is_pending:
                blocked[model.name] = changes[0].action
    return part


def _removed_part(
    versions: Versions,
    desired: Mapping[str, Desired],
    reason: str,
    inputs: PlanInputs,
    policy: Policy,
) -> _PlanPart:
    part = _PlanPart()
    is_promoting = inputs.ownership.is_promoting
    for name, models in sorted(versions.items()):
        group = _own_part(inputs, None, models)
        because = unread.reason(name, inputs.git) or reason
        removal = remove(name, group, because, desired.get(name), policy, is_promoting=is_promoting)
        if not group:
            continue
        part.entries.append(((name,), removal.changes))
        part.unchanged += removal.retained
        if removal.refusal:
            part.refusals.append(removal.refusal)
    return part


def _own_part(
    inputs: PlanInputs, desired: Desired | None, versions: Sequence[ObservedModel]
) -> Sequence[ObservedModel]:
    """Return the versions that the environment trained, or those that it uses."""
    ownership = inputs.ownership
    if not ownership.is_promoting:
        return versions
    return used_or_declared(desired, versions, ownership.environment)


@dataclass(frozen=True, slots=True)
class DependencyOrder:
    """The declared names in the order of their training."""

    desired: Mapping[str, Desired]
    facts: BaseModelFacts

    def in_order(self) -> list[tuple[Ancestry, Desired]]:
        """Return every model with its ancestry, sorted by name, but parents before children."""
        entries = ((self._ancestry(model), model) for model in self.desired.values())
        return sorted(entries, key=lambda entry: entry[0])

    def block_if_untrainable(
        self, change: Change, model: Desired, blocked: Mapping[str, Action]
    ) -> Change:
        """Return a training unchanged, or as a failed change if it cannot start.

        `blocked` has the actions of names for which apply can do nothing. A model that continues
        from a rejected version is rejected as well, not failed.
        """
        tunable = self.facts.tunable.get(model.provider)
        action = Action.FAILED
        if model.parent and model.parent in blocked:
            is_rejected = blocked[model.parent] is Action.REJECTED
            action = Action.REJECTED if is_rejected else action
            reason = reasons.parent_blocked(model.parent, is_rejected=is_rejected)
            cure = reasons.CURE_PARENT
        elif model.name in self.facts.blockers:
            reason, cure = self.facts.blockers[model.name]
        elif tunable is not None and model.base_model not in tunable:
            reason = reasons.not_tunable(model.provider, model.base_model)
            cure = reasons.cure_base_model(tunable)
        else:
            return change
        return Change(
            name=change.name,
            action=action,
            reason=reason,
            cure=cure,
            before=change.before,
            after=change.after,
        )

    def _ancestry(self, model: Desired) -> Ancestry:
        # A cycle is impossible: the source has the fingerprint of the parent, which has its own.
        parent = self.desired.get(model.parent) if model.parent else None
        return (*self._ancestry(parent), model.name) if parent else (model.name,)


def _too_many_deletes(
    removed_part: _PlanPart, versions: Versions, options: PlanOptions
) -> Iterable[Refusal]:
    ready = sum(model.state is ModelState.READY for group in versions.values() for model in group)
    return safety.too_many_deletes(removed_part.changes, ready, options.policy, options.allowances)


def _with_training_warnings(change: Change, warnings: Messages) -> Change:
    added = warnings.get(change.name) if change.action.trains else None
    if not added:
        return change
    return change.model_copy(update={"warnings": (*change.warnings, *added)})


def _add_notices(
    changes: list[Change], inputs: PlanInputs, desired: Mapping[str, Desired]
) -> list[str]:
    """Add the notices to the first change of each name; return those of names without a change."""
    remaining = {
        name: notices for name, notices in inputs.base_models.notices.items() if name in desired
    }
    for index, change in enumerate(changes):
        notices = remaining.pop(change.name, ())
        if notices and change.action is not Action.FAILED:  # a failed change has it as its reason
            changes[index] = change.model_copy(update={"warnings": (*change.warnings, *notices)})
    return [f"{name}: {notice}" for name in sorted(remaining) for notice in remaining[name]]


def _plan_warnings(
    changes: Sequence[Change], versions: Versions, desired: Mapping[str, Desired], policy: Policy
) -> Iterator[str]:
    """Yield the warnings about the whole plan: unverified versions, and blackouts."""
    for name in sorted(desired):
        unverified = [m.model_id for m in versions.get(name, ()) if m.stamp and m.stamp.unverified]
        yield from (f"{model_id} {reasons.UNVERIFIED}" for model_id in sorted(unverified))
    if any(change.action.is_pending for change in changes):
        yield from map(safety.describe_blackout, policy.blackouts)
