"""Carrying a plan out, and following jobs: where the executor meets the project."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from tunedmodels.apply.clock import SystemClock
from tunedmodels.apply.context import Judgement
from tunedmodels.apply.executor import apply
from tunedmodels.apply.journal import Journal
from tunedmodels.apply.signals import Stop, stop_on_signals
from tunedmodels.apply.wait import LOCAL, Pace
from tunedmodels.datasets.archive import Archive
from tunedmodels.datasets.examples import Example, digest
from tunedmodels.datasets.load import load, load_preferences
from tunedmodels.desired import Desired
from tunedmodels.errors import RefusedError
from tunedmodels.evaluation.gate import judge
from tunedmodels.evaluation.scoring import Answered, Scores
from tunedmodels.events import Event, Outcome, Retried, Uploaded
from tunedmodels.observed import ObservedModel
from tunedmodels.operations.connect import connect
from tunedmodels.operations.evaluate import OTHER_PREAMBLE, OtherPreambleError, examiner
from tunedmodels.plan.plan import Plan
from tunedmodels.plan.safety import blacked_out, rule
from tunedmodels.project.project import Project
from tunedmodels.project.resolve import rejected_field
from tunedmodels.providers.provider import Provider
from tunedmodels.schema.project import AnyProvider, EmbeddedSettings
from tunedmodels.stamp import Decision

Emit = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Manner:
    """How to go about it: how many starts at once, whether to wait for jobs, and how long."""

    parallelism: int = 4
    waits: bool = True
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """How an apply ended, and by id the worst answers of the versions that did not pass a gate.

    The answers are there only of files that git tracks, and are for the person who looks.
    """

    outcome: Outcome
    worst: Mapping[str, Sequence[Answered]]


async def carry_out(
    project: Project,
    plan: Plan,
    desired: Mapping[str, Desired],
    *,
    emit: Emit,
    manner: Manner,
) -> Applied:
    """Apply `plan`, journal every event before it happens, and heed Ctrl-C.

    Raises StoreError when the journal cannot be written; nothing more is sent then. Raises
    RefusedError on a day that the policy of the project keeps free.
    """
    clock = SystemClock()
    require_open(project, clock.now().date())
    project.claim_state()
    archive = Archive(project.state / "datasets")

    def examples(want: Desired) -> Sequence[Example]:
        read = examples_of(want)
        if digest(read) == want.dataset.digest:  # else it is refused: it is not as planned
            archive.put(want.dataset.digest, read)
        return read

    with Journal(project.state / "journal", clock.now) as journal:

        def tell(event: Event) -> None:
            journal.write(event)
            emit(event)

        def retried(call: str, attempt: int, wait_s: float, words: str) -> None:
            tell(Retried(call, attempt, wait_s, words))

        def uploaded(place: str, sent: int, total: int) -> None:
            tell(Uploaded(place, sent, total))

        async with connect(project, trains=True, on_retry=retried, on_upload=uploaded) as providers:
            stop, judge = Stop(), ProjectJudge(project, providers)
            with stop_on_signals(stop):
                outcome = await apply(
                    plan,
                    desired=desired,
                    providers=providers,
                    load=examples,
                    judge=judge,
                    emit=tell,
                    clock=clock,
                    stop=stop,
                    commit=project.commit(),
                    parallelism=manner.parallelism,
                    wait=manner.waits,
                    timeout_s=manner.timeout_s,
                    paces=paces(project),
                )
            return Applied(outcome, judge.worst)


def examples_of(want: Desired) -> Sequence[Example]:
    """Read the training examples of a declaration. Raises ProblemsFoundError."""
    file, source, written = want.dataset.file, want.dataset.source, want.dataset.written
    if want.method == "preference":
        return load_preferences(file, source, rejected_field(source), written=written)
    return load(file, source, written=written)


def require_open(project: Project, today: date) -> None:
    """Raise RefusedError when nothing may be applied on a day, in UTC."""
    closed = blacked_out(project.manifest.spec.policy, today)
    if closed:
        raise RefusedError(
            f"{rule(closed).rstrip('.')}. Nothing was changed.",
            cure="Apply on another day, or change spec.policy.blackouts in the Project manifest.",
        )


def paces(project: Project) -> dict[str, Pace]:
    """Return how often to ask each provider: one on this machine can be asked often."""
    return {name: LOCAL for name, settings in project.providers.items() if _is_near(settings)}


def _is_near(settings: AnyProvider) -> bool:
    if isinstance(settings, EmbeddedSettings):
        return True
    if settings.endpoint is None:
        return False
    host = settings.endpoint.split("://", 1)[1].split("/")[0]
    return host.rsplit(":", 1)[0] in ("127.0.0.1", "localhost", "[::1]")


# FOLDED
# The judge of an apply: asks a version and its rival, and holds the answers against the gate.
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
