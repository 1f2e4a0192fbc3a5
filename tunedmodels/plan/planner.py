"""The planner: what is declared and what is live go in, a plan comes out. Pure.

Every name is decided on its own, in `declared` or in `removed`. Here they are brought together:
what belongs to whom, in which order, and whether the whole is safe.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan import reasons, safety, sweep
from tunedmodels.plan.cost import FREE, Pricing
from tunedmodels.plan.history import written
from tunedmodels.plan.plan import Action, Change, Leaving, Plan, Refusal
from tunedmodels.plan.reconcile import (
    DatasetCounts,
    Declared,
    Differences,
    Remembered,
    Taken,
    remove,
)
from tunedmodels.plan.safety import Allowances
from tunedmodels.plan.sweep import resolved
from tunedmodels.schema.project import Policy

# FOLDED
# Which declared name continues from which: the order of a plan, and what stops a training.
Line = tuple[str, ...]  # a name, after all the names it continues from


class Obstacle(NamedTuple):
    """Why a name cannot be trained, in words that fit after "because", and what to do about it."""

    reason: str
    cure: str


@dataclass(frozen=True, slots=True)
class Family:
    """The declared names. `tunable` maps a provider to the base models it can tune, where known.

    `obstacles` are those that stand in the way of a name's training, whatever the service says.
    """

    wants: Mapping[str, Desired]
    tunable: Mapping[str, Collection[str]]
    obstacles: Mapping[str, Obstacle]

    def in_order(self) -> list[tuple[Line, Desired]]:
        """Return every name with its line, parents before children, else by name."""
        return sorted(
            ((self._line(want), want) for want in self.wants.values()), key=lambda entry: entry[0]
        )

    def base(self, want: Desired) -> str:
        """Return the base model (`models/NAME`) at the root of the line."""
        return self.wants[self._line(want)[0]].source

    def feasible(self, change: Change, want: Desired, stuck: Mapping[str, Action]) -> Change:
        """Return a training as it is, or as failed when it cannot begin.

        `stuck` says by name why apply can do nothing. What continues from a version that its gate
        rejected shares its fate, and is no failure either.
        """
        base = self.base(want)
        tunable = self.tunable.get(want.provider)
        action = Action.FAILED
        if want.parent and want.parent in stuck:
            is_rejected = stuck[want.parent] is Action.REJECTED
            action = Action.REJECTED if is_rejected else action
            reason = reasons.orphaned(want.parent, is_rejected=is_rejected)
            cure = reasons.CURE_PARENT
        elif want.name in self.obstacles:
            reason, cure = self.obstacles[want.name]
        elif tunable is not None and base not in tunable:
            reason, cure = reasons.not_tunable(want.provider, base), reasons.cure_base(tunable)
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

    def _line(self, want: Desired) -> Line:
        # There can be no circle: a source holds the fingerprint of the parent, which holds its own.
        parent = self.wants.get(want.parent) if want.parent else None
        return (*self._line(parent), want.name) if parent else (want.name,)


__all__ = [
    "NOTHING_KNOWN",
    "Allowances",
    "Bases",
    "DatasetCounts",
    "Obstacle",
    "Pricing",
    "Remembered",
    "make_plan",
]

Live = Mapping[str, Sequence[ObservedModel]]  # our versions by name
Advice = Mapping[str, Sequence[str]]

_NO_ALLOWANCES = Allowances()


@dataclass(frozen=True, slots=True)
class Bases:
    """What is known of the base models, by the names of the declared models.

    `prices` of what training costs; a name without one is trained for free. `obstacles` make a
    failed change of a training. `notices` concern a model that is ready as well: when its base
    model retires, for one.
    """

    prices: Mapping[str, Pricing] = field(default_factory=dict)
    obstacles: Mapping[str, Obstacle] = field(default_factory=dict)
    notices: Advice = field(default_factory=dict)


NOTHING_KNOWN = Bases()


def make_plan(
    desired: Iterable[Desired],
    observed: Iterable[ObservedModel],
    *,
    project: str,
    policy: Policy,
    environment: str = "",
    allowances: Allowances = _NO_ALLOWANCES,
    tunable: Mapping[str, Collection[str]] = MappingProxyType({}),
    differences: Differences = MappingProxyType({}),
    advice: Advice = MappingProxyType({}),
    remembered: Mapping[str, Remembered] = MappingProxyType({}),
    bases: Bases = NOTHING_KNOWN,
    destroying: bool = False,
    now: datetime | None = None,
) -> Plan:
    """Decide what makes the live models the declared ones.

    `desired` has one entry per name. `observed` is every live model of every provider that may hold
    one of ours; only those with a stamp of `project` are ever touched. `tunable` maps a provider to
    the base models it can tune, where that is known. `differences` compares datasets by their
    digests before and after, where the old one is at hand. `advice` holds words to show beside a
    training, by name. `remembered` says by name what this machine promoted last, so that a version
    that is gone can be told from a new one. `bases` says what is known of the base models as of
    today. `destroying` plans the end of every model, and needs no other allowance. `now` is the
    moment for which `lifecycle.grace` is judged; without it nobody's grace is over.
    """
    observed = list(observed)
    declared = {want.name: want for want in resolved(desired, observed, project)}
    there = {(model.provider, model.model_id): model for model in observed}
    ours = _ours(there.values(), project)
    if destroying:
        stays, goes = _Part(), _removed(ours, declared, reasons.DESTROYED, policy)
    else:
        family = Family(declared, tunable, bases.obstacles)
        table = _Table(there, differences, remembered, bases, now)
        stays = _declared(family, ours, policy, table)
        orphans = {name: live for name, live in ours.items() if name not in declared}
        goes = _removed(orphans, {}, reasons.NOT_DECLARED, policy)
    entries = sorted(stays.entries + goes.entries, key=lambda entry: entry[0])
    changes = [_advised(change, advice) for _, part in entries for change in part]
    noticed = [] if destroying else _notify(changes, bases.notices, declared)
    refusals = [*stays.refusals, *goes.refusals, *safety.too_dear(changes, policy)]
    if not destroying:
        refusals += safety.too_empty(len(declared), allowances)
        refusals += _too_many_deletes(goes, ours, policy, allowances)
    return Plan(
        project=project,
        environment=environment,
        changes=tuple(changes),
        refusals=tuple(refusals),
        warnings=tuple(_warnings(changes, ours, declared, policy)) + tuple(noticed),
        unchanged=stays.untouched,
        retained=goes.untouched,
        manifests=len(declared),
        live=sum(not model.is_record for live in ours.values() for model in live),
        max_cost_usd=policy.max_cost_usd,
        leaving=tuple(stays.leaving),
        moment=written(now) if stays.is_timed else "",
    )


def _too_many_deletes(
    goes: _Part, ours: Live, policy: Policy, allowances: Allowances
) -> Iterable[Refusal]:
    ready = sum(model.state is ModelState.READY for live in ours.values() for model in live)
    removed = [change for _, part in goes.entries for change in part]
    return safety.too_many_deletes(removed, ready, policy, allowances)


def _ours(models: Iterable[ObservedModel], project: str) -> Live:
    ours: dict[str, list[ObservedModel]] = defaultdict(list)
    for model in models:
        if model.stamp and model.stamp.project == project:
            ours[model.stamp.name].append(model)
    return ours


@dataclass(slots=True)
class _Part:
    """A part of the plan, name by name; `untouched` counts what needs no change.

    `is_timed` says that some of it would be otherwise at another time.
    """

    entries: list[tuple[Line, Sequence[Change]]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    leaving: list[Leaving] = field(default_factory=list)
    untouched: int = 0
    is_timed: bool = False


@dataclass(frozen=True, slots=True)
class _Table:
    """What every name is decided by, besides its own versions."""

    taken: Taken
    differences: Differences
    remembered: Mapping[str, Remembered]
    bases: Bases
    now: datetime | None

    def __call__(self, want: Desired, live: Sequence[ObservedModel]) -> Declared:
        return sweep.table(
            want,
            live,
            taken=self.taken,
            differences=self.differences,
            remembered=self.remembered.get(want.name),
            pricing=self.bases.prices.get(want.name, FREE),
            now=self.now,
        )


def _declared(
    family: Family,
    ours: Live,
    policy: Policy,
    table: Callable[[Desired, Sequence[ObservedModel]], Declared],
) -> _Part:
    part = _Part()
    stuck: dict[str, Action] = {}
    for line, want in family.in_order():
        live = ours.get(want.name, ())
        declared = table(want, live)
        changes = list(declared.changes())
        part.leaving += declared.retirement.leaving(want.name)
        part.is_timed |= declared.retirement.is_timed
        if not changes or changes[0].after is None:
            part.untouched += 1  # what there is, is about other versions of the name
        elif changes[0].action.trains:
            part.refusals += safety.base_not_allowed(want.name, family.base(want), policy)
            changes[0] = family.feasible(changes[0], want, stuck)
            part.refusals += safety.sweep_too_dear(changes[0])
        if changes:
            part.entries.append((line, changes))
            if not changes[0].action.is_pending:
                stuck[want.name] = changes[0].action
    return part


def _removed(ours: Live, declared: Mapping[str, Desired], reason: str, policy: Policy) -> _Part:
    part = _Part()
    for name, live in sorted(ours.items()):
        removal = remove(name, live, reason, declared.get(name), policy)
        part.entries.append(((name,), removal.changes))
        part.untouched += removal.retained
        if removal.refusal:
            part.refusals.append(removal.refusal)
    return part


def _advised(change: Change, advice: Advice) -> Change:
    words = advice.get(change.name) if change.action.trains else None
    return change.model_copy(update={"warnings": (*change.warnings, *words)}) if words else change


def _notify(changes: list[Change], notices: Advice, declared: Mapping[str, Desired]) -> list[str]:
    """Add what is to be noticed to the first change of each name; return what has no change."""
    left = {name: words for name, words in notices.items() if name in declared}
    for index, change in enumerate(changes):
        words = left.pop(change.name, ())
        # What failed for that very reason says it already.
        if words and change.action is not Action.FAILED:
            changes[index] = change.model_copy(update={"warnings": (*change.warnings, *words)})
    return [f"{name}: {words}" for name in sorted(left) for words in left[name]]


def _warnings(
    changes: Sequence[Change], ours: Live, declared: Mapping[str, Desired], policy: Policy
) -> Iterator[str]:
    """Yield what holds for the plan as a whole: what nobody can prove, and when not to apply."""
    for name in sorted(declared):
        unverified = [m.model_id for m in ours.get(name, ()) if m.stamp and m.stamp.unverified]
        yield from (f"{model_id} {reasons.UNVERIFIED}" for model_id in sorted(unverified))
    if any(change.action.is_pending for change in changes):
        yield from map(safety.rule, policy.blackouts)
