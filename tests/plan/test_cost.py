"""The cost in a plan: sums, their basis, limits, and that costs are not part of the digest."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import desired, plan_for, with_dataset
from tests.support.plans import PLANS
from tunedmodels.plan.cost import FREE, cost_of
from tunedmodels.plan.plan import Action, Plan
from tunedmodels.plan.planner import BaseModelFacts
from tunedmodels.render.options import RenderOptions
from tunedmodels.render.plan.markdown import plan_markdown
from tunedmodels.render.plan.text import plan_text
from tunedmodels.schema.base_models import Price
from tunedmodels.schema.project import Policy
from tunedmodels.schema.tuned_model import Hyperparameters

FLASH = Price(usd_per_million_tokens=5.0, as_of=date(2026, 9, 24))
PRICED = BaseModelFacts(prices={"tone": FLASH})


def price_of(usd: float | None) -> Price | None:
    """Return a price in US dollars per million tokens; None is unknown."""
    return None if usd is None else FLASH.model_copy(update={"usd_per_million_tokens": usd})


def epochs(count: int | None) -> Hyperparameters:
    return Hyperparameters(epoch_count=count)


def plan_of(*trained: tuple[int, int | None, float | None], limit: float | None = None) -> Plan:
    """Return a plan that creates one model for each (tokens, epochs, price)."""
    models, prices = [], {}
    for number, (tokens, count, price) in enumerate(trained):
        name = f"model-{number}"
        models.append(with_dataset(desired(name, hyperparameters=epochs(count)), tokens=tokens))
        prices[name] = price_of(price)
    return plan_for(
        models, base_models=BaseModelFacts(prices=prices), policy=Policy(max_cost_usd=limit)
    )


@pytest.mark.parametrize(
    ("tokens", "count", "price", "usd"),
    [
        (148_230, 3, 5.0, 2.22),
        (21_400, 5, 1.5, 0.16),
        (1, 1, 5.0, 0.01),  # a small amount is not free
        (148_230, None, 5.0, None),
        (148_230, 3, None, None),
        (None, 3, 5.0, None),
        (None, None, 0.0, 0.0),
    ],
)
def test_a_training_costs_its_tokens_times_epochs_times_price(
    tokens: int | None, count: int | None, price: float | None, usd: float | None
) -> None:
    model = with_dataset(desired(hyperparameters=epochs(count)), tokens=tokens)
    cost = cost_of(Action.CREATE, model, price_of(price))
    assert cost
    assert cost.usd == usd


@pytest.mark.parametrize("action", [action for action in Action if not action.trains])
def test_an_action_that_does_not_train_has_no_cost(action: Action) -> None:
    assert cost_of(action, with_dataset(desired(), tokens=1000), FLASH) is None


def test_the_cost_of_a_free_training_has_no_details() -> None:
    cost = cost_of(Action.CREATE, with_dataset(desired(), tokens=1000), FREE)
    assert cost
    assert cost.model_dump(exclude_unset=False) == {"usd": 0}


def test_a_warning_tells_how_to_limit_the_cost_if_the_service_chooses_the_epochs() -> None:
    (change,) = plan_of((1000, None, 5.0)).changes
    (warning,) = change.warnings
    assert "set hyperparameters.epochCount to limit it" in warning
    (limited,) = plan_of((1000, 2, 5.0)).changes
    assert limited.warnings == ()
    (free,) = plan_of((1000, None, 0.0)).changes
    assert free.warnings == ()


def test_the_cost_depends_on_the_epochs() -> None:
    assert plan_of((1_000_000, 4, 5.0)).cost_usd == 20
    assert plan_of((1_000_000, 2, 5.0)).cost_usd == 10


def test_the_price_is_not_part_of_the_digest() -> None:
    plans = [plan_of((1000, 2, price)) for price in (0.0, 5.0, 7.5, None)]
    plans += [plan_of((2000, 2, 5.0)), plan_of((1000, 2, 5.0), limit=100)]
    assert len({plan.digest for plan in plans}) == 1


def test_a_limit_refuses_higher_and_unknown_costs() -> None:
    assert plan_of((1_000_000, 2, 5.0), limit=10).refusals == ()
    (expensive,) = plan_of((1_000_000, 3, 5.0), limit=10).refusals
    assert "about $15.00 (limit is $10.00)" in expensive.message
    (unbounded,) = plan_of((1000, None, 5.0), limit=10).refusals
    assert unbounded.cure.startswith("Set hyperparameters.epochCount, or remove")
    (unpriced,) = plan_of((1000, 2, None), limit=10).refusals
    assert "spec.baseModels" in unpriced.cure
    assert "epochCount" not in unpriced.cure


dollars = st.sampled_from([0.0, 1.5, 3.0, 5.0, 25.0])
trainings = st.tuples(st.integers(1, 10**9), st.integers(1, 50), dollars)


@given(st.lists(trainings, min_size=1, max_size=6))
def test_the_displayed_costs_add_up(trained: list[tuple[int, int, float]]) -> None:
    plan = plan_of(*trained)
    text = plan_text(plan)
    costs = re.findall(r"^\+ .* (\$[\d,.]+|free)$", text, re.MULTILINE)
    total = sum(round(100 * _number(cost)) for cost in costs)
    assert len(costs) == len(trained)
    summary = " ".join(text.partition("\nCost: ")[2].split())
    displayed = re.search(r"about (\$[\d,.]+\d)", summary)
    assert (round(100 * _number(displayed[1])) if displayed else 0) == total
    rows = re.findall(r"cost +([\d,]+) tokens \S+ \S+ %\) x (\d+) epoch", text)
    tokens = sum(_number(count) * int(times) for count, times in rows)
    assert tokens == (_number(summary.split(" training")[0].split()[-1]) if rows else 0)
    if displayed:
        assert f"**{displayed[1]}** |" in plan_markdown(plan, RenderOptions(max_bytes=10**6))


@pytest.mark.parametrize("name", PLANS)
def test_the_cost_of_every_plan_is_that_of_its_changes(name: str) -> None:
    plan = PLANS[name]()
    costs = [change.cost for change in plan.changes if change.cost]
    assert len(costs) == sum(change.action.trains for change in plan.changes)
    if None not in [cost.usd for cost in costs]:
        assert plan.cost_usd == round(sum(cost.usd or 0 for cost in costs), 2)
    assert plan.training_tokens == sum(cost.training_tokens or 0 for cost in costs)


def test_the_summary_has_the_date_of_the_oldest_price() -> None:
    plan = plan_of((10**6, 1, 5.0), (10**6, 1, 1.0))
    assert "(prices of 2026-09-24; an estimate, not a quote)" in " ".join(plan_text(plan).split())
    first, second = plan.changes
    assert second.cost
    older = second.model_copy(
        update={"cost": second.cost.model_copy(update={"prices_of": "2026-01-01"})}
    )
    text = plan_text(plan.model_copy(update={"changes": (first, older)}))
    assert "(prices of 2026-01-01;" in " ".join(text.split())


def test_tokens_are_shown_as_counted_or_estimated() -> None:
    counted = with_dataset(desired(), tokens=1000, tokens_are_exact=True)
    plan = plan_for([counted], base_models=PRICED)
    assert "1,000 tokens (counted) x 5 epochs x $5.00 per 1M" in plan_text(plan)
    estimated = plan_for([with_dataset(counted, tokens_are_exact=False)], base_models=PRICED)
    assert "1,000 tokens (+/- 15 %) x 5 epochs" in plan_text(estimated)


def _number(text: str) -> float:
    return 0.0 if text == "free" else float(text.strip("$").replace(",", ""))
