"""Sweeps: decide the change for a name whose sweep is open, and find the chosen candidate. Pure.

The stamps of the live models say which candidate a sweep chose. Until a ready version has the mark
of the declared sweep, the sweep is open: all candidates are trained and scored, and one is chosen.
From then on that candidate is the declared version, and the others are never trained again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.ownership import Ownership
from tunedmodels.plan import reasons
from tunedmodels.plan.cost import cost_of
from tunedmodels.plan.diff import input_changes
from tunedmodels.plan.history import history
from tunedmodels.plan.inputs import PlanInputs
from tunedmodels.plan.plan import Candidate, Change, PlannedSweep
from tunedmodels.plan.promotion import PromotionReconciler, used_or_declared
from tunedmodels.plan.reconcile import ExistingById, Reconciler, held_by
from tunedmodels.plan.version import Action, desired_version
from tunedmodels.schema.tuned_model import Hyperparameters

_RATES = {"learningRate", "learningRateMultiplier"}  # exclude each other


def resolve_sweeps(
    desired: Iterable[Desired], observed: Iterable[ObservedModel], ownership: Ownership
) -> list[Desired]:
    """Return the desired models with every settled sweep replaced by its chosen candidate."""
    versions = ownership.versions(observed)
    return [sweep_winner(model, versions.get(model.name, ())) for model in desired]


def sweep_winner(desired: Desired, versions: Sequence[ObservedModel]) -> Desired:
    """Return the candidate that the sweep chose among live versions, or `desired` unchanged.

    If several versions have the mark of the sweep, the newest promotion counts.
    """
    if desired.sweep is None:
        return desired
    chosen = {
        model.fingerprint: model
        for model in sorted(versions, key=_promotion_order)
        if model.state is ModelState.READY
        and model.provider == desired.provider
        and model.stamp
        and model.stamp.was_chosen_by(desired.sweep_digest)
    }
    candidates = [c for c in desired.candidates if c.fingerprint in chosen]
    if not candidates:
        return desired
    winner = max(candidates, key=lambda c: _promotion_order(chosen[c.fingerprint]))
    return replace(winner, chosen_by_sweep=desired.sweep_digest)


def non_candidates(desired: Desired, versions: Sequence[ObservedModel]) -> list[ObservedModel]:
    """Return the versions that are not only candidates: former and outdated ones.

    A candidate that was promoted is a former version as well.
    """
    fingerprints = {candidate.fingerprint for candidate in desired.candidates}
    return [
        model
        for model in versions
        if model.promoted
        or model.provider != desired.provider
        or model.fingerprint not in fingerprints
    ]


def reconciler_for(
    desired: Desired,
    versions: Sequence[ObservedModel],
    inputs: PlanInputs,
    existing: ExistingById,
) -> Reconciler:
    """Return the reconciler of one declared name."""
    ownership = inputs.ownership
    if ownership.is_promoting:
        versions = used_or_declared(desired, versions, ownership.environment)
    past = history(
        non_candidates(desired, versions),
        provider=desired.provider,
        fingerprint=desired.fingerprint,
    )
    context: dict[str, Any] = {
        "dataset_change": inputs.dataset_changes.get(desired.name),
        "price": inputs.price(desired.name),
        "now": inputs.now,
    }
    if ownership.is_promoting:
        home = ownership.training_environment
        return PromotionReconciler(desired, past, existing, home=home, **context)
    context["held"] = frozenset((m.provider, m.model_id) for m in versions if held_by(m))
    if desired.sweep is None:
        return Reconciler(desired, past, existing, **context)
    return SweepReconciler(desired, past, existing, versions=versions, **context)


@dataclass(frozen=True, slots=True)
class SweepReconciler(Reconciler):
    """Decides about a name with an open sweep; `history` is without mere candidates."""

    versions: Sequence[ObservedModel] = ()  #: all versions of the name

    def _primary_change(self) -> Change:
        desired = self.desired.candidates
        observed = [self._observed(candidate) for candidate in desired]
        for candidate, version in zip(desired, observed, strict=True):
            existing = self.existing.get((candidate.provider, candidate.model_id))
            if existing and version is None and not existing.is_job_record:
                return self._conflict(existing)
        sweep = self._planned_sweep(tuple(map(self._candidate, desired, observed)))
        actions = [candidate.action for candidate in sweep.candidates]
        if any(action.trains for action in actions):
            return self._started(sweep)
        if set(actions) == {Action.FAILED}:
            return self._given_up(sweep, observed[0])
        running = actions.count(Action.WAIT)
        if running:
            reason = reasons.sweep_running(running, len(actions))
            return self._sweep_change(Action.WAIT, reason, sweep)
        return self._sweep_change(Action.PROMOTE, reasons.ALL_ENDED, sweep)

    def _observed(self, desired: Desired) -> ObservedModel | None:
        past = history(self.versions, provider=desired.provider, fingerprint=desired.fingerprint)
        return past.declared

    def _candidate(self, desired: Desired, observed: ObservedModel | None) -> Candidate:
        action = self._candidate_action(observed)
        return Candidate(
            model_id=observed.model_id if observed else desired.model_id,
            fingerprint=desired.fingerprint,
            hyperparameters=_as_json(desired.inputs.hyperparameters),
            action=action,
            before=self.history.live_version(observed) if observed else None,
            cost=cost_of(action, desired, self.price),
        )

    def _candidate_action(self, observed: ObservedModel | None) -> Action:
        if observed is None:
            return Action.CREATE
        if observed.state.is_running:
            return Action.WAIT
        if observed.state is ModelState.READY:
            return Action.FAILED if observed.blocked_reason else Action.PROMOTE
        attempt = observed.stamp.attempt if observed.stamp else 1
        return Action.RETRY if attempt <= self.desired.lifecycle.retry else Action.FAILED

    def _planned_sweep(self, candidates: tuple[Candidate, ...]) -> PlannedSweep:
        evaluation, declared = self.desired.evaluation, self.desired.sweep
        assert evaluation  # noqa: S101  # validation requires it for a sweep
        assert declared  # noqa: S101  # see reconciler_for
        return PlannedSweep(
            digest=self.desired.sweep_digest,
            metric=evaluation.spec.metric,
            path=evaluation.declared_path,
            examples=evaluation.examples,
            candidates=candidates,
            max_cost_usd=declared.max_cost_usd,
            place=declared.location,
        )

    def _started(self, sweep: PlannedSweep) -> Change:
        latest, count = self.history.latest, len(sweep.candidates)
        values: dict[str, Any] = {"cost": sweep.cost, "warnings": tuple(self._warnings(sweep))}
        if latest is None:
            return self._sweep_change(Action.CREATE, reasons.sweep_open(count, ""), sweep, **values)
        hidden = self._swept_paths(sweep)
        fields = tuple(f for f in input_changes(self.desired, latest) if f.path not in hidden)
        dataset = self._dataset_change(latest)
        reason = reasons.sweep_open(count, reasons.differing(fields, dataset))
        values |= {
            "before": self.history.live_version(latest),
            "fields": fields,
            "dataset": dataset,
        }
        return self._sweep_change(Action.REPLACE, reason, sweep, **values)

    def _swept_paths(self, sweep: PlannedSweep) -> set[str]:
        """Return the paths whose values differ between candidates, which display them."""
        names = {name for candidate in sweep.candidates for name in candidate.hyperparameters}
        names -= set(_as_json(self.desired.inputs.hyperparameters))
        names |= _RATES if names & _RATES else set()
        return {f"hyperparameters.{name}" for name in names}

    def _warnings(self, sweep: PlannedSweep) -> Iterator[str]:
        started = [candidate for candidate in sweep.candidates if candidate.action.trains]
        if any(c.before and c.before.state is ModelState.CANCELLED for c in started):
            yield reasons.WAS_CANCELLED
        if any(c.cost and c.cost.usd is None and not c.cost.epochs for c in started):
            yield reasons.UNBOUNDED

    def _given_up(self, sweep: PlannedSweep, first: ObservedModel | None) -> Change:
        attempt = first.stamp.attempt if first and first.stamp else 1
        first_reason = reasons.given_up(first, attempt) if first else ""
        reason = reasons.sweep_failed(len(sweep.candidates), first_reason)
        change = self._sweep_change(Action.FAILED, reason, sweep, cure=reasons.raise_retry(attempt))
        return change.model_copy(update={"retires": (), "gate": None})

    def _sweep_change(
        self,
        action: Action,
        reason: str,
        sweep: PlannedSweep,
        **values: Any,  # noqa: ANN401  # fields of Change
    ) -> Change:
        return Change(
            name=self.desired.name,
            action=action,
            reason=reason,
            after=desired_version(self.desired, self.desired.model_id),
            gate=self._gate,
            sweep=sweep,
            retires=self._retires(),
            **values,
        )


def _as_json(hyperparameters: Hyperparameters) -> dict[str, Any]:
    return hyperparameters.model_dump(exclude_none=True, by_alias=True)


def _promotion_order(model: ObservedModel) -> tuple[bool, float, str]:
    time = model.promoted.timestamp() if model.promoted else 0.0
    return model.promoted is not None, time, model.model_id
