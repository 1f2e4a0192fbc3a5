"""A gate check with decisions that a test sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.fakes.clock import FakeClock
from tunedmodels.apply.context import GateResult
from tunedmodels.desired import Desired
from tunedmodels.observed import ObservedModel
from tunedmodels.stamp import Decision


@dataclass
class FakeGateCheck:
    """Passes every version that has no decision; without thresholds, every version."""

    clock: FakeClock
    #: The decisions by fingerprint.
    decisions: dict[str, Decision] = field(default_factory=dict)
    #: The scores by fingerprint.
    scores: dict[str, float] = field(default_factory=dict)
    duration_s: float = 1.0
    #: The number of evaluations by fingerprint.
    calls: Counter[str] = field(default_factory=Counter)
    #: The id of the baseline of each evaluation; empty without one.
    baselines: list[str] = field(default_factory=list)
    #: Called after each of ten answers with its number; may raise.
    on_answer: Callable[[int], None] = lambda _done: None

    async def __call__(
        self,
        desired: Desired,
        version: ObservedModel,
        baseline: ObservedModel | None,
        on_progress: Callable[[int, int], None],
    ) -> GateResult:
        self.calls[version.fingerprint] += 1
        self.baselines.append(baseline.model_id if baseline else "")
        for done in range(1, 11):
            await self.clock.sleep(self.duration_s / 10)
            self.on_answer(done)
            on_progress(10 * done, 100)
        is_gate = desired.evaluation is not None and desired.evaluation.spec.is_gate
        decision = self.decisions.get(desired.fingerprint, Decision.PASSED)
        decision = decision if is_gate else Decision.PASSED
        by_decision = {
            Decision.PASSED: 0.912,
            Decision.INCONCLUSIVE: 0.86,
            Decision.REFUSED: 0.61,
        }
        score = self.scores.get(desired.fingerprint, by_decision[decision])
        message = f"exactMatch {score} on 100 examples."
        return GateResult(decision, f"exactMatch:{score}", message)
