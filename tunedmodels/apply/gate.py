"""Evaluate versions for their gate while a plan is executed.

An evaluation takes minutes and changes nothing at the service, so it does not occupy a request
slot, and an interrupt or the deadline of the run cancels it. The serving version is unaffected.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from dataclasses import replace
from typing import Final, TypeVar

from tunedmodels.apply.context import ApplyContext, GateResult, StopRequestedError
from tunedmodels.desired import Desired
from tunedmodels.events import Evaluating, Judged
from tunedmodels.observed import ObservedModel
from tunedmodels.plan.plan import Change

T = TypeVar("T")

DEADLINE_MESSAGE: Final = (
    "the time limit was reached; the next apply asks only the remaining questions"
)


class DeadlineExceededError(Exception):
    """The deadline of the run passed before all questions were answered."""


async def evaluate_gate(
    context: ApplyContext,
    change: Change,
    declared: Desired,
    version: ObservedModel,
    baseline: ObservedModel | None,
) -> GateResult:
    """Evaluate a ready version for its gate, and emit its progress and the decision.

    Raises StopRequestedError after an interrupt, and DeadlineExceededError after the deadline.
    """
    result = await _evaluate(context, change, declared, version, baseline)
    context.emit(
        Judged(change.name, version.model_id, result.decision, result.score, result.message)
    )
    return result


async def score(
    context: ApplyContext, change: Change, declared: Desired, version: ObservedModel
) -> GateResult:
    """Score a ready version without the thresholds of its gate; raises as `evaluate_gate` does."""
    evaluation = declared.evaluation.without_thresholds if declared.evaluation else None
    return await _evaluate(context, change, replace(declared, evaluation=evaluation), version, None)


async def _evaluate(
    context: ApplyContext,
    change: Change,
    declared: Desired,
    version: ObservedModel,
    baseline: ObservedModel | None,
) -> GateResult:
    def on_progress(done: int, total: int) -> None:
        context.emit(Evaluating(change.name, version.model_id, done, total))

    examples = declared.evaluation.examples if declared.evaluation else 0
    on_progress(0, examples * (2 if baseline else 1))
    check = context.check_gate(declared, version, baseline, on_progress)
    return await _unless_stopped(context, check)


async def _unless_stopped(context: ApplyContext, work: Coroutine[object, object, T]) -> T:
    """Return the result of `work`; a stop request or the deadline cancels it."""
    task = asyncio.ensure_future(work)
    limits = [
        asyncio.ensure_future(context.stop.wait()),
        asyncio.ensure_future(_wait_for_deadline(context)),
    ]
    try:
        await asyncio.wait({task, *limits}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in (task, *limits):
            future.cancel()
        await asyncio.gather(task, *limits, return_exceptions=True)
    if not task.cancelled():
        return task.result()
    if context.stop.is_set:
        raise StopRequestedError("interrupted during the evaluation; the answers so far are kept")
    raise DeadlineExceededError


async def _wait_for_deadline(context: ApplyContext) -> None:
    if math.isinf(context.deadline_s):
        await asyncio.Event().wait()
    await context.clock.sleep(max(0.0, context.deadline_s - context.clock.elapsed()))
