"""The notice about a base model that retires: the affected versions, and the cost of others."""

from __future__ import annotations

from dataclasses import replace

from tests.support.builders import desired, live, plan_for, with_dataset, with_inputs
from tunedmodels.observed import ModelState
from tunedmodels.operations.successors import with_retraining_costs
from tunedmodels.plan.planner import BaseModelFacts
from tunedmodels.project.base_models import BaseModelReport
from tunedmodels.schema.base_models import BaseModelCatalog
from tunedmodels.schema.tuned_model import Hyperparameters

CATALOG = BaseModelCatalog()
SUCCESSORS = tuple(
    info
    for name in ("gemini-3.5-flash", "gemini-3.5-flash-lite")
    if (info := CATALOG.get("vertex", name))
)
MODEL = with_dataset(
    with_inputs(
        desired(provider="eu", source="models/gemini-2.5-flash"),
        hyperparameters=Hyperparameters(epoch_count=2),
    ),
    tokens=649_514,
)
REPORT = BaseModelReport({}, {}, {"tone": SUCCESSORS})
FACTS = BaseModelFacts(notices={"tone": ["models/gemini-2.5-flash retired"]})


def test_a_plan_names_the_affected_versions_and_the_cost_of_training_again() -> None:
    serving = live(MODEL, promoted=1)
    facts = with_retraining_costs(FACTS, REPORT, [MODEL], {"tone": [serving]})
    notice = (
        f"it affects {serving.model_id}; training it again costs about $12.99 with "
        "models/gemini-3.5-flash; an unknown amount with models/gemini-3.5-flash-lite; Vertex AI "
        "can also rebase it (tuningJobs:rebaseTunedModel)"
    )
    assert facts.notices["tone"] == ["models/gemini-2.5-flash retired", notice]
    plan = plan_for([MODEL], [serving], base_models=facts)
    assert f"tone: it affects {serving.model_id}; training it again" in plan.warnings[1]


def test_versions_that_are_not_ready_or_not_ours_are_not_affected() -> None:
    failed = live(MODEL, state=ModelState.FAILED)
    other = live(desired("other", provider="eu"), promoted=1)
    versions = {"tone": [failed], "other": [other]}
    assert with_retraining_costs(FACTS, REPORT, [MODEL], versions) == FACTS
    facts = with_retraining_costs(
        FACTS, replace(REPORT, successors={}), [MODEL], {"tone": [live(MODEL, promoted=1)]}
    )
    assert facts == FACTS
