"""A state machine of edits, applies, crashes and manual promotions of one name with a gate.

A name that was served is always served, and never by a version that its gate refused. A process may
crash at every event of an apply, which includes every point between two requests and during an
evaluation. Between two applies everything may be edited.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.apply_harness import ApplyHarness, declare
from tests.support.builders import evaluation
from tests.support.fakes.clock import FakeClock
from tunedmodels.apply.context import GateResult
from tunedmodels.apply.signals import StopSignal
from tunedmodels.desired import Desired
from tunedmodels.events import Event, Outcome, Sent
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.plan.gate import gate_for
from tunedmodels.plan.plan import Plan
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import MANUAL, Decision, parse_gate_record

DATA = ["good", "fine", "bad", "few"]
GATES = [
    None,
    evaluation(at_least=0.85),
    evaluation(at_least=0.85, not_worse_than_serving_by=0.02),
    evaluation(at_least=0.1),
]
NEVER = 10**6


class CrashError(BaseException):
    """The process is killed."""


@dataclass
class StrictGateCheck:
    """A gate check for which `bad` and `few` pass only the lowest gate."""

    clock: FakeClock

    async def __call__(
        self,
        desired: Desired,
        version: ObservedModel,
        baseline: ObservedModel | None,
        on_progress: Callable[[int, int], None],
    ) -> GateResult:
        for done in (50, 100):
            await self.clock.sleep(0.5)
            on_progress(done, 100)
        decision = Decision.PASSED
        if desired.evaluation and desired.evaluation.spec.at_least != 0.1:
            poor = {"bad": Decision.REFUSED, "few": Decision.INCONCLUSIVE}
            decision = poor.get(desired.inputs.dataset.declared_path, decision)
        return GateResult(
            decision,
            "exactMatch:0.5",
            f"{decision}, compared with {baseline and baseline.model_id}",
        )


class PromotionMachine(RuleBasedStateMachine):
    """One name that is edited and applied in every way."""

    def __init__(self) -> None:
        super().__init__()
        self.harness = ApplyHarness([declare(data="good")])
        self.harness.gate_check = StrictGateCheck(self.harness.clock)  # type: ignore[assignment]  # another gate check
        self.harness.provider.on_response = self.record_delete
        self.deleted: Counter[str] = Counter()
        self.manually_promoted: set[str] = set()
        self.has_served = False
        self.saved: Plan | None = None

    def record_delete(self, call: str, _model_id: str) -> None:
        """Record the versions that were deleted: each of them may be trained again."""
        if call == "delete":
            existing = {model.fingerprint for model in self.harness.provider.models()}
            for fingerprint in self.harness.provider.trained.keys() - existing:
                self.deleted[fingerprint] = self.harness.provider.trained[fingerprint]

    def run(
        self, plan: Plan | None = None, *, crash_at: int = NEVER, stop_at: int = NEVER
    ) -> Outcome | None:
        """Apply once; crash at one event, or request a stop at another."""
        stop, count = StopSignal(), iter(range(NEVER))

        def emit(event: Event) -> None:
            self.harness.emit(event)
            self.check_state()
            number = next(count)
            if number == stop_at:
                stop.request()
            if number == crash_at:
                raise CrashError

        try:
            return asyncio.run(self.harness.apply(plan, emit=emit, stop=stop))
        except CrashError:
            return None
        finally:
            self.harness.clock.reset()

    @invariant()
    def check_state(self) -> None:
        """Check what must be true at every event."""
        serving_version = self.harness.serving()
        self.has_served |= serving_version is not None
        if not self.has_served:
            return
        assert serving_version is not None, "a name that was served is always served"
        assert serving_version.state is ModelState.READY
        assert serving_version.stamp
        record = parse_gate_record(serving_version.stamp.gate_record)
        is_refused = record is not None and record.decision is not Decision.PASSED
        assert not is_refused or serving_version.fingerprint in self.manually_promoted
        for fingerprint, times in self.harness.provider.trained.items():
            assert times <= 1 + self.deleted[fingerprint], "every version is created once"

    @rule(
        data=st.sampled_from(DATA),
        gate=st.sampled_from(GATES),
        keep=st.integers(0, 2),
        grace=st.sampled_from([None, "20s"]),
    )
    def edit(self, data: str, gate: object, keep: int, grace: str | None) -> None:
        lifecycle = Lifecycle(keep=keep, grace=grace)
        self.harness.desired = [declare(data=data, evaluation=gate, lifecycle=lifecycle)]

    @rule(gate=st.sampled_from(GATES))
    def edit_the_gate(self, gate: object) -> None:
        self.harness.desired = [replace(self.harness.desired[0], evaluation=gate)]  # type: ignore[arg-type]  # may be None

    @rule()
    def apply(self) -> None:
        self.run()

    @rule(point=st.integers(0, 25))
    def apply_and_crash(self, point: int) -> None:
        self.run(crash_at=point)

    @rule(point=st.integers(0, 25))
    def apply_and_stop(self, point: int) -> None:
        self.run(stop_at=point)

    @rule()
    def save_a_plan(self) -> None:
        self.saved = self.harness.plan()

    @precondition(lambda self: self.saved is not None)
    @rule(point=st.sampled_from([0, 3, 6, 9, NEVER]))
    def apply_the_saved_plan(self, point: int) -> None:
        self.run(self.saved, crash_at=point)

    @rule(data=st.sampled_from(DATA))
    def promote_manually(self, data: str) -> None:
        for model in self.harness.provider.models():
            is_chosen = model.fingerprint == declare(data=data).fingerprint
            if is_chosen and model.stamp and model.state is ModelState.READY:
                self.manually_promoted.add(model.fingerprint)
                stamp = model.stamp.promoted_at(self.harness.clock.now(), promoted_by=MANUAL)
                self.harness.provider.add(replace(model, stamp=stamp))

    @rule(seconds=st.sampled_from([3, 30]))
    def wait(self, seconds: int) -> None:
        self.harness.clock.time += seconds

    def teardown(self) -> None:
        """Check that a few applies reach the desired state, or report why not."""
        for _ in range(4):
            self.run()
        (declared,) = self.harness.desired
        plan, serving_version = self.harness.plan(), self.harness.serving()
        assert plan.pending == (), plan
        assert not plan.blocked
        if not plan.rejected:
            assert serving_version
            assert serving_version.fingerprint == declared.fingerprint
            return
        assert declared.inputs.dataset.declared_path in ("bad", "few")
        assert gate_for(declared, serving_version)
        assert serving_version is None or serving_version.fingerprint != declared.fingerprint


TestPromotions = PromotionMachine.TestCase
TestPromotions.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def test_the_machine_covers_refusals_crashes_and_promotions() -> None:
    """Check in one run that the machine covers everything."""
    machine = PromotionMachine()
    machine.apply()
    machine.edit("bad", GATES[2], 0, None)
    machine.apply_and_crash(9)
    machine.apply()
    rejected = machine.harness.plan().rejected
    assert rejected
    machine.check_state()
    machine.edit_the_gate(GATES[3])
    machine.apply()
    requests = [event for event in machine.harness.events if isinstance(event, Sent)]
    assert [event.call for event in requests] == [
        "create", "promote", "create", "judge", "promote", "delete"
    ]  # fmt: skip
    serving_version = serving(machine.harness.provider.models())
    assert serving_version
    assert serving_version.fingerprint == declare(data="bad").fingerprint
    machine.teardown()
