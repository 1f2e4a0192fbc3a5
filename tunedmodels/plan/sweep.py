"""The table of the planner for a sweep that has chosen none of its candidates yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan import reasons
from tunedmodels.plan.cost import cost_of
from tunedmodels.plan.diff import fixed_fields
from tunedmodels.plan.history import history, wanted
from tunedmodels.plan.plan import Candidate, Change, Sweep
from tunedmodels.plan.reconcile import Declared
from tunedmodels.plan.version import Action
from tunedmodels.schema.tuned_model import Hyperparameters


def table(want: Desired, live: Sequence[ObservedModel], **context: Any) -> Declared:  # noqa: ANN401  # fields of Declared
    """Return the table for one declared name, whose versions are `live`."""
    formers = others(want, live)
    past = history(formers, provider=want.provider, fingerprint=want.fingerprint)
    if want.sweep is None:
        return Declared(want, past, **context)
    return Swept(want, past, live=live, **context)


@dataclass(frozen=True, slots=True)
class Swept(Declared):
    """A name whose sweep has chosen nothing yet; `past` holds what is no mere candidate.

    `live` are all versions of the name.
    """

    live: Sequence[ObservedModel] = ()

    def _main(self) -> Change:
        wants = self.want.candidates
        found = [self._found(each) for each in wants]
        for each, exact in zip(wants, found, strict=True):
            there = self.taken.get((each.provider, each.model_id))
            if there and exact is None and not there.is_record:
                return self._conflict(there)
        sweep = self._sweep(tuple(map(self._candidate, wants, found)))
        actions = [candidate.action for candidate in sweep.candidates]
        if any(action.trains for action in actions):
            return self._started(sweep)
        if set(actions) == {Action.FAILED}:
            return self._given_up(sweep, found[0])
        running = actions.count(Action.WAIT)
        reason = reasons.awaiting(running, len(actions)) if running else reasons.CHOOSING
        return self._about(Action.WAIT if running else Action.PROMOTE, reason, sweep)

    def _found(self, each: Desired) -> ObservedModel | None:
        return history(self.live, provider=each.provider, fingerprint=each.fingerprint).exact

    def _candidate(self, each: Desired, exact: ObservedModel | None) -> Candidate:
        action = self._step(exact)
        return Candidate(
            model_id=exact.model_id if exact else each.model_id,
            fingerprint=each.fingerprint,
            hyperparameters=_written(each.hyperparameters),
            action=action,
            before=self.past.version(exact) if exact else None,
            cost=cost_of(action, each, self.pricing),
        )

    def _step(self, exact: ObservedModel | None) -> Action:
        if exact is None:
            return Action.CREATE
        if exact.state.is_running:
            return Action.WAIT
        if exact.state is ModelState.READY:
            return Action.FAILED if exact.objection else Action.PROMOTE
        attempt = exact.stamp.attempt if exact.stamp else 1
        return Action.RETRY if attempt <= self.want.lifecycle.retry else Action.FAILED

    def _sweep(self, candidates: tuple[Candidate, ...]) -> Sweep:
        evaluation, declared = self.want.evaluation, self.want.sweep
        assert evaluation  # noqa: S101  # a manifest without one is refused before
        assert declared  # noqa: S101  # only a sweep comes here
        return Sweep(
            digest=self.want.sweep_digest,
            metric=evaluation.rules.metric,
            path=evaluation.written,
            examples=evaluation.examples,
            candidates=candidates,
            max_cost_usd=declared.max_cost_usd,
            place=declared.place,
        )

    def _started(self, sweep: Sweep) -> Change:
        latest, was_deleted = self.past.latest, self._was_deleted()
        count = len(sweep.candidates)
        more: dict[str, Any] = {
            "cost": sweep.cost,
            "drift": was_deleted,
            "warnings": tuple(self._warnings(sweep)),
        }
        if latest is None:
            reason = reasons.GONE if was_deleted else ""
            return self._about(Action.CREATE, reasons.choosing(count, reason), sweep, **more)
        tried = {name for candidate in sweep.candidates for name in candidate.hyperparameters}
        tried -= set(_written(self.want.hyperparameters))
        # What is tried differs between the candidates, and stands there.
        there = {
            f"hyperparameters.{name}" for name in tried | (_RATES if tried & _RATES else set())
        }
        fields = tuple(f for f in fixed_fields(self.want, latest) if f.path not in there)
        dataset = self._dataset(latest)
        reason = reasons.GONE if was_deleted else reasons.differing(fields, dataset)
        more |= {"before": self.past.version(latest), "fields": fields, "dataset": dataset}
        return self._about(Action.REPLACE, reasons.choosing(count, reason), sweep, **more)

    def _warnings(self, sweep: Sweep) -> Iterator[str]:
        started = [each for each in sweep.candidates if each.action.trains]
        if any(each.before and each.before.state is ModelState.CANCELLED for each in started):
            yield reasons.WAS_CANCELLED
        if any(each.cost and each.cost.usd is None and not each.cost.epochs for each in started):
            yield reasons.UNBOUNDED

    def _given_up(self, sweep: Sweep, first: ObservedModel | None) -> Change:
        attempt = first.stamp.attempt if first and first.stamp else 1
        words = reasons.given_up(first, attempt) if first else ""
        reason = reasons.all_failed(len(sweep.candidates), words)
        change = self._about(Action.FAILED, reason, sweep, cure=reasons.raise_retry(attempt))
        return change.model_copy(update={"retires": (), "gate": None})

    def _about(self, action: Action, reason: str, sweep: Sweep, **more: Any) -> Change:  # noqa: ANN401  # fields of Change
        return Change(
            name=self.want.name,
            action=action,
            reason=reason,
            after=wanted(self.want, self.want.model_id),
            gate=self._gate,
            sweep=sweep,
            retires=self._retires(),
            **more,
        )

    def _declared_ids(self) -> Collection[str]:
        return [each.model_id for each in self.want.candidates]


_RATES = {"learningRate", "learningRateMultiplier"}


def _written(hyperparameters: Hyperparameters) -> dict[str, Any]:
    return hyperparameters.model_dump(exclude_none=True, by_alias=True)


# FOLDED
# Which candidate a sweep chose: the marks on the live models say so, and nothing else. Pure.
#
# As long as no ready version bears the mark of the declared sweep, the sweep is open: all its
# candidates are trained and scored, and one is chosen. From then on that candidate is the
# declared version, and the sweep is history: what lost is never trained again.
def chosen(want: Desired, live: Sequence[ObservedModel]) -> Desired:
    """Return the candidate that its sweep chose among `live`, or `want` as it is.

    `live` are our versions of its name. Of several the newest promoted counts.
    """
    if want.sweep is None:
        return want
    winners = {
        model.fingerprint: model
        for model in sorted(live, key=_when)
        if model.state is ModelState.READY
        and model.provider == want.provider
        and model.stamp
        and model.stamp.was_chosen_by(want.sweep_digest)
    }
    found = [each for each in want.candidates if each.fingerprint in winners]
    if not found:
        return want
    winner = max(found, key=lambda each: _when(winners[each.fingerprint]))
    return replace(winner, chosen_by=want.sweep_digest)


def resolved(
    wants: Iterable[Desired], observed: Iterable[ObservedModel], project: str
) -> list[Desired]:
    """Return what is declared, with the chosen candidate in place of every sweep that has one."""
    live: dict[str, list[ObservedModel]] = {}
    for model in observed:
        if model.stamp and model.stamp.project == project:
            live.setdefault(model.stamp.name, []).append(model)
    return [chosen(want, live.get(want.name, ())) for want in wants]


def others(want: Desired, live: Sequence[ObservedModel]) -> list[ObservedModel]:
    """Return the versions that are no mere candidates: former ones, and what is outdated.

    A candidate that served once is both.
    """
    fingerprints = {each.fingerprint for each in want.candidates}
    return [
        model
        for model in live
        if model.promoted
        or model.provider != want.provider
        or model.fingerprint not in fingerprints
    ]


def _when(model: ObservedModel) -> tuple[bool, float, str]:
    return (
        model.promoted is not None,
        model.promoted.timestamp() if model.promoted else 0.0,
        model.model_id,
    )
