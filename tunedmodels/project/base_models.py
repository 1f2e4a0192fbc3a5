"""What is known of the base models that are declared, held against the manifests.

None of it stops a plan as a whole: a model that answers is looked after whatever became of its base
model. What stands in the way of a training is an error; the planner makes a failed change of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from tunedmodels.errors import Problem, Severity
from tunedmodels.manifests.declaration import Declared
from tunedmodels.manifests.yaml_scalars import visible
from tunedmodels.project.project import Project
from tunedmodels.schema.base_models import BaseModelRow, BaseModels, Price, Retirement, bare
from tunedmodels.schema.project import AnyProvider, GeminiSettings, ProjectManifest, VertexSettings
from tunedmodels.text import did_you_mean

if TYPE_CHECKING:  # `validate` plans nothing, and starts faster without
    from tunedmodels.plan.cost import Pricing
    from tunedmodels.plan.planner import Bases


WARNING_DAYS: Final = 90
# These hold for a model that is ready, too: it stops to answer together with its base model.
LASTING: Final = frozenset({"base-retired", "base-retiring"})

_HOSTED: Final = GeminiSettings(type="gemini").endpoint
_LATER: Final = "or say otherwise in spec.baseModels of the Project"


@dataclass(frozen=True, slots=True)
class Tuning:
    """One declared model, and where it is to be tuned from which base model."""

    model: Declared
    provider: str
    settings: AnyProvider
    base: str

    @property
    def location(self) -> str:
        """The place within the provider, where it has one."""
        return self.settings.location if isinstance(self.settings, VertexSettings) else ""

    @property
    def place(self) -> str:
        """The field that a person has to edit to tune another base model."""
        return "spec.tunedModel" if self.model.spec.tuned_model else "spec.baseModel"

    def problem(
        self, code: str, message: str, cure: str, severity: Severity = Severity.ERROR, at: str = ""
    ) -> Problem:
        """Say what is wrong, with its file and line."""
        return self.model.place_of(at or self.place).problem(code, message, cure, severity)


def tunings(project: ProjectManifest, models: Iterable[Declared]) -> Iterator[Tuning]:
    """Yield what is to be tuned, where base model and provider are known to the manifests."""
    by_name = {model.name: model for model in models}
    known = project.providers()
    for model in by_name.values():
        provider = model.spec.provider or project.spec.provider
        base = _root(model, by_name)
        if provider in known and base:
            yield Tuning(model, provider, known[provider], base)


def judge(
    project: ProjectManifest, models: Iterable[Declared], table: BaseModels, today: date
) -> Mapping[str, tuple[Problem, ...]]:
    """Return what is to be said of the base models, by the names of the declared models.

    `today`, in UTC, decides what is retired.
    """
    days = project.spec.policy.min_base_model_days
    said = {
        tuning.model.name: tuple(_judge(tuning, table, today, days))
        for tuning in tunings(project, models)
        if not _is_elsewhere(tuning.settings)
    }
    return {name: problems for name, problems in said.items() if problems}


def _is_elsewhere(settings: AnyProvider) -> bool:
    # Another endpoint than Google's speaks the same API and has base models of its own.
    return isinstance(settings, GeminiSettings) and settings.endpoint != _HOSTED


def _root(model: Declared, by_name: Mapping[str, Declared]) -> str:
    seen: set[str] = set()
    while model.spec.tuned_model and model.name not in seen:
        seen.add(model.name)
        parent = by_name.get(model.spec.tuned_model)
        if parent is None:
            return ""
        model = parent
    return model.spec.base_model or ""


def _judge(tuning: Tuning, table: BaseModels, today: date, days: int) -> Iterator[Problem]:
    row = table.find(tuning.settings.type, tuning.base)
    if row is None:
        yield _unknown(tuning, table)
        return
    instead = _instead(tuning, table, today)
    base = visible(tuning.base)
    if row.retirement:
        yield from _retirement(tuning, row.retirement, today, days, instead)
    if row.tunable is False:
        yield tuning.problem("base-not-tunable", f"{base} cannot be tuned", instead)
    if tuning.model.spec.tuned_model and row.continues is False:
        message = f"what was tuned from {base} cannot be tuned further"
        yield tuning.problem("base-not-continued", message, "begin with a baseModel")
    if tuning.location and row.tune_in is not None and tuning.location not in row.tune_in:
        message = f"{base} is not tuned in {tuning.location}, where provider {tuning.provider} is"
        cure = f"name a provider in {_either(row.tune_in)}, {_LATER}"
        yield tuning.problem("base-not-there", message, cure)
    yield from _adapter(tuning, row)
    yield from _answers(tuning, row)


def _unknown(tuning: Tuning, table: BaseModels) -> Problem:
    names = [f"models/{name}" for name in table.names(tuning.settings.type)]
    message = f"{visible(tuning.base)} is not known, so nothing about it was checked"
    near = did_you_mean(tuning.base, names)
    cure = near or f"check its name; known are {_listed(names)}; more go to spec.baseModels"
    return tuning.problem("unknown-base", message, cure, Severity.WARNING)


def _retirement(
    tuning: Tuning, retirement: Retirement, today: date, days: int, instead: str
) -> Iterator[Problem]:
    left = (retirement.date - today).days
    if left > max(WARNING_DAYS, days):
        return
    base, when = visible(tuning.base), str(retirement.date)
    is_hearsay = retirement.certainty == "unofficial"
    if is_hearsay:
        when += f" (unofficial: {retirement.source}, {retirement.as_of})"
        instead += ", if that is so"
    if left <= 0:
        message = f"{base} retired on {when}, and what was tuned from it with it"
        # Hearsay stops nobody's work.
        severity = Severity.WARNING if is_hearsay else Severity.ERROR
        yield tuning.problem("base-retired", message, instead, severity)
        return
    message = f"{base} retires on {when}, and what was tuned from it with it"
    yield tuning.problem("base-retiring", message, instead, Severity.WARNING)
    if left <= days and not is_hearsay:
        message = f"{base} retires on {when}, and spec.policy.minBaseModelDays is {days}"
        yield tuning.problem("base-too-old", message, f"{instead}, or lower minBaseModelDays")


def _adapter(tuning: Tuning, row: BaseModelRow) -> Iterator[Problem]:
    size = tuning.model.spec.hyperparameters.adapter_size
    if size is None or row.adapter_sizes is None or size in row.adapter_sizes:
        return
    message = f"{size} is not offered for {visible(tuning.base)}"
    cure = f"set it to {_either(map(str, row.adapter_sizes))}, {_LATER}"
    at = "spec.hyperparameters.adapterSize"
    yield tuning.problem("adapter-size", message, cure, at=at)


def _answers(tuning: Tuning, row: BaseModelRow) -> Iterator[Problem]:
    """Advise what comes after the training: who is asked where, and for how much."""
    base = visible(tuning.base)
    if tuning.location and row.serve_from is not None and tuning.location not in row.serve_from:
        message = f"{base} is tuned in {tuning.location} and answers from {_either(row.serve_from)}"
        cure = "see that the answers may come from there"
        yield tuning.problem("served-elsewhere", message, cure, Severity.ADVICE)
    if row.inference and row.inference.factor != 1:
        known = row.inference
        message = f"what is tuned from {base} answers at {known.factor:g} times its price"
        if known.certainty == "unofficial":
            message += f" (unofficial: {known.source}, {known.as_of})"
        cure = "reckon with it before the model serves"
        yield tuning.problem("inference-price", message, cure, Severity.ADVICE)


def _instead(tuning: Tuning, table: BaseModels, today: date) -> str:
    """Say which other base models could be tuned in the same place for a while."""
    rows = (table.find(tuning.settings.type, name) for name in table.names(tuning.settings.type))
    names = [
        f"models/{row.name}"
        for row in rows
        if row
        and row.tunable
        and row.name != bare(tuning.base)
        and not (row.retirement and row.retirement.date - today < timedelta(days=WARNING_DAYS))
        and not (tuning.location and row.tune_in and tuning.location not in row.tune_in)
    ]
    if names:
        return f"set baseModel to {_either(names)}"
    return f"no base model is known that can be tuned on {tuning.provider}: name another provider"


def _either(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


# FOLDED
# What is known offline of the base models of a project, for `validate` and for the plan.
@dataclass(frozen=True, slots=True)
class Judged:
    """Problems by the names of the declared models, and what each training costs."""

    problems: Mapping[str, tuple[Problem, ...]]
    known_prices: Mapping[str, Price | None]

    @property
    def prices(self) -> Mapping[str, Pricing]:
        """What each training costs, as the planner takes it."""
        from tunedmodels.plan.cost import Pricing

        return {
            name: Pricing(
                price.usd_per_million_tokens,
                as_of=price.as_of.isoformat() if price.as_of else "",
                is_official=price.certainty == "documented",
            )
            if price
            else Pricing(None)
            for name, price in self.known_prices.items()
        }

    @property
    def all(self) -> tuple[Problem, ...]:
        """Every problem once, by file and line."""
        return tuple(sorted({p for problems in self.problems.values() for p in problems}))

    @property
    def advice(self) -> Mapping[str, list[str]]:
        """The warnings that matter to whoever trains."""
        return {
            name: [
                _said(problem)
                for problem in problems
                if problem.severity is Severity.WARNING and problem.code not in LASTING
            ]
            for name, problems in self.problems.items()
        }

    def bases(self) -> Bases:
        """Return all of it as the planner takes it."""
        from tunedmodels.plan.planner import Bases, Obstacle

        errors = {
            name: next(p for p in problems if p.severity is Severity.ERROR)
            for name, problems in self.problems.items()
            if any(p.severity is Severity.ERROR for p in problems)
        }
        lasting = {
            name: [_said(problem) for problem in problems if problem.code in LASTING]
            for name, problems in self.problems.items()
        }
        return Bases(
            prices=self.prices,
            obstacles={name: Obstacle(p.message, _sentence(p.cure)) for name, p in errors.items()},
            notices={name: said for name, said in lasting.items() if said},
        )


def judged(project: Project, today: date | None = None) -> Judged:
    """Hold the manifests against the table of base models, as of a day in UTC; offline."""
    table = BaseModels(project.manifest.spec.base_models)
    day = today or datetime.now(UTC).date()
    prices = {
        tuning.model.name: table.price(tuning.settings.type, tuning.base)
        for tuning in tunings(project.manifest, project.declared)
    }
    return Judged(judge(project.manifest, project.declared, table, day), prices)


def _said(problem: Problem) -> str:
    where = f"{problem.file}:{problem.line}"
    return f"{where}: {problem.message}. {_sentence(problem.cure)}".rstrip()


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}." if words else ""
