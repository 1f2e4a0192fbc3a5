"""The judge of an apply: asks a version and its rival, and holds the answers against the gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tunedmodels.desired import Desired
from tunedmodels.errors import RefusedError
from tunedmodels.evaluation.gate import judge
from tunedmodels.evaluation.scoring import Answered, Scores
from tunedmodels.executor.judge import Judgement
from tunedmodels.observed import ObservedModel
from tunedmodels.operations.evaluate import OTHER_PREAMBLE, OtherPreambleError, examiner
from tunedmodels.project.project import Project
from tunedmodels.providers.provider import Provider
from tunedmodels.stamp import Decision

_WORST = 3  # of each version, enough to see what kind of mistake it makes


@dataclass(frozen=True, slots=True)
class ProjectJudge:
    """Judges the versions of one apply; what was answered before is not asked again.

    `worst` gathers, by id, the worst answers of the versions that do not pass, of files that git
    tracks: their text is for the person at the terminal, and for no journal, plan or stamp.
    """

    project: Project
    providers: Mapping[str, Provider]
    worst: dict[str, tuple[Answered, ...]] = field(default_factory=dict)

    async def __call__(
        self,
        want: Desired,
        version: ObservedModel,
        rival: ObservedModel | None,
        tell: Callable[[int, int], None],
    ) -> Judgement:
        """Ask both and judge; both count in what `tell` hears.

        Raises RefusedError when the examples are not those that were planned, and ProviderError
        when one of them got no answer.
        """
        evaluation = want.evaluation
        if evaluation is None:
            raise RefusedError(f"{want.name} has no evaluation any more")
        asked = [version, *([rival] if rival else [])]
        done = dict.fromkeys([each.model_id for each in asked], 0)

        def progressed(whom: str, answered: int, total: int) -> None:
            done[whom] = answered
            tell(sum(done.values()), total * len(asked))

        asks = examiner(self.project, evaluation, on_progress=progressed)
        scores = await asks.version(self.providers[version.provider], version)
        former: Scores | None = None
        why = ""
        if rival:
            try:
                former = await asks.version(self.providers[rival.provider], rival)
            except OtherPreambleError:
                why = OTHER_PREAMBLE
        verdict = judge(evaluation, scores, former, no_serving=why)
        if verdict.decision is not Decision.PASSED and self.project.is_tracked(evaluation.file):
            self.worst[version.model_id] = scores.worst(_WORST)
        score = f"{evaluation.rules.metric}:{verdict.score.value:.3f}"
        return Judgement(verdict.decision, score, verdict.words)
