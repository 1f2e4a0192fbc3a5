"""A judge whose decisions a test chooses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.fakes.clock import FakeClock
from tunedmodels.apply.context import Judgement
from tunedmodels.desired import Desired
from tunedmodels.observed import ObservedModel
from tunedmodels.stamp import Decision


@dataclass
class FakeJudge:
    """Lets everything pass, but for the fingerprints that have a decision of their own.

    Without thresholds everything passes. `scores` holds by fingerprint what a version reaches.

    `asked` counts how often a version was judged, by fingerprint; `rivals` lists beside whom.
    `during` is called after each of the ten answers, and may raise.
    """

    clock: FakeClock
    decisions: dict[str, Decision] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    takes_s: float = 1.0
    asked: Counter[str] = field(default_factory=Counter)
    rivals: list[str] = field(default_factory=list)
    during: Callable[[int], None] = lambda _done: None

    async def __call__(
        self,
        want: Desired,
        version: ObservedModel,
        rival: ObservedModel | None,
        tell: Callable[[int, int], None],
    ) -> Judgement:
        self.asked[version.fingerprint] += 1
        self.rivals.append(rival.model_id if rival else "")
        for done in range(1, 11):
            await self.clock.sleep(self.takes_s / 10)
            self.during(done)
            tell(10 * done, 100)
        is_gate = want.evaluation is not None and want.evaluation.rules.is_gate
        decision = self.decisions.get(want.fingerprint, Decision.PASSED)
        decision = decision if is_gate else Decision.PASSED
        score = {Decision.PASSED: 0.912, Decision.INCONCLUSIVE: 0.86, Decision.REFUSED: 0.61}
        value = self.scores.get(want.fingerprint, score[decision])
        words = f"exactMatch {value} on 100 examples."
        return Judgement(decision, f"exactMatch:{value}", words)
