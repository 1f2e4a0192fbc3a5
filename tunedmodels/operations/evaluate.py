"""Evaluate the versions of a name and its base model on the held-out examples."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tunedmodels.datasets.diff import NumberedExample
from tunedmodels.datasets.examples import Example, digest, prompt
from tunedmodels.datasets.load import load, load_numbered
from tunedmodels.datasets.paths import files_of
from tunedmodels.desired import Desired, DesiredEvaluation, preamble_digest
from tunedmodels.errors import RefusedError, TunedModelsError
from tunedmodels.evaluation.answer_cache import AnswerCache, NoAnswerCache, sampling_key
from tunedmodels.evaluation.gate import GateVerdict, evaluate_gate
from tunedmodels.evaluation.report import ComparedModel, ComparedRole, EvaluationReport
from tunedmodels.evaluation.scoring import (
    AnswerSource,
    Ask,
    Scores,
    UnansweredError,
    ask_function,
    choose_few_shot,
    few_shot_prompt,
    score_answers,
)
from tunedmodels.observed import ModelState, ModelVersions, ObservedModel
from tunedmodels.operations.connect import connect
from tunedmodels.operations.models import find_model, list_models, ready_version
from tunedmodels.project.project import Project
from tunedmodels.project.resolve import resolve
from tunedmodels.providers.provider import Provider

PREAMBLE_MISMATCH = "it was trained with another preamble than the declared one"


class PreambleMismatchError(TunedModelsError):
    """A version was trained with another preamble, of which only a digest is known."""


OnProgress = Callable[[str, int, int], None]
"""Called with the model, the number of answered examples, and the number of examples."""


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """Settings of one evaluation."""

    version: str | None = None
    """The candidate; None is the newest ready version that never served."""
    few_shot: int | None = None
    """Maximum number of training examples in a few-shot prompt; None is the declared number."""
    use_cache: bool = True
    """Whether to reuse the answers of earlier evaluations."""


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Scores models on the examples of one evaluation."""

    evaluation: DesiredEvaluation
    examples: Sequence[NumberedExample]
    cache_folder: Path | None
    """Where the answers are cached; None disables the cache."""
    on_progress: OnProgress | None = None

    async def score_version(self, provider: Provider, model: ObservedModel) -> Scores:
        """Return the scores of a version.

        Raises UnansweredError when an example gets no answer. Raises PreambleMismatchError when the
        version was trained with another preamble (F5), unless all its answers are cached.
        """
        config, preamble = self.evaluation.generation, self.evaluation.preamble
        cached: AnswerSource = NoAnswerCache()
        if self.cache_folder:
            cached = AnswerCache.for_version(self.cache_folder, model, config)
        declared = preamble_digest(preamble, as_system=self.evaluation.is_system_preamble)
        if model.stamp and model.stamp.preamble != declared:
            inputs = (numbered.example.text_input for numbered in self.examples)
            if any(cached.get(text_input) is None for text_input in inputs):
                raise PreambleMismatchError(PREAMBLE_MISMATCH)
        system, prefix = self._preamble
        to_prompt = partial(prompt, prefix)
        ask = ask_function(provider, model.resource, config, to_prompt, system=system)
        return await self._score(model.model_id, ask, cached)

    async def score_base_model(
        self, provider: Provider, resource: str, shots: Sequence[Example]
    ) -> Scores:
        """Return the scores of a base model, with `shots` as examples in its prompt.

        Raises UnansweredError when an example gets no answer; some base models cannot be called.
        """
        config, (system, prefix) = self.evaluation.generation, self._preamble
        to_prompt = partial(few_shot_prompt, prefix, shots) if shots else partial(prompt, prefix)
        cached: AnswerSource = NoAnswerCache()
        if self.cache_folder:
            frame = to_prompt("") + (f"\0{system}" if system else "")
            frame_digest = hashlib.sha256(frame.encode("utf-8", "surrogatepass")).hexdigest()
            parts = (provider.name, resource, frame_digest, sampling_key(config))
            cached = AnswerCache(self.cache_folder, resource.rpartition("/")[2], *parts)
        ask = ask_function(provider, resource, config, to_prompt, system=system)
        return await self._score(resource, ask, cached)

    @property
    def _preamble(self) -> tuple[str, str]:
        """The preamble as a system instruction, and as a prefix of the input; one of them is empty.

        Both are empty without a preamble.
        """
        preamble = self.evaluation.preamble
        return (preamble, "") if self.evaluation.is_system_preamble else ("", preamble)

    async def _score(self, model: str, ask: Ask, cached: AnswerSource) -> Scores:
        on_progress = partial(self.on_progress, model) if self.on_progress else None
        return await score_answers(
            self.evaluation, self.examples, ask, answers=cached, on_progress=on_progress
        )


def open_evaluator(
    project: Project,
    evaluation: DesiredEvaluation,
    *,
    use_cache: bool = True,
    on_progress: OnProgress | None = None,
) -> Evaluator:
    """Return an evaluator with the examples of an evaluation.

    Raises RefusedError when the file changed since it was scanned.
    """
    path = evaluation.declared_path
    examples = load_numbered(evaluation.file, evaluation.source, display_path=path)
    if digest(numbered.example for numbered in examples) != evaluation.digest:
        raise RefusedError(
            f"{path} changed while this command was running; no example was sent",
            cure="Run the command again when no other process writes the file.",
        )
    project.create_state_dir()
    folder = project.state_dir / "evaluations" if use_cache else None
    return Evaluator(evaluation, examples, folder, on_progress)


