"""Execute a sweep: train and score every candidate, then promote the best one.

Candidates run concurrently and do not affect each other. The result of each is written to its stamp
at once, so that any later run can continue a sweep that was interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tunedmodels.aio import gather
from tunedmodels.apply import preconditions, promote, remove
from tunedmodels.apply.context import ApplyContext, event_key, outcome_of
from tunedmodels.apply.gate import DEADLINE_MESSAGE, DeadlineExceededError, score
from tunedmodels.apply.train import train
from tunedmodels.desired import Desired
from tunedmodels.errors import RefusedError
from tunedmodels.events import (
    Chosen,
    Ending,
    Failed,
    Refused,
    Rejected,
    Skipped,
    Started,
    StillRunning,
    Succeeded,
    Tried,
)
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import Action, Change, DesiredVersion, PlannedSweep
from tunedmodels.plan.reasons import raise_retry
from tunedmodels.plan.sweep import sweep_winner
from tunedmodels.providers.provider import Edit


@dataclass(frozen=True, slots=True)
class _Result:
    """The result of a candidate that has ended."""

    #: The score from 0 to 1; None when the candidate failed and may not be retried.
    value: float | None = None


_CandidateOutcome = _Result | Skipped | Refused | Failed | StillRunning


async def sweep(context: ApplyContext, change: Change) -> Ending:
    """Train and score the planned candidates, choose the best and promote it if its gate allows it.

    While a candidate has no result, none is chosen: its final event is returned, and those of
    further such candidates are emitted.
    """
    trials = _trials(context, change)
    versions = await context.observe_versions(change.name)
    winner = sweep_winner(context.desired[change.name], versions)
    for trial in trials:
        # Another run finished the sweep: the losers are deleted and must not be trained again.
        if winner.chosen_by_sweep and trial.planned.fingerprint == winner.fingerprint:
            return await trial.promote(change, _without(trial, trials))
    outcomes = await gather(trial.run() for trial in trials)
    unfinished = [outcome for outcome in outcomes if not isinstance(outcome, _Result)]
    for ending in unfinished[1:]:
        context.emit(ending)
    if unfinished:
        return unfinished[0]
    return await _choose(context, change, dict(zip(trials, outcomes, strict=True)))


async def _choose(
    context: ApplyContext, change: Change, outcomes: Mapping[_Trial, _CandidateOutcome]
) -> Ending:
    values = {
        trial: outcome.value
        for trial, outcome in outcomes.items()
        if isinstance(outcome, _Result) and outcome.value is not None
    }
    if not values:
        attempts = max([await trial.attempts() for trial in outcomes])
        message = f"none of the {len(outcomes)} candidates of its sweep could be trained"
        return Failed(*event_key(change), message, raise_retry(attempts))
    best = max(values, key=values.__getitem__)  # of equal scores max returns the first declared
    failed = len(outcomes) - len(values)
    message = f"the best of {len(values)} candidates"
    message += f"; {failed} more could not be trained" if failed else ""
    context.emit(Chosen(change.name, best.planned.model_id, f"{values[best]:.3f}", message))
    return await best.promote(change, _without(best, outcomes))


def _without(excluded: _Trial, trials: Iterable[_Trial]) -> list[_Trial]:
    return [trial for trial in trials if trial is not excluded]


def _trials(context: ApplyContext, change: Change) -> list[_Trial]:
    declared, shared = preconditions.require_still_declared(change, context.desired)
    planned_sweep = change.sweep
    if planned_sweep is None or declared.sweep_digest != planned_sweep.digest:
        raise RefusedError(
            f"the sweep of {change.name} changed since the plan", cure=preconditions.REPLAN_CURE
        )
    by_fingerprint = {candidate.fingerprint: candidate for candidate in declared.candidates}
    trials = []
    for candidate in planned_sweep.candidates:
        planned = planned_sweep.desired_version(shared, candidate)
        own_change = change.model_copy(
            update={
                "action": candidate.action,
                "before": candidate.before,
                "after": planned,
                "retires": (),
            }
        )
        desired = by_fingerprint[candidate.fingerprint]
        trials.append(_Trial(context, planned_sweep, desired, own_change, planned))
    return trials


@dataclass(frozen=True, eq=False, slots=True)
class _Trial:
    """The training and the score of one candidate."""

    context: ApplyContext
    sweep: PlannedSweep
    declared: Desired
    #: The part of the planned change that concerns this candidate alone.
    change: Change
    planned: DesiredVersion

    async def run(self) -> _CandidateOutcome:
        """Train and score the candidate; an error becomes its own final event."""
        return await outcome_of(event_key(self.change), self._train_and_score())

    async def _train_and_score(self) -> _Result | Failed | StillRunning:
        if self.change.action is Action.FAILED:
            return _Result()
        self.context.emit(Started(*event_key(self.change), candidate=True))
        result = await train(self.context, self.change, self.declared, self.planned)
        if isinstance(result, Failed) and await self._cannot_retry():
            self.context.emit(Tried(self.change.name, self.planned.model_id, "", result.words))
            return _Result()
        return await self._score(result) if isinstance(result, ObservedModel) else result

    async def attempts(self) -> int:
        """Return how often the candidate was trained so far."""
        model = await self._get()
        return model.stamp.attempt if model and model.stamp else 1

    async def _get(self) -> ObservedModel | None:
        return await self.context.get(self.planned.provider, self.planned.model_id)

    async def _cannot_retry(self) -> bool:
        """Whether no retry is left; a version that was deleted meanwhile may be trained again."""
        model = await self._get()
        if model is None or model.state.is_running:
            return False
        attempt = preconditions.require_stamp(model).attempt
        if model.state is ModelState.READY:
            return bool(model.blocked_reason)
        return attempt > self.declared.lifecycle.retry

    async def _score(self, model: ObservedModel) -> _Result | StillRunning:
        """Return the score that this sweep wrote to the stamp, or a new one."""
        stamp = preconditions.require_stamp(model)
        known = _parse_score(stamp.score) if stamp.scored_by_sweep == self.sweep.digest else None
        if known is not None:
            return _Result(known)
        try:
            result = await score(self.context, self.change, self.declared, model)
        except DeadlineExceededError:
            return StillRunning(self.change.name, self.planned.model_id, DEADLINE_MESSAGE)
        await self._write_score(result.score)
        self.context.emit(
            Tried(self.change.name, self.planned.model_id, result.score, result.message)
        )
        return _Result(_parse_score(result.score))

    async def _write_score(self, new_score: str) -> None:
        async def write() -> None:
            model = await self._get()
            if model is None or model.state is not ModelState.READY:
                raise RefusedError(
                    f"{self.planned.model_id} is no longer ready", cure=preconditions.REPLAN_CURE
                )
            preconditions.require_same_version(
                model, self.planned, self.context.ownership, self.change.name
            )
            stamp = replace(
                preconditions.require_stamp(model),
                score=new_score,
                scored_by_sweep=self.sweep.digest,
            )
            await self.context.update("score", self.change.name, model, Edit.of_stamp(model, stamp))

        async with self.context.request_slots:
            await self.context.decide_again(write)

    async def promote(self, sweep_change: Change, losers: Sequence[_Trial]) -> Ending:
        """Promote the candidate if its gate allows it, then delete losers and retired versions."""
        context = self.context
        has_served = bool(self.change.before and self.change.before.promoted)
        gate = None if has_served else sweep_change.gate  # a former serving version needs no gate
        change = self.change.model_copy(update={"action": sweep_change.action, "gate": gate})
        ending = await promote.promote(context, change, self.declared, self.planned)
        if not isinstance(ending, Succeeded | Rejected):
            return ending
        async with context.request_slots:
            for loser in losers:
                await remove.discard(context, change, loser.planned)
            # If a former version wins, `keep` covers others than planned; the next plan decides.
            is_as_planned = isinstance(ending, Succeeded) and not has_served
            for version in sweep_change.retires if is_as_planned else ():
                await remove.retire(context, change, version, self.planned)
        return ending


def _parse_score(score: str) -> float | None:
    """Return the value of a score in the form of a stamp; None if it is not a finite number.

    Stamps can be edited by other users of the service.
    """
    try:
        value = float(score.partition(":")[2])
    except ValueError:
        return None
    return value if math.isfinite(value) else None
