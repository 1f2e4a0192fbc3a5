"""A process that dies at any moment, followed by `apply`, ends as declared: the law of the room."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.apply_harness import Stage, want
from tests.support.builders import live
from tunedmodels.desired import Desired
from tunedmodels.errors import Exit
from tunedmodels.events import Event, Sending, Sent
from tunedmodels.observed import ModelState
from tunedmodels.schema.tuned_model import Lifecycle

KEEP_NONE = Lifecycle(keep=0)
OLD = want("tone", data="old")


class CrashError(BaseException):
    """The process is gone."""


class Dying:
    """Emits into the stage, and dies at the n-th request: before it leaves, or after its answer."""

    def __init__(self, stage: Stage, point: int) -> None:
        self.stage = stage
        self.left = point

    def __call__(self, event: Event) -> None:
        self.stage.emit(event)
        answers = self.stage.serving()
        assert answers is not None, "a version that serves is never the last to go"
        if isinstance(event, Sending | Sent):
            if self.left == 0:
                raise CrashError
            self.left -= 1


def replacing() -> Stage:
    """A replace with its retirement, beside a job that is not declared any more."""
    stage = Stage([want("tone", data="new", lifecycle=KEEP_NONE)])
    stage.provider.hold(live(OLD, promoted=1), live(want("left"), state=ModelState.TRAINING))
    return stage


def retrying() -> Stage:
    """A failed version to train again, while the old one serves and another job is obsolete."""
    stage = Stage([want("tone", data="new", lifecycle=KEEP_NONE)])
    stage.provider.hold(
        live(OLD, promoted=1),
        live(want("tone", data="new"), state=ModelState.FAILED),
        live(want("tone", data="obsolete"), state=ModelState.TRAINING),
    )
    return stage


def family() -> Stage:
    """A parent and its child, created in turn, beside an update in place."""
    parent = want("parent")
    child = want("child", source=f"tunedModels/{parent.model_id}", parent="parent")
    stage = Stage([parent, child, want("tone", data="old", temperature=0.5)])
    stage.provider.hold(live(OLD, promoted=1))
    return stage


@pytest.mark.parametrize("scene", [replacing, retrying, family])
@pytest.mark.parametrize("point", range(12))
async def test_a_crash_at_any_request_is_mended_by_the_next_apply(
    scene: Callable[[], Stage], point: int
) -> None:
    stage = scene()
    try:
        await stage.apply(emit=Dying(stage, point))
    except CrashError:
        outcome = await stage.apply(emit=Dying(stage, 10**6))
        assert outcome.code is Exit.DONE
    assert_as_declared(stage)
    assert stage.provider.trained == dict.fromkeys(started(stage), 1)


async def test_the_crash_points_reach_beyond_the_last_request() -> None:
    for scene in (replacing, retrying, family):
        stage = scene()
        await stage.apply()
        assert len(stage.events) > 0
        assert sum(isinstance(event, Sending | Sent) for event in stage.events) <= 12


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(st.sampled_from(["old", "one", "two"]), min_size=1, max_size=4),
    points=st.lists(st.integers(0, 8), max_size=6),
    keep=st.integers(0, 2),
    takes_s=st.sampled_from([0.5, 20.0]),
)
async def test_edits_and_crashes_in_any_order_end_as_declared(
    data: list[str], points: list[int], keep: int, takes_s: float
) -> None:
    stage = Stage([OLD])
    stage.provider.takes_s = takes_s
    stage.provider.hold(live(OLD, promoted=1))
    crashes = iter(points)
    for word in data:
        stage.wants = [want("tone", data=word, lifecycle=Lifecycle(keep=keep))]
        try:
            await stage.apply(emit=Dying(stage, next(crashes, 10**6)))
        except CrashError:
            stage.clock.time += 3
    for _ in range(2):
        # A mark of a former run may make a second look needed, never a third one.
        await stage.apply(emit=Dying(stage, 10**6))
    assert_as_declared(stage)


def started(stage: Stage) -> list[str]:
    there = {live.fingerprint for live in stage.provider.models()}
    return [one.fingerprint for one in stage.wants if one.fingerprint in there and is_new(one)]


def is_new(declared: Desired) -> bool:
    return declared.fingerprint != OLD.fingerprint


def assert_as_declared(stage: Stage) -> None:
    assert stage.plan().changes == ()
    for declared in stage.wants:
        answers = stage.serving(declared.name)
        assert answers is not None
        assert answers.fingerprint == declared.fingerprint
