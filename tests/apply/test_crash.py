"""After a process is killed at any point, the next `apply` reaches the desired state."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.apply_harness import ApplyHarness, declare
from tests.support.builders import live
from tunedmodels.desired import Desired
from tunedmodels.errors import Exit
from tunedmodels.events import Event, Sending, Sent
from tunedmodels.observed import ModelState
from tunedmodels.schema.tuned_model import Lifecycle

KEEP_NONE = Lifecycle(keep=0)
OLD = declare("tone", data="old")


class CrashError(BaseException):
    """The process is killed."""


class KillAtRequest:
    """Records events, and kills the process before the n-th request or after its response."""

    def __init__(self, harness: ApplyHarness, point: int) -> None:
        self.harness = harness
        self.remaining = point

    def __call__(self, event: Event) -> None:
        self.harness.emit(event)
        assert self.harness.serving() is not None, "the serving version is never deleted last"
        if isinstance(event, Sending | Sent):
            if self.remaining == 0:
                raise CrashError
            self.remaining -= 1


def replacing() -> ApplyHarness:
    """A replacement with its retirement, and a job that is no longer declared."""
    harness = ApplyHarness([declare("tone", data="new", lifecycle=KEEP_NONE)])
    harness.provider.add(
        live(OLD, promoted=1), live(declare("undeclared"), state=ModelState.TRAINING)
    )
    return harness


def retrying() -> ApplyHarness:
    """A failed version to retry, while the old one serves and another job is obsolete."""
    harness = ApplyHarness([declare("tone", data="new", lifecycle=KEEP_NONE)])
    harness.provider.add(
        live(OLD, promoted=1),
        live(declare("tone", data="new"), state=ModelState.FAILED),
        live(declare("tone", data="obsolete"), state=ModelState.TRAINING),
    )
    return harness


def parent_and_child() -> ApplyHarness:
    """A parent and its child, created in turn, and an update of another model."""
    parent = declare("parent")
    child = declare("child", source=f"tunedModels/{parent.model_id}", parent="parent")
    harness = ApplyHarness([parent, child, declare("tone", data="old", temperature=0.5)])
    harness.provider.add(live(OLD, promoted=1))
    return harness


@pytest.mark.parametrize("scenario", [replacing, retrying, parent_and_child])
@pytest.mark.parametrize("point", range(12))
async def test_the_next_apply_continues_after_a_crash_at_any_request(
    scenario: Callable[[], ApplyHarness], point: int
) -> None:
    harness = scenario()
    try:
        await harness.apply(emit=KillAtRequest(harness, point))
    except CrashError:
        outcome = await harness.apply(emit=KillAtRequest(harness, 10**6))
        assert outcome.code is Exit.DONE
    assert_desired_state(harness)
    assert harness.provider.trained == dict.fromkeys(started(harness), 1)


async def test_the_crash_points_include_the_last_request() -> None:
    for scenario in (replacing, retrying, parent_and_child):
        harness = scenario()
        await harness.apply()
        assert len(harness.events) > 0
        assert sum(isinstance(event, Sending | Sent) for event in harness.events) <= 12


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(st.sampled_from(["old", "one", "two"]), min_size=1, max_size=4),
    points=st.lists(st.integers(0, 8), max_size=6),
    keep=st.integers(0, 2),
    takes_s=st.sampled_from([0.5, 20.0]),
)
async def test_edits_and_crashes_in_any_order_end_in_the_desired_state(
    data: list[str], points: list[int], keep: int, takes_s: float
) -> None:
    harness = ApplyHarness([OLD])
    harness.provider.job_duration_s = takes_s
    harness.provider.add(live(OLD, promoted=1))
    crashes = iter(points)
    for content in data:
        harness.desired = [declare("tone", data=content, lifecycle=Lifecycle(keep=keep))]
        try:
            await harness.apply(emit=KillAtRequest(harness, next(crashes, 10**6)))
        except CrashError:
            harness.clock.time += 3
    for _ in range(2):
        # After the promotion of an earlier run a second apply may be needed, but no third one.
        await harness.apply(emit=KillAtRequest(harness, 10**6))
    assert_desired_state(harness)


def started(harness: ApplyHarness) -> list[str]:
    existing = {model.fingerprint for model in harness.provider.models()}
    fingerprints = [model.fingerprint for model in harness.desired if is_new(model)]
    return [fingerprint for fingerprint in fingerprints if fingerprint in existing]


def is_new(declared: Desired) -> bool:
    return declared.fingerprint != OLD.fingerprint


def assert_desired_state(harness: ApplyHarness) -> None:
    assert harness.plan().changes == ()
    for declared in harness.desired:
        serving = harness.serving(declared.name)
        assert serving is not None
        assert serving.fingerprint == declared.fingerprint
