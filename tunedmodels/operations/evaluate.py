"""Asking the versions of a name, and the base model beside them, the held-out examples."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tunedmodels.datasets.diff import Numbered
from tunedmodels.datasets.examples import Example, digest, prompt
from tunedmodels.datasets.load import load, load_numbered
from tunedmodels.desired import Desired, DesiredEvaluation, preamble_mark
from tunedmodels.errors import RefusedError, TunedModelsError
from tunedmodels.evaluation.answer_cache import Answers, Forgetful, drawn
from tunedmodels.evaluation.gate import Verdict, judge
from tunedmodels.evaluation.report import Contender, Report, Role
from tunedmodels.evaluation.scoring import (
    Ask,
    Known,
    Scores,
    UnansweredError,
    asking,
    few_shot_prompt,
    score,
    shots,
)
from tunedmodels.observed import ModelState, Named, ObservedModel
from tunedmodels.operations.connect import connect
from tunedmodels.operations.models import names, pick, ready
from tunedmodels.project.project import Project
from tunedmodels.project.resolve import survey
from tunedmodels.providers.provider import Provider

OTHER_PREAMBLE = "it was trained with another preamble than is declared now"


class OtherPreambleError(TunedModelsError):
    """A version learned a preamble that is not declared any more, and nobody knows it."""


OnProgress = Callable[[str, int, int], None]
"""Called with whom is asked, how many examples are answered, and how many there are."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How to compare: which version is the candidate, how many examples a prompt holds at most.

    Without `remembers` every question is asked again.
    """

    version: str | None = None
    few_shot: int | None = None
    remembers: bool = True


@dataclass(frozen=True, slots=True)
class Examiner:
    """Asks the examples of one evaluation; what was answered before is not asked again."""

    evaluation: DesiredEvaluation
    examples: Sequence[Numbered]
    folder: Path | None
    on_progress: OnProgress | None = None

    async def version(self, provider: Provider, model: ObservedModel) -> Scores:
        """Return the scores of a version.

        Raises UnansweredError when an example got no answer, OtherPreambleError when the version
        learned another preamble (F5), unless all its answers are known from then.
        """
        how, preamble = self.evaluation.generation, self.evaluation.preamble
        known: Known = Forgetful()
        if self.folder:
            known = Answers.of_version(self.folder, model, how)
        mark = preamble_mark(preamble, as_system=self.evaluation.as_system)
        is_other = model.stamp and model.stamp.preamble != mark
        if is_other and any(known.get(each.example.text_input) is None for each in self.examples):
            raise OtherPreambleError(OTHER_PREAMBLE)
        system, before = self._preamble
        ask = asking(provider, model.resource, how, partial(prompt, before), system=system)
        return await self._score(model.model_id, ask, known)

    async def base(self, provider: Provider, resource: str, few: Sequence[Example]) -> Scores:
        """Return the scores of a base model, with `few` examples in its prompt.

        Raises UnansweredError when an example got no answer, as from a base that cannot be asked.
        """
        how, (system, before) = self.evaluation.generation, self._preamble
        worded = partial(few_shot_prompt, before, few) if few else partial(prompt, before)
        known: Known = Forgetful()
        if self.folder:
            shown = worded("") + (f"\0{system}" if system else "")
            frame = hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()
            name = resource.rpartition("/")[2]
            known = Answers(self.folder, name, provider.name, resource, frame, drawn(how))
        ask = asking(provider, resource, how, worded, system=system)
        return await self._score(resource, ask, known)

    @property
    def _preamble(self) -> tuple[str, str]:
        """The preamble as a system instruction, and as what is put before the input."""
        preamble = self.evaluation.preamble
        return (preamble, "") if self.evaluation.as_system else ("", preamble)

    async def _score(self, whom: str, ask: Ask, known: Known) -> Scores:
        tell = partial(self.on_progress, whom) if self.on_progress else None
        return await score(self.evaluation, self.examples, ask, known=known, on_progress=tell)


def examiner(
    project: Project,
    evaluation: DesiredEvaluation,
    *,
    remembers: bool = True,
    on_progress: OnProgress | None = None,
) -> Examiner:
    """Read the examples of an evaluation, to ask them.

    Raises RefusedError when they are not those that were declared.
    """
    read = load_numbered(evaluation.file, evaluation.source, written=evaluation.written)
    if digest(each.example for each in read) != evaluation.digest:
        raise RefusedError(
            f"{evaluation.written} is not what it was when it was read; nothing was asked",
            cure="Run it again once nobody writes the file.",
        )
    project.claim_state()
    return Examiner(
        evaluation, read, project.state / "evaluations" if remembers else None, on_progress
    )


async def evaluate(
    project: Project, name: str, manner: Manner, *, on_progress: OnProgress | None = None
) -> Report:
    """Score the versions of a name and its base model, and judge what is next to serve.

    Raises TunedModelsError when the name has no evaluation, or no version that is ready.
    """
    declared = {want.name: want for want in survey(project, use_cache=manner.remembers).checked()}
    async with connect(project) as providers:
        model = pick(await names(project, providers), name)
        want = declared.get(name)
        if want is None or want.evaluation is None:
            raise TunedModelsError(
                f"{name} declares no evaluation",
                cure="Hold out some examples, and name their file in spec.evaluation.path.",
            )
        candidate = _candidate(model, manner.version)
        if candidate is None and model.serving is None:
            raise TunedModelsError(
                f"{name} has no version that could be asked",
                cure="To train what is declared: tunedmodels apply",
            )
        asks = examiner(
            project, want.evaluation, remembers=manner.remembers, on_progress=on_progress
        )
        few = _shots(want, asks, manner.few_shot)
        tuned = ((Role.CANDIDATE, candidate), (Role.SERVING, model.serving))
        contenders = [
            *[await _asked(asks, providers, role, there) for role, there in tuned if there],
            *await _bases(asks, providers[want.provider], _root(want, declared), few),
        ]
    return _report(project, want, asks, contenders, len(few))


def _candidate(model: Named, version: str | None) -> ObservedModel | None:
    """Return the version that may be next: the newest ready one that never served."""
    if version is not None:
        chosen = ready(model, version)
        return None if chosen is model.serving else chosen
    new = [v for v in model.versions if v.state is ModelState.READY and v.promoted is None]
    return max(new, key=_created, default=None)


def _created(version: ObservedModel) -> tuple[float, str]:
    return version.created.timestamp() if version.created else 0.0, version.model_id


def _root(want: Desired, declared: Mapping[str, Desired]) -> str:
    """Return the base model that a model, or the one that it continues from, was tuned on."""
    while want.parent:
        want = declared[want.parent]
    return want.source


def _shots(want: Desired, asks: Examiner, most: int | None) -> list[Example]:
    most = asks.evaluation.rules.few_shot if most is None else most
    trained = load(want.dataset.file, want.dataset.source, written=want.dataset.written)
    return shots(trained, most, without={each.example.text_input for each in asks.examples})


async def _asked(
    asks: Examiner, providers: Mapping[str, Provider], role: Role, model: ObservedModel
) -> Contender:
    try:
        scores = await asks.version(providers[model.provider], model)
    except OtherPreambleError as error:
        return Contender(role, model.model_id, None, error.message)
    return Contender(role, model.model_id, scores)


async def _bases(
    asks: Examiner, provider: Provider, base: str, few: Sequence[Example]
) -> list[Contender]:
    """Ask the base model; that one cannot be asked is no failure, since some answer only tuned."""
    contenders = []
    for role, chosen in ((Role.FEW_SHOT, few), (Role.BASE, ())):
        if role is Role.FEW_SHOT and not chosen:
            continue
        try:
            contenders.append(Contender(role, base, await asks.base(provider, base, chosen)))
        except UnansweredError as error:
            contenders.append(Contender(role, base, None, error.why.rstrip(".")))
    return contenders


def _report(
    project: Project, want: Desired, asks: Examiner, contenders: Sequence[Contender], few: int
) -> Report:
    judged, verdict = _verdict(asks.evaluation, contenders)
    return Report(
        name=want.name,
        path=asks.evaluation.written,
        metric=asks.evaluation.rules.metric,
        examples=len(asks.examples),
        few_shot=few,
        contenders=tuple(contenders),
        judged=judged,
        verdict=verdict,
        shows_text=project.is_tracked(asks.evaluation.file),
    )


def _verdict(
    evaluation: DesiredEvaluation, contenders: Sequence[Contender]
) -> tuple[str, Verdict | None]:
    """Judge the candidate beside the serving version; without one, the serving version alone."""
    by_role = {contender.role: contender for contender in contenders}
    serving, candidate = by_role.get(Role.SERVING), by_role.get(Role.CANDIDATE)
    if candidate is None:
        alone = evaluation.rules.model_copy(update={"not_worse_than_serving_by": None})
        evaluation, candidate, serving = replace(evaluation, rules=alone), serving, None
    if candidate is None or candidate.scores is None or not evaluation.rules.is_gate:
        return "", None
    unable = OTHER_PREAMBLE if serving and not serving.scores else ""
    verdict = judge(
        evaluation, candidate.scores, serving.scores if serving else None, no_serving=unable
    )
    return candidate.model, verdict
