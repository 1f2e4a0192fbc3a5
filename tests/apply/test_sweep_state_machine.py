"""A sweep under every kind of edit, crash and stop: no candidate twice, what serves never missing.

A process may die at every event of an apply. Between two applies the list, the examples, the gate
and the metric may be edited, a candidate may fail, and a person may promote one by hand.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.support.apply_harness import Stage, want
from tests.support.builders import evaluation, live, swept
from tests.support.fakes.clock import FakeClock
from tunedmodels.apply.context import Judgement
from tunedmodels.apply.signals import Stop
from tunedmodels.desired import Desired
from tunedmodels.events import Chosen, Event
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.plan import Action
from tunedmodels.plan.sweep import chosen
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import HAND, Decision

LISTS = [(1, 2), (1, 2, 3), (3, 1), (2, 4)]
DATA = ["good", "fine"]
RULES = [
    evaluation(),
    evaluation(metric="chrF"),
    evaluation(at_least=0.85),
    evaluation(at_least=0.1),
]
NEVER = 10**6


class CrashError(BaseException):
    """The process is gone."""


@dataclass
class ByEpochs:
    """A judge to whom 3 epochs are the best, and whose strict gate lets nothing of `fine` pass."""

    clock: FakeClock

    async def __call__(
        self,
        declared: Desired,
        version: ObservedModel,
        rival: ObservedModel | None,
        tell: Callable[[int, int], None],
    ) -> Judgement:
        await self.clock.sleep(0.5)
        tell(100, 100)
        epochs = declared.hyperparameters.epoch_count or 5
        rules = declared.evaluation.rules if declared.evaluation else None
        is_strict = rules is not None and rules.at_least == 0.85
        refuses = is_strict and declared.dataset.written == "fine"
        decision = Decision.REFUSED if refuses else Decision.PASSED
        return Judgement(decision, f"exactMatch:{1 - abs(epochs - 3) / 10:.3f}", str(decision))


def open_sweep(data: str = "good", epochs: tuple[int, ...] = (1, 2, 3), rules: int = 0) -> Desired:
    return swept(want(data=data, evaluation=RULES[rules]), *epochs)


class Sweeps(RuleBasedStateMachine):
    """One name whose sweep is edited and applied in every way, while an old version serves."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage([open_sweep()])
        self.stage.judge = ByEpochs(self.stage.clock)  # type: ignore[assignment]  # a judge, too
        self.stage.provider.hold(live(want(data="old"), promoted=0))
        self.stage.provider.after = self.note
        self.deleted: Counter[str] = Counter()
        self.by_hand: set[str] = set()
        self.chosen: set[str] = set()

    def note(self, call: str, _model_id: str) -> None:
        """Count what really went: each of those may be trained once more."""
        if call == "delete":
            there = {model.fingerprint for model in self.stage.provider.models()}
            for fingerprint in self.stage.provider.trained.keys() - there:
                self.deleted[fingerprint] = self.stage.provider.trained[fingerprint]

    def run(self, *, dies: int = NEVER, stops: int = NEVER) -> None:
        """Apply once; die at one event, or ask to stop at another."""
        stop, count = Stop(), iter(range(NEVER))

        def emit(event: Event) -> None:
            self.stage.emit(event)
            if isinstance(event, Chosen):
                self.chosen.add(event.model_id)
            self.holds()
            number = next(count)
            if number == stops:
                stop.request()
            if number == dies:
                raise CrashError

        try:
            asyncio.run(self.stage.apply(emit=emit, stop=stop))
        except CrashError:
            pass
        finally:
            self.stage.clock.forget()

    @invariant()
    def holds(self) -> None:
        """Say what must be true at every moment."""
        answers = self.stage.serving()
        assert answers is not None, "a name that was served is served"
        assert answers.state is ModelState.READY
        assert answers.stamp
        is_known = answers.model_id in self.chosen | self.by_hand
        assert is_known or answers.stamp.promoted, "no candidate serves unless it was chosen"
        assert not (answers.stamp.tried and not answers.stamp.sweep) or is_known
        for fingerprint, times in self.stage.provider.trained.items():
            assert times <= 1 + self.deleted[fingerprint], "one create per candidate"

    @rule(
        data=st.sampled_from(DATA),
        epochs=st.sampled_from(LISTS),
        rules=st.integers(0, len(RULES) - 1),
        keep=st.integers(0, 2),
    )
    def edit(self, data: str, epochs: tuple[int, ...], rules: int, keep: int) -> None:
        made = open_sweep(data, epochs, rules)
        self.stage.wants = [replace(made, lifecycle=Lifecycle(keep=keep))]

    @rule(rules=st.integers(0, len(RULES) - 1))
    def edit_the_evaluation(self, rules: int) -> None:
        self.stage.wants = [replace(self.stage.wants[0], evaluation=RULES[rules])]

    @rule()
    def let_one_fail(self) -> None:
        self.stage.provider.failures["tone"] = ["no capacity"]

    @rule()
    def apply(self) -> None:
        self.run()

    @rule(point=st.integers(0, 40))
    def apply_and_die(self, point: int) -> None:
        self.run(dies=point)

    @rule(point=st.integers(0, 40))
    def apply_and_stop(self, point: int) -> None:
        self.run(stops=point)

    @rule(number=st.integers(0, 3))
    def promote_by_hand(self, number: int) -> None:
        ready = [m for m in self.stage.provider.models() if m.state is ModelState.READY]
        for model in ready[number : number + 1]:
            assert model.stamp
            self.by_hand.add(model.model_id)
            stamp = model.stamp.promoted_at(self.stage.clock.now(), by=HAND)
            self.stage.provider.hold(replace(model, stamp=stamp))

    @rule(seconds=st.sampled_from([3, 30]))
    def wait(self, seconds: int) -> None:
        self.stage.clock.time += seconds

    def teardown(self) -> None:
        """Whatever happened, a few applies end as declared, or say why not."""
        for _ in range(5):
            self.run()
        (declared,) = self.stage.wants
        plan, answers = self.stage.plan(), self.stage.serving()
        assert plan.pending == (), plan
        assert not plan.blocked
        winner = chosen(declared, self.stage.provider.models())
        assert winner.chosen_by == declared.sweep_digest
        assert answers
        if plan.rejected:
            assert plan.changes[0].action is Action.REJECTED
            assert answers.fingerprint != winner.fingerprint
        else:
            assert answers.fingerprint == winner.fingerprint


TestSweeps = Sweeps.TestCase
TestSweeps.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)


def test_the_machine_meets_crashes_failures_and_choices() -> None:
    """Hold the machine to its task: one walk through it that meets everything."""
    machine = Sweeps()
    machine.let_one_fail()
    for point in (5, 12, 20):
        machine.apply_and_die(point)
        machine.holds()
    machine.apply()
    machine.apply()
    machine.edit("fine", (3, 1), 2, 1)
    machine.apply()
    assert machine.stage.plan().rejected
    machine.teardown()
    assert len(machine.chosen) == 2
