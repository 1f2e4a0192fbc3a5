"""Check the declared models against the catalog of base models, for `validate` and for the plan.

A problem here does not stop a whole plan: a ready model is managed even if its base model is
retired. An error prevents a training, and the planner turns the training into a failed change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from tunedmodels.errors import Problem, Severity
from tunedmodels.project.alternatives import WARNING_DAYS, Alternatives, TrainingTarget
from tunedmodels.project.open_models import check_open_model
from tunedmodels.project.project import Project
from tunedmodels.schema.base_models import (
    BaseModelCatalog,
    BaseModelInfo,
    BaseModelRetirement,
    Price,
    is_open_model,
)
from tunedmodels.schema.project import AnyProvider, GeminiSettings, Policy, VertexSettings
from tunedmodels.text import join, printable, suggest

if TYPE_CHECKING:  # start-up: `validate` does not plan
    from tunedmodels.plan.planner import BaseModelFacts


# A ready model is affected as well: it stops answering together with its base model.
AFFECTS_READY_MODELS: Final = frozenset({"base-retired", "base-retiring"})

_GOOGLE_ENDPOINT: Final = GeminiSettings(type="gemini").endpoint
_OR_CORRECT: Final = "or correct spec.baseModels of the Project"
_NOT_FOR_GEMINI: Final = ("global", "us", "eu")  # the service refuses to tune Gemini models there


@dataclass(frozen=True, slots=True)
class BaseModelReport:
    """The problems and prices of base models, by the names of the declared models."""

    problems: Mapping[str, tuple[Problem, ...]]
    prices: Mapping[str, Price | None]  #: of a training; None: unknown
    successors: Mapping[str, tuple[BaseModelInfo, ...]] = field(default_factory=dict)
    """The base models that can replace one that retires, by the names of the declared models."""

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """Every problem once, sorted by file and line."""
        return tuple(sorted({p for problems in self.problems.values() for p in problems}))

    @property
    def training_warnings(self) -> Mapping[str, list[str]]:
        """The warnings that matter for a training."""
        return {
            name: [
                _describe(problem)
                for problem in problems
                if problem.severity is Severity.WARNING and problem.code not in AFFECTS_READY_MODELS
            ]
            for name, problems in self.problems.items()
        }

    def facts(self) -> BaseModelFacts:
        """Return the report as input of the planner."""
        from tunedmodels.plan.planner import BaseModelFacts, Blocker

        errors = {
            name: next(p for p in problems if p.severity is Severity.ERROR)
            for name, problems in self.problems.items()
            if any(p.severity is Severity.ERROR for p in problems)
        }
        notices = {
            name: [_describe(p) for p in problems if p.code in AFFECTS_READY_MODELS]
            for name, problems in self.problems.items()
        }
        return BaseModelFacts(
            prices=self.prices,
            blockers={name: Blocker(p.message, _sentence(p.cure)) for name, p in errors.items()},
            notices={name: messages for name, messages in notices.items() if messages},
        )


def base_model_report(project: Project, today: date | None = None) -> BaseModelReport:
    """Check the base models as of a date (UTC), by default today. Offline."""
    catalog = BaseModelCatalog(project.manifest.spec.base_models)
    day = today or datetime.now(UTC).date()
    prices = {
        target.model.name: catalog.price(target.settings.type, target.base_model)
        for target in training_targets(project)
    }
    problems = check_base_models(project, catalog, day)
    policy = project.manifest.spec.policy
    successors = {
        target.model.name: Alternatives(target, catalog, day, policy).here
        for target in training_targets(project)
        if any(p.code in AFFECTS_READY_MODELS for p in problems.get(target.model.name, ()))
    }
    return BaseModelReport(problems, prices, successors)


def training_targets(project: Project) -> Iterator[TrainingTarget]:
    """Yield the models whose base model and provider are in the manifests."""
    providers = project.manifest.providers()
    for model in project.declared:
        provider, base_model = project.provider_of(model), project.base_models[model.name]
        if provider in providers and base_model:
            yield TrainingTarget(model, provider, providers[provider], base_model)


def check_base_models(
    project: Project, catalog: BaseModelCatalog, today: date
) -> Mapping[str, tuple[Problem, ...]]:
    """Return the problems with base models by the names of the declared models.

    `today` (UTC) decides which base models have retired.
    """
    policy = project.manifest.spec.policy
    by_name = {
        target.model.name: tuple(_check(target, catalog, today, policy))
        for target in training_targets(project)
        if not _has_other_base_models(target.settings)
    }
    return {name: problems for name, problems in by_name.items() if problems}


def _has_other_base_models(settings: AnyProvider) -> bool:
    # Another service with the Gemini API has base models of its own.
    return isinstance(settings, GeminiSettings) and settings.endpoint != _GOOGLE_ENDPOINT


def _check(
    target: TrainingTarget, catalog: BaseModelCatalog, today: date, policy: Policy
) -> Iterator[Problem]:
    choice = Alternatives(target, catalog, today, policy)
    info = catalog.get(target.settings.type, target.base_model)
    if info is None:
        yield _unknown(target, choice)
        yield from _location(target, None, choice)
        return
    base = printable(target.base_model)
    min_days = policy.min_base_model_days
    if info.retirement:
        yield from _retirement(target, info.retirement, today, min_days, choice.cure)
    if info.tunable is False:
        yield target.problem("base-not-tunable", f"{base} cannot be tuned", choice.cure)
    if target.model.spec.tuned_model and info.continues is False:
        message = f"models tuned from {base} cannot be tuned further"
        yield target.problem("base-not-continued", message, "start from a baseModel")
    yield from _location(target, info, choice)
    yield from _encryption(target, info)
    yield from _adapter_size(target, info)
    if isinstance(target.settings, VertexSettings):
        yield from check_open_model(target.model, info)
    yield from _serving_advice(target, info)
    if info.is_preview and info.tunable:
        message = f"the tuning of {base} is a preview"
        cure = "read the terms of previews before you depend on it"
        yield target.problem("base-preview", message, cure, Severity.ADVICE)


def _unknown(target: TrainingTarget, choice: Alternatives) -> Problem:
    names = choice.names
    message = f"{printable(target.base_model)} is unknown, so it was not checked"
    listed = ", ".join(names) or "none"
    cure = suggest(target.base_model, names) or (
        f"check its name; known are {listed}; add others to spec.baseModels"
    )
    return target.problem("unknown-base", message, cure, Severity.WARNING)


def _location(
    target: TrainingTarget, info: BaseModelInfo | None, choice: Alternatives
) -> Iterator[Problem]:
    """Yield a problem if the base model cannot be tuned in the location of the provider."""
    if not target.location or (info and info.tunable is False):
        return
    message = (
        f"{printable(target.base_model)} cannot be tuned in {target.location}, the location of "
        f"{target.provider}"
    )
    if info and info.tune_in is not None:
        if target.location not in info.tune_in:
            cure = f"use a provider in {join(info.tune_in, 'or')}, {_OR_CORRECT}"
            yield target.problem("base-not-there", message, cure)
    elif target.location in _NOT_FOR_GEMINI and not is_open_model(target.base_model):
        regions = choice.locations or ("us-central1", "europe-west4")
        cure = f"use a provider in a region, such as {join(regions, 'or')}"
        yield target.problem("base-not-there", message, cure)


def _encryption(target: TrainingTarget, info: BaseModelInfo) -> Iterator[Problem]:
    """Yield a problem if a key is declared, and the base model does not support it."""
    if info.customer_keys is not False or not isinstance(target.settings, VertexSettings):
        return
    base = printable(target.base_model)
    message = f"{base} does not support customer-managed keys"
    if target.model.spec.encryption_spec:
        at, cure = "spec.encryptionSpec", f"remove it, {_OR_CORRECT}"
        yield target.problem("key-unsupported", message, cure, at=at)
    elif target.settings.encryption_spec:
        message += f", and the provider {target.provider} sets one"
        cure = f"remove encryptionSpec from the provider {target.provider}, {_OR_CORRECT}"
        yield target.problem("key-unsupported", message, cure)


def _retirement(
    target: TrainingTarget,
    retirement: BaseModelRetirement,
    today: date,
    min_days: int,
    cure: str,
) -> Iterator[Problem]:
    days_left = (retirement.date - today).days
    if days_left > max(WARNING_DAYS, min_days):
        return
    base, when = printable(target.base_model), retirement.text
    is_unofficial = retirement.certainty == "unofficial"
    if days_left <= 0:
        when = str(retirement.date)
    if is_unofficial:
        when += f" (unofficial: {retirement.source}, {retirement.as_of})"
        cure += ", if that is correct"
    elif retirement.or_later:
        cure += "; if the date was postponed, set retirement in spec.baseModels of the Project"
    if days_left <= 0:
        message = f"{base} retired on {when}, together with the models tuned from it"
        # An unofficial date must not prevent a training.
        severity = Severity.WARNING if is_unofficial else Severity.ERROR
        yield target.problem("base-retired", message, cure, severity)
        return
    message = f"{base} retires on {when}, together with the models tuned from it"
    yield target.problem("base-retiring", message, cure, Severity.WARNING)
    if days_left <= min_days and not is_unofficial:
        message = f"{base} retires on {when}, and spec.policy.minBaseModelDays is {min_days}"
        yield target.problem("base-too-old", message, f"{cure}, or lower minBaseModelDays")


def _adapter_size(target: TrainingTarget, info: BaseModelInfo) -> Iterator[Problem]:
    size = target.model.spec.hyperparameters.adapter_size
    if size is None or info.adapter_sizes is None or size in info.adapter_sizes:
        return
    message = f"{size} is not available for {printable(target.base_model)}"
    cure = f"set it to {join(map(str, info.adapter_sizes), 'or')}, {_OR_CORRECT}"
    at = "spec.hyperparameters.adapterSize"
    yield target.problem("adapter-size", message, cure, at=at)


def _serving_advice(target: TrainingTarget, info: BaseModelInfo) -> Iterator[Problem]:
    """Yield advice about the location and the price of requests to the tuned model."""
    base = printable(target.base_model)
    if target.location and info.serve_from is not None and target.location not in info.serve_from:
        locations = join(info.serve_from, "or")
        message = f"{base} is tuned in {target.location} and answers from {locations}"
        cure = "check that requests may be answered from there"
        yield target.problem("served-elsewhere", message, cure, Severity.ADVICE)
    inference = info.inference
    if inference and inference.factor != 1:
        message = (
            f"a request to a model tuned from {base} costs {inference.factor:g} times its price"
        )
        if inference.certainty == "unofficial":
            message += f" (unofficial: {inference.source}, {inference.as_of})"
        cure = "consider this before you promote the model"
        yield target.problem("inference-price", message, cure, Severity.ADVICE)


def _describe(problem: Problem) -> str:
    location = f"{problem.file}:{problem.line}"
    return f"{location}: {problem.message}. {_sentence(problem.cure)}".rstrip()


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""
