"""Which live models a retiring base model affects, and what training them again costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.plan.cost import cost_of
from tunedmodels.plan.plan import Action
from tunedmodels.plan.planner import BaseModelFacts
from tunedmodels.project.base_models import BaseModelReport
from tunedmodels.schema.base_models import BaseModelInfo


def with_retraining_costs(
    facts: BaseModelFacts,
    report: BaseModelReport,
    desired: Iterable[Desired],
    versions: Mapping[str, Sequence[ObservedModel]],
) -> BaseModelFacts:
    """Return the facts with a notice for each name whose base model retires or has retired.

    The notice names the ready versions that stop answering, and the cost of training the declared
    version from each base model that can replace it.
    """
    notices: Mapping[str, Sequence[str]] = facts.notices
    for model in desired:
        infos = report.successors.get(model.name)
        affected = [version.model_id for version in _ready_versions(versions.get(model.name, ()))]
        if infos is None or not affected:
            continue
        text = f"it affects {', '.join(affected)}"
        if costs := "; ".join(_costs(model, infos)):
            text += f"; training it again costs {costs}"
        if any(info.provider == "vertex" for info in infos):
            text += "; Vertex AI can also rebase it (tuningJobs:rebaseTunedModel)"
        notices = {**notices, model.name: [*notices.get(model.name, ()), text]}
    return replace(facts, notices=notices)


def _ready_versions(versions: Iterable[ObservedModel]) -> Iterator[ObservedModel]:
    return (version for version in versions if version.state is ModelState.READY)


def _costs(model: Desired, infos: Iterable[BaseModelInfo]) -> Iterator[str]:
    for info in infos:
        cost = cost_of(Action.REPLACE, model, info.price)
        is_known = cost is not None and cost.usd is not None
        amount = f"about ${cost.usd:,.2f}" if cost and is_known else "an unknown amount"
        yield f"{amount} with {info.reference}"
