"""Waiting for jobs: one watcher per provider asks for all of them at once.

A deadline of ours is never a failure of the job: it goes on at the service, and the next run goes
on waiting.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tunedmodels.apply.clock import Clock
from tunedmodels.apply.signals import Stop
from tunedmodels.errors import RateLimitedError, TunedModelsError, UnavailableError
from tunedmodels.events import (
    Ending,
    Event,
    Failed,
    Interrupted,
    Outcome,
    Progressed,
    Retried,
    StillRunning,
    Succeeded,
)
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import Action, Change
from tunedmodels.providers.provider import Provider


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a service is asked: every `first_s` seconds at the beginning, `most_s` at last.

    In between it is a tenth of the time waited so far, so that news is late by a tenth at most.
    """

    first_s: float
    most_s: float

    def pause(self, waited_s: float) -> float:
        """Return the seconds until the next question, after `waited_s` seconds of waiting."""
        return min(max(self.first_s, waited_s / 10), self.most_s)


LOCAL: Final = Pace(first_s=0.1, most_s=1.0)
HOSTED: Final = Pace(first_s=5.0, most_s=30.0)
PACES: Final[Mapping[str, Pace]] = MappingProxyType({"embedded": LOCAL})  # all others are HOSTED


_Ended = ObservedModel | Failed | StillRunning


@dataclass(slots=True)
class _Job:
    change: Change
    model_id: str
    since_s: float
    deadline_s: float
    ended: asyncio.Future[_Ended]
    seen: tuple[ModelState, int, str] | None = None


class Watcher:
    """Asks one provider about all jobs that somebody waits for, and tells each how it ended."""

    def __init__(
        self, provider: Provider, pace: Pace, *, clock: Clock, emit: Callable[[Event], None]
    ) -> None:
        self._provider = provider
        self._pace = pace
        self._clock = clock
        self._emit = emit
        self._jobs: dict[str, _Job] = {}
        self._has_jobs = asyncio.Event()
        self._is_away = False  # the service did not answer the last question
        self._is_closed = False

    async def until_ended(
        self, change: Change, model_id: str, deadline_s: float
    ) -> ObservedModel | Failed | StillRunning:
        """Wait for a job. Return the model once it is READY, else the last word on the change.

        `deadline_s` is a moment of the clock's `elapsed`. Raises what the provider raises, except
        for outages that pass: those only cost time.
        """
        if self._is_closed:
            return still_running(change, model_id, self._provider)
        ended: asyncio.Future[_Ended] = asyncio.get_running_loop().create_future()
        self._jobs[model_id] = _Job(change, model_id, self._clock.elapsed(), deadline_s, ended)
        self._has_jobs.set()
        try:
            return await ended
        finally:
            del self._jobs[model_id]
            if not self._jobs:
                self._has_jobs.clear()

    def close(self) -> None:
        """Wait no longer: every job, also a later one, is reported as still running."""
        self._is_closed = True
        for job in self._jobs.values():
            _tell(job, still_running(job.change, job.model_id, self._provider))

    async def watch(self) -> None:
        """Ask for ever, as long as somebody waits; ended by cancelling it."""
        while True:
            await self._has_jobs.wait()
            await self._look()
            await self._clock.sleep(self._pause())

    async def _look(self) -> None:
        jobs = list(self._jobs.values())
        try:
            models = await self._ask(jobs)
        except (UnavailableError, RateLimitedError) as error:
            if not self._is_away:
                self._emit(Retried("observe", 1, self._pause(), error.message))
            self._is_away = True
        except Exception as error:  # noqa: BLE001  # handed on: each waiting change reports it
            for job in jobs:
                if not job.ended.done():
                    job.ended.set_exception(error)
        else:
            self._is_away = False
            for job in jobs:
                self._judge(job, models.get(job.model_id))
        for job in jobs:
            if self._clock.elapsed() >= job.deadline_s:
                words = "the time to wait is over"
                _tell(job, still_running(job.change, job.model_id, self._provider, words))

    async def _ask(self, jobs: list[_Job]) -> dict[str, ObservedModel]:
        """Return the live models of `jobs` by id; those that are gone are left out."""
        listed = {m.model_id: m for m in await self._provider.observe()} if len(jobs) > 1 else {}
        models = {}
        for job in jobs:
            model = listed.get(job.model_id)
            # Only `get` knows why a job failed, and what is not listed yet may still be there.
            if model is None or model.state is ModelState.FAILED:
                model = await self._provider.get(job.model_id)
            if model is not None:
                models[job.model_id] = model
        return models

    def _judge(self, job: _Job, model: ObservedModel | None) -> None:
        if model is None:
            _tell(job, _failed(job, "the model was deleted while it was training"))
            return
        seen = model.state, model.step, model.phase
        if job.seen != seen:
            job.seen = seen
            self._emit(_progressed(job.change.name, model))
        match model.state:
            case ModelState.READY:
                _tell(job, model)
            case ModelState.FAILED:
                _tell(job, _failed(job, model.failure or "the job failed, and nobody said why"))
            case ModelState.CANCELLED:
                _tell(job, _failed(job, "the job was cancelled while it was training"))
            case ModelState.QUEUED | ModelState.TRAINING:
                pass

    def _pause(self) -> float:
        now = self._clock.elapsed()
        jobs = self._jobs.values()
        pause = self._pace.pause(now - max((job.since_s for job in jobs), default=now))
        return max(0.0, min([pause, *(job.deadline_s - now for job in jobs)]))


