"""Apply a plan: connect the executor to the project, its providers, its journal and its gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from tunedmodels.apply.clock import Clock, SystemClock
from tunedmodels.apply.context import GateResult
from tunedmodels.apply.executor import apply
from tunedmodels.apply.journal import Journal
from tunedmodels.apply.signals import StopSignal, stop_on_signals
from tunedmodels.apply.wait import LOCAL_INTERVAL, PollInterval
from tunedmodels.datasets.archive import Archive
from tunedmodels.datasets.examples import Example, digest
from tunedmodels.datasets.load import load, load_preferences
from tunedmodels.datasets.paths import files_of
from tunedmodels.desired import Desired
from tunedmodels.errors import RefusedError
from tunedmodels.evaluation.gate import evaluate_gate
from tunedmodels.evaluation.scoring import ScoredAnswer, Scores
from tunedmodels.events import Event, Outcome, Retried, Uploaded
from tunedmodels.observed import ObservedModel
from tunedmodels.operations.connect import connect
from tunedmodels.operations.evaluate import PREAMBLE_MISMATCH, PreambleMismatchError, open_evaluator
from tunedmodels.ownership import Ownership
from tunedmodels.plan.plan import Plan
from tunedmodels.plan.safety import active_blackout, describe_blackout
from tunedmodels.project.project import Project
from tunedmodels.project.resolve import rejected_field
from tunedmodels.providers.provider import Provider
from tunedmodels.schema.project import AnyProvider, EmbeddedSettings
from tunedmodels.stamp import DEFAULT_ENVIRONMENT, Decision

Emit = Callable[[Event], None]

_WORST_ANSWERS = 3  # of each version, enough to see what kind of mistake it makes


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """Settings of one apply."""

    parallelism: int = 4
    """Number of changes that may send requests at the same time; waiting jobs do not count."""
    wait: bool = True
    """Whether to wait for the end of the jobs."""
    timeout_s: float | None = None
    """Maximum time to wait, in seconds; None: unlimited."""


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """The result of an apply."""

    outcome: Outcome
    worst_answers: Mapping[str, Sequence[ScoredAnswer]]
    """The worst answers of the versions that did not pass their gate, by id.

    They are kept only for evaluation files that git tracks, and are shown to the user only.
    """


async def apply_plan(
    project: Project,
    plan: Plan,
    desired: Mapping[str, Desired],
    *,
    ownership: Ownership,
    emit: Emit,
    options: ApplyOptions,
) -> ApplyResult:
    """Apply `plan` and return the result; an interrupt (Ctrl-C) stops it in order.

    Every event is written to the journal before its request is sent. Raises StoreError when the
    journal cannot be written; no further request is sent then. Raises RefusedError on a day that
    the policy of the project excludes.
    """
    clock = SystemClock()
    require_no_blackout(project, clock.now().date())
    archive = Archive(project.state_dir / "datasets")

    def load_and_archive(model: Desired) -> Sequence[Example]:
        examples = load_training_examples(model)
        # The executor refuses examples that differ from the plan; they are not archived.
        if digest(examples) == model.inputs.dataset.digest:
            archive.put(model.inputs.dataset.digest, examples)
        return examples

    with open_journal(project, clock) as journal:

        def record(event: Event) -> None:
            journal.write(event)
            emit(event)

        def on_retry(request: str, attempt: int, delay_s: float, message: str) -> None:
            record(Retried(request, attempt, delay_s, message))

        def on_upload(uri: str, sent: int, total: int) -> None:
            record(Uploaded(uri, sent, total))

        async with connect(
            project, run_jobs=True, on_retry=on_retry, on_upload=on_upload
        ) as providers:
            stop, gate_evaluator = StopSignal(), GateEvaluator(project, providers)
            with stop_on_signals(stop):
                outcome = await apply(
                    plan,
                    ownership=ownership,
                    desired=desired,
                    providers=providers,
                    load_examples=load_and_archive,
                    check_gate=gate_evaluator,
                    emit=record,
                    clock=clock,
                    stop=stop,
                    commit=project.commit(),
                    parallelism=options.parallelism,
                    wait=options.wait,
                    timeout_s=options.timeout_s,
                    poll_intervals=poll_intervals(project),
                )
            return ApplyResult(outcome, gate_evaluator.worst_answers)


def open_journal(project: Project, clock: Clock) -> Journal:
    """Return the journal; every environment except the default one has a folder of its own."""
    project.create_state_dir()
    folder = project.state_dir / "journal"
    environment = project.acting_environment
    is_default = environment == DEFAULT_ENVIRONMENT
    return Journal(folder if is_default else folder / environment, clock.now)


def load_training_examples(desired: Desired) -> Sequence[Example]:
    """Read the training examples of a declaration. Raises ProblemsFoundError."""
    dataset, source = desired.inputs.dataset, desired.inputs.dataset.source
    path = dataset.declared_path
    if desired.inputs.method == "preference":
        rejected = rejected_field(source)
        return load_preferences(dataset.file, source, rejected, display_path=path)
    return load(dataset.file, source, display_path=path)


def require_no_blackout(project: Project, today: date) -> None:
    """Raise RefusedError when the policy excludes a day (in UTC) from applies."""
    blackout = active_blackout(project.manifest.spec.policy, today)
    if blackout:
        raise RefusedError(
            f"{describe_blackout(blackout).rstrip('.')}. Nothing was changed.",
            cure="Apply on another day, or change spec.policy.blackouts in the Project manifest.",
        )


def poll_intervals(project: Project) -> dict[str, PollInterval]:
    """Return the poll intervals of the providers on this machine, which may be polled often."""
    return {
        name: LOCAL_INTERVAL
        for name, settings in project.providers.items()
        if _is_on_this_machine(settings)
    }


def _is_on_this_machine(settings: AnyProvider) -> bool:
    if isinstance(settings, EmbeddedSettings):
        return True
    if settings.endpoint is None:
        return False
    host = settings.endpoint.split("://", 1)[1].split("/")[0]
    return host.rsplit(":", 1)[0] in ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class GateEvaluator:
    """Checks the gates of one apply: evaluates a version and its baseline, and compares them.

    Answers from earlier runs are reused.
    """

    project: Project
    providers: Mapping[str, Provider]
    worst_answers: dict[str, tuple[ScoredAnswer, ...]] = field(default_factory=dict)
    """The worst answers of the versions that do not pass, by id, of files that git tracks.

    Their text is for the terminal only, and never written to the journal, a plan or a stamp.
    """

    async def __call__(
        self,
        desired: Desired,
        version: ObservedModel,
        baseline: ObservedModel | None,
        on_progress: Callable[[int, int], None],
    ) -> GateResult:
        """Evaluate `version` and its baseline, and report their joint progress.

        Raises RefusedError when the examples differ from the planned ones, and ProviderError when
        an example gets no answer.
        """
        evaluation = desired.evaluation
        if evaluation is None:
            raise RefusedError(f"{desired.name} no longer has an evaluation")
        models = [version, *([baseline] if baseline else [])]
        answered = dict.fromkeys([model.model_id for model in models], 0)

        def on_model_progress(model_id: str, count: int, total: int) -> None:
            answered[model_id] = count
            on_progress(sum(answered.values()), total * len(models))

        evaluator = open_evaluator(self.project, evaluation, on_progress=on_model_progress)
        scores = await evaluator.score_version(self.providers[version.provider], version)
        baseline_scores: Scores | None = None
        no_baseline = ""
        if baseline:
            provider = self.providers[baseline.provider]
            try:
                baseline_scores = await evaluator.score_version(provider, baseline)
            except PreambleMismatchError:
                no_baseline = PREAMBLE_MISMATCH
        verdict = evaluate_gate(evaluation, scores, baseline_scores, no_baseline_reason=no_baseline)
        files = files_of(evaluation.file, evaluation.source)
        if verdict.decision is not Decision.PASSED and self.project.is_tracked(*files):
            self.worst_answers[version.model_id] = scores.worst(_WORST_ANSWERS)
        score = f"{evaluation.spec.metric}:{verdict.score.value:.3f}"
        return GateResult(verdict.decision, score, verdict.message)