async def evaluate(
    project: Project, name: str, options: EvaluateOptions, *, on_progress: OnProgress | None = None
) -> EvaluationReport:
    """Score the versions of a name and its base model, and evaluate the gate of the candidate.

    Raises TunedModelsError when the name has no evaluation, or no ready version.
    """
    resolution = resolve(project, use_cache=options.use_cache)
    declared = {desired.name: desired for desired in resolution.desired_or_raise()}
    async with connect(project) as providers:
        model = find_model(await list_models(project, providers), name)
        desired = declared.get(name)
        if desired is None or desired.evaluation is None:
            raise TunedModelsError(
                f"{name} declares no evaluation",
                cure="Hold out some examples, and name their file in spec.evaluation.path.",
            )
        candidate = _candidate(model, options.version)
        if candidate is None and model.serving is None:
            raise TunedModelsError(
                f"{name} has no ready version to evaluate",
                cure="To train what is declared: tunedmodels apply",
            )
        evaluator = open_evaluator(
            project, desired.evaluation, use_cache=options.use_cache, on_progress=on_progress
        )
        shots = _few_shot_examples(desired, evaluator, options.few_shot)
        versions = ((ComparedRole.CANDIDATE, candidate), (ComparedRole.SERVING, model.serving))
        base = desired.base_model
        compared = [
            *[await _compare_version(evaluator, providers, r, v) for r, v in versions if v],
            *await _compare_base_model(evaluator, providers[desired.provider], base, shots),
        ]
    return _report(project, desired, evaluator, compared, len(shots))


def _candidate(model: ModelVersions, version: str | None) -> ObservedModel | None:
    """Return the named version, or the newest ready one that never served; None if it serves."""
    if version is not None:
        chosen = ready_version(model, version)
        return None if chosen is model.serving else chosen
    new = [v for v in model.versions if v.state is ModelState.READY and v.promoted is None]
    return max(new, key=_created, default=None)


def _created(version: ObservedModel) -> tuple[float, str]:
    return version.created.timestamp() if version.created else 0.0, version.model_id


def _few_shot_examples(desired: Desired, evaluator: Evaluator, most: int | None) -> list[Example]:
    most = evaluator.evaluation.spec.few_shot if most is None else most
    dataset = desired.inputs.dataset
    examples = load(dataset.file, dataset.source, display_path=dataset.declared_path)
    held_out = {numbered.example.text_input for numbered in evaluator.examples}
    return choose_few_shot(examples, most, without=held_out)


async def _compare_version(
    evaluator: Evaluator,
    providers: Mapping[str, Provider],
    role: ComparedRole,
    version: ObservedModel,
) -> ComparedModel:
    try:
        scores = await evaluator.score_version(providers[version.provider], version)
    except PreambleMismatchError as error:
        return ComparedModel(role, version.model_id, None, error.message)
    return ComparedModel(role, version.model_id, scores)


async def _compare_base_model(
    evaluator: Evaluator, provider: Provider, base: str, shots: Sequence[Example]
) -> list[ComparedModel]:
    """Evaluate the base model, with and without examples in its prompt.

    Not an error if it cannot be called: some base models answer only after tuning.
    """
    compared = []
    for role, role_shots in ((ComparedRole.FEW_SHOT, shots), (ComparedRole.BASE, ())):
        if role is ComparedRole.FEW_SHOT and not role_shots:
            continue
        try:
            scores = await evaluator.score_base_model(provider, base, role_shots)
            compared.append(ComparedModel(role, base, scores))
        except UnansweredError as error:
            compared.append(ComparedModel(role, base, None, error.why.rstrip(".")))
    return compared


def _report(
    project: Project,
    desired: Desired,
    evaluator: Evaluator,
    compared: Sequence[ComparedModel],
    few_shot: int,
) -> EvaluationReport:
    gated_model_id, verdict = _evaluate_gate(evaluator.evaluation, compared)
    return EvaluationReport(
        name=desired.name,
        path=evaluator.evaluation.declared_path,
        metric=evaluator.evaluation.spec.metric,
        examples=len(evaluator.examples),
        few_shot=few_shot,
        models=tuple(compared),
        gated_model_id=gated_model_id,
        verdict=verdict,
        can_show_text=project.is_tracked(
            *files_of(evaluator.evaluation.file, evaluator.evaluation.source)
        ),
    )


def _evaluate_gate(
    evaluation: DesiredEvaluation, compared: Sequence[ComparedModel]
) -> tuple[str, GateVerdict | None]:
    """Return the gated version and its verdict; without a candidate, that of the serving version.

    The serving version is then compared with the fixed threshold only.
    """
    by_role = {model.role: model for model in compared}
    serving, candidate = by_role.get(ComparedRole.SERVING), by_role.get(ComparedRole.CANDIDATE)
    if candidate is None:
        spec = evaluation.spec.model_copy(update={"not_worse_than_serving_by": None})
        evaluation, candidate, serving = replace(evaluation, spec=spec), serving, None
    if candidate is None or candidate.scores is None or not evaluation.spec.is_gate:
        return "", None
    verdict = evaluate_gate(
        evaluation,
        candidate.scores,
        serving.scores if serving else None,
        no_baseline_reason=PREAMBLE_MISMATCH if serving and not serving.scores else "",
    )
    return candidate.model, verdict
