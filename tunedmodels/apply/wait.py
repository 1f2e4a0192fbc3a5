"""Wait for jobs: one poller per provider asks for all of them at once.

A deadline of the run is not a failure of the job: the job continues at the service, and the next
run continues to wait for it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tunedmodels.aio import gather, in_background
from tunedmodels.apply.clock import Clock
from tunedmodels.apply.signals import StopSignal
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
from tunedmodels.observed import LossPoint, ModelState, ObservedModel
from tunedmodels.plan.plan import Action, Change
from tunedmodels.providers.provider import Provider


@dataclass(frozen=True, slots=True)
class PollInterval:
    """The time between two polls: a tenth of the time waited so far, within two bounds.

    The end of a job is therefore noticed with a delay of at most a tenth of its duration.
    """

    min_s: float
    max_s: float

    def delay_s(self, waited_s: float) -> float:
        """Return the seconds until the next poll, after `waited_s` seconds of waiting."""
        return min(max(self.min_s, waited_s / 10), self.max_s)


LOCAL_INTERVAL: Final = PollInterval(min_s=0.1, max_s=1.0)
HOSTED_INTERVAL: Final = PollInterval(min_s=5.0, max_s=30.0)
#: The intervals by provider; all other providers have HOSTED_INTERVAL.
POLL_INTERVALS: Final[Mapping[str, PollInterval]] = MappingProxyType({"embedded": LOCAL_INTERVAL})


_Result = ObservedModel | Failed | StillRunning


@dataclass(slots=True)
class _Job:
    """A job that a change waits for."""

    change: Change
    model_id: str
    waiting_since_s: float
    deadline_s: float
    result: asyncio.Future[_Result]
    #: State, step and phase of the last `Progressed` event.
    reported: tuple[ModelState, int, str] | None = None
    #: The points of its curve that were received so far.
    curve: tuple[LossPoint, ...] = ()

    def extend_curve(self, model: ObservedModel) -> None:
        """Add the points of an observation: all of a short curve, the last one of a long curve."""
        if self.curve and model.has_partial_curve:
            last = self.curve[-1].step
            self.curve += tuple(point for point in model.curve if point.step > last)
        else:
            self.curve = model.curve

    def finish(self, result: _Result) -> None:
        """Set the result, unless there is one."""
        if not self.result.done():
            self.result.set_result(result)

    def fail(self, message: str) -> None:
        """Set a failure as the result."""
        cure = "To see what the next apply would do about it, run `tunedmodels plan`."
        self.finish(Failed(self.change.name, self.model_id, self.change.action, message, cure=cure))


class JobPoller:
    """Polls one provider for all jobs that changes wait for, and gives each its result."""

    def __init__(
        self,
        provider: Provider,
        interval: PollInterval,
        *,
        clock: Clock,
        emit: Callable[[Event], None],
    ) -> None:
        self._provider = provider
        self._interval = interval
        self._clock = clock
        self._emit = emit
        self._jobs: dict[str, _Job] = {}
        self._has_jobs = asyncio.Event()
        self._is_unavailable = False  # the last poll failed with a temporary error
        self._is_closed = False

    async def wait_until_ended(
        self, change: Change, model_id: str, deadline_s: float
    ) -> ObservedModel | Failed | StillRunning:
        """Wait for a job. Return the model when it is READY, else the final event of the change.

        `deadline_s` is a time of the clock's `elapsed`. Raises what the provider raises, except
        for temporary errors, which only cost time.
        """
        if self._is_closed:
            return still_running(change, model_id, self._provider)
        result: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._jobs[model_id] = _Job(change, model_id, self._clock.elapsed(), deadline_s, result)
        self._has_jobs.set()
        try:
            return await result
        finally:
            del self._jobs[model_id]
            if not self._jobs:
                self._has_jobs.clear()

    def close(self) -> None:
        """Stop waiting: every job, including later ones, is reported as still running."""
        self._is_closed = True
        for job in self._jobs.values():
            job.finish(still_running(job.change, job.model_id, self._provider))

    async def poll(self) -> None:
        """Poll while changes wait for jobs, until the task is cancelled."""
        while True:
            await self._has_jobs.wait()
            await self._poll_once()
            await self._clock.sleep(self._delay_s())

    async def _poll_once(self) -> None:
        jobs = list(self._jobs.values())
        try:
            models = await self._fetch(jobs)
        except (UnavailableError, RateLimitedError) as error:
            if not self._is_unavailable:
                self._emit(Retried("observe", 1, self._delay_s(), error.message))
            self._is_unavailable = True
        except Exception as error:  # noqa: BLE001  # passed on: each waiting change reports it
            for job in jobs:
                if not job.result.done():
                    job.result.set_exception(error)
        else:
            self._is_unavailable = False
            for job in jobs:
                self._update(job, models.get(job.model_id))
        for job in jobs:
            if self._clock.elapsed() >= job.deadline_s:
                reason = "the time limit was reached"
                job.finish(still_running(job.change, job.model_id, self._provider, reason))

    async def _fetch(self, jobs: list[_Job]) -> dict[str, ObservedModel]:
        """Return the live models of `jobs` by id, without those that were deleted."""
        listed = {m.model_id: m for m in await self._provider.observe()} if len(jobs) > 1 else {}
        models = {}
        for job in jobs:
            model = listed.get(job.model_id)
            # Only `get` returns why a job failed, and a new model may not be listed yet.
            if model is None or model.state is ModelState.FAILED:
                model = await self._provider.get(job.model_id)
            if model is not None:
                models[job.model_id] = model
        return models

    def _update(self, job: _Job, model: ObservedModel | None) -> None:
        if model is None:
            job.fail("the model was deleted while it was training")
            return
        progress = model.state, model.step, model.job_phase
        if job.reported != progress:
            job.reported = progress
            job.extend_curve(model)
            self._emit(_progressed(job.change.name, model, job.curve))
        match model.state:
            case ModelState.READY:
                job.finish(model)
            case ModelState.FAILED:
                job.fail(model.failure or "the job failed without a reason from the service")
            case ModelState.CANCELLED:
                job.fail("the job was cancelled while it was training")
            case ModelState.QUEUED | ModelState.TRAINING:
                pass

    def _delay_s(self) -> float:
        now = self._clock.elapsed()
        jobs = self._jobs.values()
        newest_s = max((job.waiting_since_s for job in jobs), default=now)
        delay_s = self._interval.delay_s(now - newest_s)
        return max(0.0, min([delay_s, *(job.deadline_s - now for job in jobs)]))


def job_pollers(
    providers: Mapping[str, Provider],
    poll_intervals: Mapping[str, PollInterval],
    *,
    clock: Clock,
    emit: Callable[[Event], None],
) -> dict[str, JobPoller]:
    """Return one poller per provider, by its name."""
    return {
        name: JobPoller(provider, poll_intervals.get(name, HOSTED_INTERVAL), clock=clock, emit=emit)
        for name, provider in providers.items()
    }


@asynccontextmanager
async def polling(
    pollers: Collection[JobPoller], stop: StopSignal, emit: Callable[[Event], None]
) -> AsyncIterator[None]:
    """Run the pollers while the block runs; a stop request closes them."""

    async def close_on_stop() -> None:
        await stop.wait()
        emit(Interrupted())
        for poller in pollers:
            poller.close()

    async with in_background([*(poller.poll() for poller in pollers), close_on_stop()]):
        yield


async def watch_jobs(
    jobs: Sequence[ObservedModel],
    *,
    providers: Mapping[str, Provider],
    emit: Callable[[Event], None],
    clock: Clock,
    stop: StopSignal,
    timeout_s: float | None = None,
    poll_intervals: Mapping[str, PollInterval] = POLL_INTERVALS,
) -> Outcome:
    """Wait for jobs that an earlier run created, without changing anything.

    Return the final event of each. `timeout_s` counts from now. After it, and after an interrupt,
    the jobs continue.
    """
    deadline_s = math.inf if timeout_s is None else clock.elapsed() + timeout_s
    endings: list[Ending] = []
    of_jobs = {name: providers[name] for name in {job.provider for job in jobs}}
    pollers = job_pollers(of_jobs, poll_intervals, clock=clock, emit=emit)

    async def watch(job: ObservedModel) -> None:
        name = job.stamp.name if job.stamp else job.model_id
        change = Change(name=name, action=Action.WAIT, reason="its job is running")
        ending: Ending
        try:
            result = await pollers[job.provider].wait_until_ended(change, job.model_id, deadline_s)
        except TunedModelsError as error:
            ending = Failed(name, job.model_id, Action.WAIT, error.message, error.cure)
        else:
            if isinstance(result, ObservedModel):
                ending = Succeeded(name, job.model_id, Action.WAIT)
            else:
                ending = result
        endings.append(ending)
        emit(ending)

    async with polling(pollers.values(), stop, emit):
        await gather(watch(job) for job in jobs)
    return Outcome(tuple(endings), interrupted=stop.is_set)


def still_running(
    change: Change, model_id: str, provider: Provider, reason: str = ""
) -> StillRunning:
    """Return the final event of a change whose job continues, with where it continues."""
    message = "continues at the service"
    if provider.is_in_process:
        message = "goes on from its checkpoint with the next apply, watch or serve"
    return StillRunning(change.name, model_id, f"{reason}; {message}" if reason else message)


def _progressed(name: str, model: ObservedModel, curve: tuple[LossPoint, ...]) -> Progressed:
    return Progressed(
        name=name,
        model_id=model.model_id,
        state=model.state,
        step=model.step,
        total_steps=model.total_steps,
        epoch=model.curve[-1].epoch if model.curve else 0,
        curve=curve,
        phase=model.job_phase,
    )
