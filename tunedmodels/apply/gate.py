"""The gate of a version, while a plan is carried out: asked at most once, and never in the way.

Judging takes minutes and changes nothing at the service. So it holds no place among the starts, it
gives way to an interrupt, and what serves goes on serving meanwhile.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from dataclasses import replace
from typing import Final, TypeVar

from tunedmodels.apply.context import HaltedError, Judgement, Run
from tunedmodels.desired import Desired
from tunedmodels.events import Evaluating, Judged
from tunedmodels.observed import ObservedModel
from tunedmodels.plan.plan import Change

T = TypeVar("T")


OVERTIME: Final = "the time to wait is over; the next apply asks only what is left"


class OvertimeError(Exception):
    """The time to wait was over before all was answered."""


async def judge(
    run: Run,
    change: Change,
    declared: Desired,
    version: ObservedModel,
    rival: ObservedModel | None,
) -> Judgement:
    """Have a ready version judged, and tell how far it is and what came of it.

    Raises HaltedError after an interrupt, and OvertimeError when the time to wait is over.
    """
    judgement = await _asked(run, change, declared, version, rival)
    said = (judgement.decision, judgement.score, judgement.words)
    run.emit(Judged(change.name, version.model_id, *said))
    return judgement


async def score(run: Run, change: Change, declared: Desired, version: ObservedModel) -> Judgement:
    """Have a ready version scored, whatever its gate would say; raises as `judge` does."""
    measure = declared.evaluation.measure if declared.evaluation else None
    return await _asked(run, change, replace(declared, evaluation=measure), version, None)


async def _asked(
    run: Run,
    change: Change,
    declared: Desired,
    version: ObservedModel,
    rival: ObservedModel | None,
) -> Judgement:
    def tell(done: int, total: int) -> None:
        run.emit(Evaluating(change.name, version.model_id, done, total))

    asked = declared.evaluation.examples if declared.evaluation else 0
    tell(0, asked * (2 if rival else 1))
    return await _unless_stopped(run, run.judge(declared, version, rival, tell))


async def _unless_stopped(run: Run, work: Coroutine[object, object, T]) -> T:
    """Return what `work` returns; an interrupt or the end of the time cancels it."""
    task = asyncio.ensure_future(work)
    limits = [asyncio.ensure_future(run.stop.wait()), asyncio.ensure_future(_overtime(run))]
    try:
        await asyncio.wait({task, *limits}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in (task, *limits):
            each.cancel()
        await asyncio.gather(task, *limits, return_exceptions=True)
    if not task.cancelled():
        return task.result()
    if run.stop.requested:
        raise HaltedError("interrupted before all was answered; what was answered is kept")
    raise OvertimeError


async def _overtime(run: Run) -> None:
    if math.isinf(run.deadline_s):
        await asyncio.Event().wait()
    await run.clock.sleep(max(0.0, run.deadline_s - run.clock.elapsed()))
