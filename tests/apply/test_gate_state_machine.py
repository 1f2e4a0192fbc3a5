"""What serves is never missing and never refused: a machine of edits, applies, crashes and hands.

A process may die at every event of an apply, which is between any two of its requests and its
answers, and in the middle of an evaluation. Between two applies anything may be edited.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.apply_harness import Stage, want
from tests.support.builders import evaluation
from tests.support.fakes.clock import FakeClock
from tunedmodels.apply.context import Judgement
from tunedmodels.apply.signals import Stop
from tunedmodels.desired import Desired
from tunedmodels.events import Event, Outcome, Sent
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.plan.gate import gate_of
from tunedmodels.plan.plan import Plan
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import HAND, Decision, gate_mark

DATA = ["good", "fine", "bad", "few"]
GATES = [
    None,
    evaluation(at_least=0.85),
    evaluation(at_least=0.85, not_worse_than_serving_by=0.02),
    evaluation(at_least=0.1),
]
NEVER = 10**6


class CrashError(BaseException):
    """The process is gone."""


@dataclass
class Strict:
    """A judge with an opinion of its own: `bad` and `few` pass the lowest gate alone."""

    clock: FakeClock

    async def __call__(
        self,
        declared: Desired,
        version: ObservedModel,
        rival: ObservedModel | None,
        tell: Callable[[int, int], None],
    ) -> Judgement:
        for done in (50, 100):
            await self.clock.sleep(0.5)
            tell(done, 100)
        decision = Decision.PASSED
        if declared.evaluation and declared.evaluation.rules.at_least != 0.1:
            poor = {"bad": Decision.REFUSED, "few": Decision.INCONCLUSIVE}
            decision = poor.get(declared.dataset.written, decision)
        return Judgement(
            decision, "exactMatch:0.5", f"{decision} beside {rival and rival.model_id}"
        )


class Promotions(RuleBasedStateMachine):
    """One name, edited and applied in every way."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage([want(data="good")])
        self.stage.judge = Strict(self.stage.clock)  # type: ignore[assignment]  # a judge, too
        self.stage.provider.after = self.note
        self.deleted: Counter[str] = Counter()
        self.by_hand: set[str] = set()
        self.has_served = False
        self.saved: Plan | None = None

    def note(self, call: str, _model_id: str) -> None:
        """Count what really went: each of those may be trained once more."""
        if call == "delete":
            there = {model.fingerprint for model in self.stage.provider.models()}
            for fingerprint in self.stage.provider.trained.keys() - there:
                self.deleted[fingerprint] = self.stage.provider.trained[fingerprint]

    def run(
        self, plan: Plan | None = None, *, dies: int = NEVER, stops: int = NEVER
    ) -> Outcome | None:
        """Apply once; die at one event, or ask to stop at another."""
        stop, count = Stop(), iter(range(NEVER))

        def emit(event: Event) -> None:
            self.stage.emit(event)
            self.holds()
            number = next(count)
            if number == stops:
                stop.request()
            if number == dies:
                raise CrashError

        try:
            return asyncio.run(self.stage.apply(plan, emit=emit, stop=stop))
        except CrashError:
            return None
        finally:
            self.stage.clock.forget()

    @invariant()
    def holds(self) -> None:
        """Say what must be true at every moment."""
        answers = self.stage.serving()
        self.has_served |= answers is not None
        if not self.has_served:
            return
        assert answers is not None, "a name that was served is served"
        assert answers.state is ModelState.READY
        assert answers.stamp
        mark = gate_mark(answers.stamp.gate)
        is_refused = mark is not None and mark.decision is not Decision.PASSED
        assert not is_refused or answers.fingerprint in self.by_hand
        for fingerprint, times in self.stage.provider.trained.items():
            assert times <= 1 + self.deleted[fingerprint], "one create per version"

    @rule(
        data=st.sampled_from(DATA),
        gate=st.sampled_from(GATES),
        keep=st.integers(0, 2),
        grace=st.sampled_from([None, "20s"]),
    )
    def edit(self, data: str, gate: object, keep: int, grace: str | None) -> None:
        lifecycle = Lifecycle(keep=keep, grace=grace)
        self.stage.wants = [want(data=data, evaluation=gate, lifecycle=lifecycle)]

    @rule(gate=st.sampled_from(GATES))
    def edit_the_gate(self, gate: object) -> None:
        self.stage.wants = [replace(self.stage.wants[0], evaluation=gate)]  # type: ignore[arg-type]  # or None

    @rule()
    def apply(self) -> None:
        self.run()

    @rule(point=st.integers(0, 25))
    def apply_and_die(self, point: int) -> None:
        self.run(dies=point)

    @rule(point=st.integers(0, 25))
    def apply_and_stop(self, point: int) -> None:
        self.run(stops=point)

    @rule()
    def save_a_plan(self) -> None:
        self.saved = self.stage.plan()

    @precondition(lambda self: self.saved is not None)
    @rule(point=st.sampled_from([0, 3, 6, 9, NEVER]))
    def apply_the_saved_plan(self, point: int) -> None:
        self.run(self.saved, dies=point)

    @rule(data=st.sampled_from(DATA))
    def promote_by_hand(self, data: str) -> None:
        for model in self.stage.provider.models():
            is_meant = model.fingerprint == want(data=data).fingerprint
            if is_meant and model.stamp and model.state is ModelState.READY:
                self.by_hand.add(model.fingerprint)
                stamp = model.stamp.promoted_at(self.stage.clock.now(), by=HAND)
                self.stage.provider.hold(replace(model, stamp=stamp))

    @rule(seconds=st.sampled_from([3, 30]))
    def wait(self, seconds: int) -> None:
        self.stage.clock.time += seconds

    def teardown(self) -> None:
        """Whatever happened, a few applies end as declared, or say why not."""
        for _ in range(4):
            self.run()
        (declared,) = self.stage.wants
        plan, answers = self.stage.plan(), self.stage.serving()
        assert plan.pending == (), plan
        assert not plan.blocked
        if not plan.rejected:
            assert answers
            assert answers.fingerprint == declared.fingerprint
            return
        assert declared.dataset.written in ("bad", "few")
        assert gate_of(declared, answers)
        assert answers is None or answers.fingerprint != declared.fingerprint


TestPromotions = Promotions.TestCase
TestPromotions.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def test_the_machine_meets_refusals_crashes_and_promotions() -> None:
    """Hold the machine to its task: one walk through it that meets everything."""
    machine = Promotions()
    machine.apply()
    machine.edit("bad", GATES[2], 0, None)
    machine.apply_and_die(9)
    machine.apply()
    rejected = machine.stage.plan().rejected
    assert rejected
    machine.holds()
    machine.edit_the_gate(GATES[3])
    machine.apply()
    sent = [event for event in machine.stage.events if isinstance(event, Sent)]
    assert [event.call for event in sent] == [
        "create", "promote", "create", "judge", "promote", "delete"
    ]  # fmt: skip
    answers = serving(machine.stage.provider.models())
    assert answers
    assert answers.fingerprint == want(data="bad").fingerprint
    machine.teardown()
