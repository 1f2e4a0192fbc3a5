"""What is known offline of the base models of a project, for `validate` and for the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from tunedmodels.capabilities.rows import Price
from tunedmodels.errors import Problem, Severity
from tunedmodels.project.base_models import LASTING, judge, tunings
from tunedmodels.project.project import Project
from tunedmodels.schema.base_models import BaseModels

if TYPE_CHECKING:  # `validate` plans nothing, and starts faster without
    from tunedmodels.plan.cost import Pricing
    from tunedmodels.plan.planner import Bases


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