@asynccontextmanager
async def attended(
    watchers: Collection[Watcher], stop: Stop, emit: Callable[[Event], None]
) -> AsyncIterator[None]:
    """Let `watchers` ask while this block runs; once `stop` is requested, nobody waits longer."""

    async def heed() -> None:
        await stop.wait()
        emit(Interrupted())
        for watcher in watchers:
            watcher.close()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(watcher.watch()) for watcher in watchers]
        tasks.append(group.create_task(heed()))
        yield
        for task in tasks:
            task.cancel()


def still_running(change: Change, model_id: str, provider: Provider, why: str = "") -> StillRunning:
    """Say that nobody waits here any more for a job that is not finished, and how it goes on."""
    words = "goes on at the service"
    if provider.trains_here:
        words = "goes on from its checkpoint with the next apply, watch or serve"
    return StillRunning(change.name, model_id, f"{why}; {words}" if why else words)


def _tell(job: _Job, ending: _Ended) -> None:
    if not job.ended.done():
        job.ended.set_result(ending)


def _failed(job: _Job, words: str) -> Failed:
    return Failed(
        job.change.name,
        job.model_id,
        job.change.action,
        words,
        cure="`tunedmodels plan` says what the next apply would do about it.",
    )


def _progressed(name: str, model: ObservedModel) -> Progressed:
    return Progressed(
        name=name,
        model_id=model.model_id,
        state=model.state,
        step=model.step,
        total_steps=model.total_steps,
        epoch=model.curve[-1].epoch if model.curve else 0,
        curve=model.curve,
        phase=model.phase,
    )


# FOLDED
# Watching jobs that an earlier run started: nothing is sent but questions.
async def watch_jobs(
    jobs: Sequence[ObservedModel],
    *,
    providers: Mapping[str, Provider],
    emit: Callable[[Event], None],
    clock: Clock,
    stop: Stop,
    timeout_s: float | None = None,
    paces: Mapping[str, Pace] = PACES,
) -> Outcome:
    """Wait until every job ended, and return the last word on each.

    `timeout_s` counts from now. An interrupt, as the end of the time, leaves the jobs running.
    """
    deadline_s = math.inf if timeout_s is None else clock.elapsed() + timeout_s
    endings: list[Ending] = []
    watchers = {
        name: Watcher(providers[name], paces.get(name, HOSTED), clock=clock, emit=emit)
        for name in {job.provider for job in jobs}
    }

    async def follow(job: ObservedModel) -> None:
        name = job.stamp.name if job.stamp else job.model_id
        change = Change(name=name, action=Action.WAIT, reason="its job is running")
        ending: Ending
        try:
            ended = await watchers[job.provider].until_ended(change, job.model_id, deadline_s)
        except TunedModelsError as error:
            ending = Failed(name, job.model_id, Action.WAIT, error.message, error.cure)
        else:
            if isinstance(ended, ObservedModel):
                ending = Succeeded(name, job.model_id, Action.WAIT)
            else:
                ending = ended
        endings.append(ending)
        emit(ending)

    async with attended(watchers.values(), stop, emit), asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(follow(job))
    return Outcome(tuple(endings), interrupted=stop.requested)
