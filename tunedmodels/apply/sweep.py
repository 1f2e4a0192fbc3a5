"""A sweep, while a plan is carried out: every candidate trained and scored, the best one promoted.

Candidates go side by side, and none of them waits for another or stops it. What is known of each
is written on it at once, so that a run which ends at any moment is gone on with by any other.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tunedmodels.aio import first
from tunedmodels.apply import preconditions, promote, remove
from tunedmodels.apply.context import Run, about, ending_of
from tunedmodels.apply.gate import OVERTIME, OvertimeError, score
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
from tunedmodels.plan.plan import Action, Change, Sweep, Wanted
from tunedmodels.plan.reasons import raise_retry
from tunedmodels.plan.sweep import chosen
from tunedmodels.providers.provider import Edit


@dataclass(frozen=True, slots=True)
class _Result:
    """A candidate came to its end; `value` is its score from 0 to 1, None where it is given up."""

    value: float | None = None


_Outcome = _Result | Skipped | Refused | Failed | StillRunning


async def sweep(run: Run, change: Change) -> Ending:
    """Train and score what the plan lists, choose the best, and let it serve if its gate lets it.

    Where a candidate has not come to its end, nothing is chosen: its last word is returned, and
    those of others like it are emitted.
    """
    trials = _trials(run, change)
    over = chosen(run.desired[change.name], await run.versions(change.name))
    for trial in trials:
        # Another run was quicker: what lost is gone, and must not be trained once more.
        if over.chosen_by and trial.wanted.fingerprint == over.fingerprint:
            return await trial.win(change, _without(trial, trials))
    ended = await _all(trials)
    open_ = [each for each in ended if not isinstance(each, _Result)]
    for each in open_[1:]:
        run.emit(each)
    return open_[0] if open_ else await _choice(run, change, dict(zip(trials, ended, strict=True)))


async def _all(trials: Sequence[_Trial]) -> list[_Outcome]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(trial.outcome()) for trial in trials]
    except BaseExceptionGroup as errors:
        raise first(errors) from errors
    return [task.result() for task in tasks]


async def _choice(run: Run, change: Change, results: Mapping[_Trial, _Outcome]) -> Ending:
    values = {
        trial: result.value
        for trial, result in results.items()
        if isinstance(result, _Result) and result.value is not None
    }
    if not values:
        attempts = max([await trial.attempts() for trial in results])
        words = f"none of the {len(results)} candidates of its sweep could be trained"
        return Failed(*about(change), words, raise_retry(attempts))
    best = max(values, key=values.__getitem__)  # of equal ones max returns the first declared
    given_up = len(results) - len(values)
    words = f"the best of {len(values)} candidates"
    words += f"; {given_up} more could not be trained" if given_up else ""
    run.emit(Chosen(change.name, best.wanted.model_id, f"{values[best]:.3f}", words))
    return await best.win(change, _without(best, results))


def _without(best: _Trial, trials: Iterable[_Trial]) -> list[_Trial]:
    return [trial for trial in trials if trial is not best]


def _trials(run: Run, change: Change) -> list[_Trial]:
    declared, shared = preconditions.still_declared(change, run.desired)
    planned = change.sweep
    if planned is None or declared.sweep_digest != planned.digest:
        raise RefusedError(
            f"the sweep of {change.name} changed since the plan", cure=preconditions.CURE
        )
    wants = {each.fingerprint: each for each in declared.candidates}
    return [
        _Trial(
            run,
            planned,
            wants[each.fingerprint],
            change.model_copy(
                update={
                    "action": each.action,
                    "before": each.before,
                    "after": planned.wanted(shared, each),
                    "retires": (),
                }
            ),
            planned.wanted(shared, each),
        )
        for each in planned.candidates
    ]


@dataclass(frozen=True, eq=False, slots=True)
class _Trial:
    """One candidate: `change` is the part of the plan that is about it alone."""

    run: Run
    sweep: Sweep
    declared: Desired
    change: Change
    wanted: Wanted

    async def outcome(self) -> _Outcome:
        """Train and score it; an error here is the last word on it alone."""
        return await ending_of(about(self.change), self._tried())

    async def _tried(self) -> _Result | Failed | StillRunning:
        if self.change.action is Action.FAILED:
            return _Result()
        self.run.emit(Started(*about(self.change), candidate=True))
        ended = await train(self.run, self.change, self.declared, self.wanted)
        if isinstance(ended, Failed) and await self._is_given_up():
            said = (self.change.name, self.wanted.model_id)
            self.run.emit(Tried(*said, "", ended.words))
            return _Result()
        return await self._scored(ended) if isinstance(ended, ObservedModel) else ended

    async def attempts(self) -> int:
        """Return how often it was tried so far."""
        live = await self.run.provider(self.wanted.provider).get(self.wanted.model_id)
        return live.stamp.attempt if live and live.stamp else 1

    async def _is_given_up(self) -> bool:
        """Whether nothing can be done for it; what was deleted meanwhile may be tried again."""
        live = await self.run.provider(self.wanted.provider).get(self.wanted.model_id)
        if live is None or live.state.is_running:
            return False
        is_used_up = preconditions.stamped(live).attempt > self.declared.lifecycle.retry
        return bool(live.objection) if live.state is ModelState.READY else is_used_up

    async def _scored(self, live: ObservedModel) -> _Result | StillRunning:
        """Return its score: the one that it bears from this very sweep, or what it reaches now."""
        stamp = preconditions.stamped(live)
        known = _value(stamp.score) if stamp.tried == self.sweep.digest else None
        if known is not None:
            return _Result(known)
        try:
            judgement = await score(self.run, self.change, self.declared, live)
        except OvertimeError:
            return StillRunning(self.change.name, self.wanted.model_id, OVERTIME)
        await self._write(judgement.score)
        said = (self.change.name, self.wanted.model_id)
        self.run.emit(Tried(*said, judgement.score, judgement.words))
        return _Result(_value(judgement.score))

    async def _write(self, reached: str) -> None:
        provider = self.run.provider(self.wanted.provider)
        async with self.run.starts:
            live = await provider.get(self.wanted.model_id)
            if live is None or live.state is not ModelState.READY:
                raise RefusedError(
                    f"{self.wanted.model_id} is not ready any more", cure=preconditions.CURE
                )
            preconditions.exact(live, self.wanted, self.run.project, self.change.name)
            stamp = replace(preconditions.stamped(live), score=reached, tried=self.sweep.digest)
            edit = Edit(description=live.description, stamp=stamp)
            said = (self.change.name, live.model_id)
            await self.run.send("score", *said, lambda: provider.update(live.model_id, edit))

    async def win(self, planned: Change, losers: Sequence[_Trial]) -> Ending:
        """Let it serve if its gate lets it; only then the others go, and what is beyond `keep`."""
        run, served = self.run, self.change.before and self.change.before.promoted
        gate = None if served else planned.gate  # whoever served before is past its gate
        change = self.change.model_copy(update={"action": planned.action, "gate": gate})
        ending = await promote.promote(run, change, self.declared, self.wanted)
        if not isinstance(ending, Succeeded | Rejected):
            return ending
        async with run.starts:
            for loser in losers:
                await remove.discard(run, change, loser.wanted)
            # Where a former version wins, `keep` covers others than planned: the next plan knows.
            for version in () if served or isinstance(ending, Rejected) else planned.retires:
                await remove.retire(run, change, version, self.wanted)
        return ending


def _value(score: str) -> float | None:
    """Read a score as a stamp holds it; None for what is none, as anybody can write there."""
    try:
        value = float(score.partition(":")[2])
    except ValueError:
        return None
    return value if math.isfinite(value) else None
