"""A state machine of edits, crashes and stops of a sweep.

No candidate is trained twice, and the name is always served. A process may crash at every event of
an apply. Between two applies the candidates, the examples, the gate and the metric may be edited, a
candidate may fail, and the user may promote one manually.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.support.apply_harness import ApplyHarness, declare
from tests.support.builders import evaluation, live, with_sweep
from tests.support.fakes.clock import FakeClock
from tunedmodels.apply.context import GateResult
from tunedmodels.apply.signals import StopSignal
from tunedmodels.desired import Desired
from tunedmodels.events import Chosen, Event
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import Action
from tunedmodels.plan.sweep import sweep_winner
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import MANUAL, Decision

EPOCH_LISTS = [(1, 2), (1, 2, 3), (3, 1), (2, 4)]
DATA = ["good", "fine"]
EVALUATIONS = [
    evaluation(),
    evaluation(metric="chrF"),
    evaluation(at_least=0.85),
    evaluation(at_least=0.1),
]
NEVER = 10**6


class CrashError(BaseException):
    """The process is killed."""


@dataclass
class EpochGateCheck:
    """A gate check with the best score for 3 epochs, whose strict gate refuses all of `fine`."""

    clock: FakeClock

    async def __call__(
        self,
        desired: Desired,
        version: ObservedModel,
        baseline: ObservedModel | None,
        on_progress: Callable[[int, int], None],
    ) -> GateResult:
        await self.clock.sleep(0.5)
        on_progress(100, 100)
        epochs = desired.inputs.hyperparameters.epoch_count or 5
        spec = desired.evaluation.spec if desired.evaluation else None
        is_strict = spec is not None and spec.at_least == 0.85
        refuses = is_strict and desired.inputs.dataset.declared_path == "fine"
        decision = Decision.REFUSED if refuses else Decision.PASSED
        return GateResult(decision, f"exactMatch:{1 - abs(epochs - 3) / 10:.3f}", str(decision))


def open_sweep(
    data: str = "good", epochs: tuple[int, ...] = (1, 2, 3), evaluation_index: int = 0
) -> Desired:
    return with_sweep(declare(data=data, evaluation=EVALUATIONS[evaluation_index]), *epochs)


class SweepMachine(RuleBasedStateMachine):
    """One name whose sweep is edited and applied in every way while an old version serves."""

    def __init__(self) -> None:
        super().__init__()
        self.harness = ApplyHarness([open_sweep()])
        self.harness.gate_check = EpochGateCheck(self.harness.clock)  # type: ignore[assignment]  # another gate check
        self.harness.provider.add(live(declare(data="old"), promoted=0))
        self.harness.provider.on_response = self.record_delete
        self.deleted: Counter[str] = Counter()
        self.manually_promoted: set[str] = set()
        self.chosen: set[str] = set()

    def record_delete(self, call: str, _model_id: str) -> None:
        """Record the versions that were deleted: each of them may be trained again."""
        if call == "delete":
            existing = {model.fingerprint for model in self.harness.provider.models()}
            for fingerprint in self.harness.provider.trained.keys() - existing:
                self.deleted[fingerprint] = self.harness.provider.trained[fingerprint]

    def run(self, *, crash_at: int = NEVER, stop_at: int = NEVER) -> None:
        """Apply once; crash at one event, or request a stop at another."""
        stop, count = StopSignal(), iter(range(NEVER))

        def emit(event: Event) -> None:
            self.harness.emit(event)
            if isinstance(event, Chosen):
                self.chosen.add(event.model_id)
            self.check_state()
            number = next(count)
            if number == stop_at:
                stop.request()
            if number == crash_at:
                raise CrashError

        try:
            asyncio.run(self.harness.apply(emit=emit, stop=stop))
        except CrashError:
            pass
        finally:
            self.harness.clock.reset()

    @invariant()
    def check_state(self) -> None:
        """Check what must be true at every event."""
        serving = self.harness.serving()
        assert serving is not None, "a name that was served is always served"
        assert serving.state is ModelState.READY
        assert serving.stamp
        is_known = serving.model_id in self.chosen | self.manually_promoted
        assert is_known or serving.stamp.promoted, "only a chosen candidate serves"
        assert (
            not (serving.stamp.scored_by_sweep and not serving.stamp.chosen_by_sweeps) or is_known
        )
        for fingerprint, times in self.harness.provider.trained.items():
            assert times <= 1 + self.deleted[fingerprint], "every candidate is created once"

    @rule(
        data=st.sampled_from(DATA),
        epochs=st.sampled_from(EPOCH_LISTS),
        evaluation_index=st.integers(0, len(EVALUATIONS) - 1),
        keep=st.integers(0, 2),
    )
    def edit(self, data: str, epochs: tuple[int, ...], evaluation_index: int, keep: int) -> None:
        desired = open_sweep(data, epochs, evaluation_index)
        self.harness.desired = [replace(desired, lifecycle=Lifecycle(keep=keep))]

    @rule(evaluation_index=st.integers(0, len(EVALUATIONS) - 1))
    def edit_the_evaluation(self, evaluation_index: int) -> None:
        self.harness.desired = [
            replace(self.harness.desired[0], evaluation=EVALUATIONS[evaluation_index])
        ]

    @rule()
    def fail_next_job(self) -> None:
        self.harness.provider.failures["tone"] = ["no capacity"]

    @rule()
    def apply(self) -> None:
        self.run()

    @rule(point=st.integers(0, 40))
    def apply_and_crash(self, point: int) -> None:
        self.run(crash_at=point)

    @rule(point=st.integers(0, 40))
    def apply_and_stop(self, point: int) -> None:
        self.run(stop_at=point)

    @rule(number=st.integers(0, 3))
    def promote_manually(self, number: int) -> None:
        ready = [m for m in self.harness.provider.models() if m.state is ModelState.READY]
        for model in ready[number : number + 1]:
            assert model.stamp
            self.manually_promoted.add(model.model_id)
            stamp = model.stamp.promoted_at(self.harness.clock.now(), promoted_by=MANUAL)
            self.harness.provider.add(replace(model, stamp=stamp))

    @rule(seconds=st.sampled_from([3, 30]))
    def wait(self, seconds: int) -> None:
        self.harness.clock.time += seconds

    def teardown(self) -> None:
        """Check that a few applies reach the desired state, or report why not."""
        for _ in range(5):
            self.run()
        (declared,) = self.harness.desired
        plan, serving = self.harness.plan(), self.harness.serving()
        assert plan.pending == (), plan
        assert not plan.blocked
        winner = sweep_winner(declared, self.harness.provider.models())
        assert winner.chosen_by_sweep == declared.sweep_digest
        assert serving
        if plan.rejected:
            assert plan.changes[0].action is Action.REJECTED
            assert serving.fingerprint != winner.fingerprint
        else:
            assert serving.fingerprint == winner.fingerprint


TestSweeps = SweepMachine.TestCase
TestSweeps.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)


def test_the_machine_covers_crashes_failures_and_choices() -> None:
    """Check in one run that the machine covers everything."""
    machine = SweepMachine()
    machine.fail_next_job()
    for point in (5, 12, 20):
        machine.apply_and_crash(point)
        machine.check_state()
    machine.apply()
    machine.apply()
    machine.edit("fine", (3, 1), 2, 1)
    machine.apply()
    assert machine.harness.plan().rejected
    machine.teardown()
    assert len(machine.chosen) == 2
