"""What a plan says that it costs: it adds up, says what it rests on, and decides no digest."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import desired, planned
from tests.support.plans import PLANS, weighed
from tunedmodels.plan.cost import FREE, Pricing, cost_of
from tunedmodels.plan.plan import Action, Plan
from tunedmodels.plan.planner import Bases
from tunedmodels.render.plan.markdown import plan_markdown
from tunedmodels.render.plan.text import plan_text
from tunedmodels.schema.project import Policy
from tunedmodels.schema.tuned_model import Hyperparameters

FLASH = Pricing(5.0, as_of="2026-09-24")


def epochs(count: int | None) -> Hyperparameters:
    return Hyperparameters(epoch_count=count)


def plan_of(*trained: tuple[int, int | None, float | None], limit: float | None = None) -> Plan:
    """A plan that creates one model for each (tokens, epochs, price)."""
    wants, prices = [], {}
    for number, (tokens, count, price) in enumerate(trained):
        name = f"model-{number}"
        wants.append(weighed(desired(name, hyperparameters=epochs(count)), tokens))
        prices[name] = Pricing(price, as_of="2026-09-24")
    return planned(wants, bases=Bases(prices=prices), policy=Policy(max_cost_usd=limit))


@pytest.mark.parametrize(
    ("tokens", "count", "price", "usd"),
    [
        (148_230, 3, 5.0, 2.22),
        (21_400, 5, 1.5, 0.16),
        (1, 1, 5.0, 0.01),  # never "free" because it is little
        (148_230, None, 5.0, None),
        (148_230, 3, None, None),
        (None, 3, 5.0, None),
        (None, None, 0.0, 0.0),
    ],
)
def test_a_training_costs_its_tokens_times_epochs_times_price(
    tokens: int | None, count: int | None, price: float | None, usd: float | None
) -> None:
    want = weighed(desired(hyperparameters=epochs(count)), tokens)
    cost = cost_of(Action.CREATE, want, Pricing(price))
    assert cost
    assert cost.usd == usd


@pytest.mark.parametrize("action", [action for action in Action if not action.trains])
def test_what_trains_nothing_has_no_price(action: Action) -> None:
    assert cost_of(action, weighed(desired(), 1000), FLASH) is None


def test_where_training_is_free_nothing_else_is_said_of_the_cost() -> None:
    cost = cost_of(Action.CREATE, weighed(desired(), 1000), FREE)
    assert cost
    assert cost.model_dump(exclude_unset=False) == {"usd": 0}


def test_where_the_service_chooses_the_epochs_a_warning_says_how_to_bound_the_cost() -> None:
    (change,) = plan_of((1000, None, 5.0)).changes
    (warning,) = change.warnings
    assert "set hyperparameters.epochCount to bound the cost" in warning
    (bound,) = plan_of((1000, 2, 5.0)).changes
    assert bound.warnings == ()
    (free,) = plan_of((1000, None, 0.0)).changes
    assert free.warnings == ()


def test_other_epochs_show_another_price() -> None:
    assert plan_of((1_000_000, 4, 5.0)).cost_usd == 20
    assert plan_of((1_000_000, 2, 5.0)).cost_usd == 10


def test_a_price_is_no_part_of_the_digest() -> None:
    plans = [plan_of((1000, 2, price)) for price in (0.0, 5.0, 7.5, None)]
    plans += [plan_of((2000, 2, 5.0)), plan_of((1000, 2, 5.0), limit=100)]
    assert len({plan.digest for plan in plans}) == 1


def test_a_limit_refuses_what_costs_more_and_what_nobody_can_count() -> None:
    assert plan_of((1_000_000, 2, 5.0), limit=10).refusals == ()
    (dear,) = plan_of((1_000_000, 3, 5.0), limit=10).refusals
    assert "about $15.00 (limit is $10.00)" in dear.message
    (unbounded,) = plan_of((1000, None, 5.0), limit=10).refusals
    assert unbounded.cure.startswith("Set hyperparameters.epochCount, or leave out")
    (unpriced,) = plan_of((1000, 2, None), limit=10).refusals
    assert "spec.baseModels" in unpriced.cure
    assert "epochCount" not in unpriced.cure


dollars = st.sampled_from([0.0, 1.5, 3.0, 5.0, 25.0])
trainings = st.tuples(st.integers(1, 10**9), st.integers(1, 50), dollars)


@given(st.lists(trainings, min_size=1, max_size=6))
def test_the_sums_add_up(trained: list[tuple[int, int, float]]) -> None:
    plan = plan_of(*trained)
    shown = plan_text(plan)
    each = re.findall(r"^\+ .* (\$[\d,.]+|free)$", shown, re.MULTILINE)
    total = sum(round(100 * _number(price)) for price in each)
    assert len(each) == len(trained)
    summary = " ".join(shown.partition("\nCost: ")[2].split())
    said = re.search(r"about (\$[\d,.]+\d)", summary)
    assert (round(100 * _number(said[1])) if said else 0) == total
    rows = re.findall(r"cost +([\d,]+) tokens \S+ \S+ %\) x (\d+) epoch", shown)
    tokens = sum(_number(count) * int(times) for count, times in rows)
    assert tokens == (_number(summary.split(" training")[0].split()[-1]) if rows else 0)
    if said:
        assert f"**{said[1]}** |" in plan_markdown(plan, budget=10**6)


@pytest.mark.parametrize("name", PLANS)
def test_the_cost_of_every_plan_is_that_of_its_changes(name: str) -> None:
    plan = PLANS[name]()
    costs = [change.cost for change in plan.changes if change.cost]
    assert len(costs) == sum(change.action.trains for change in plan.changes)
    if None not in [cost.usd for cost in costs]:
        assert plan.cost_usd == round(sum(cost.usd or 0 for cost in costs), 2)
    assert plan.training_tokens == sum(cost.training_tokens or 0 for cost in costs)


def test_the_date_of_the_oldest_price_is_said() -> None:
    plan = plan_of((10**6, 1, 5.0), (10**6, 1, 1.0))
    assert "(prices of 2026-09-24; an estimate, not a quote)" in " ".join(plan_text(plan).split())
    first, second = plan.changes
    assert second.cost
    older = second.model_copy(
        update={"cost": second.cost.model_copy(update={"prices_of": "2026-01-01"})}
    )
    shown = plan_text(plan.model_copy(update={"changes": (first, older)}))
    assert "(prices of 2026-01-01;" in " ".join(shown.split())


def test_what_the_service_counted_is_said_so() -> None:
    counted = weighed(desired(), 1000, is_counted=True)
    plan = planned([counted], bases=Bases(prices={"tone": FLASH}))
    assert "1,000 tokens (counted) x 5 epochs x $5.00 per 1M" in plan_text(plan)
    estimated = planned(
        [replace(counted, dataset=replace(counted.dataset, is_counted=False))],
        bases=Bases(prices={"tone": FLASH}),
    )
    assert "1,000 tokens (+/- 15 %) x 5 epochs" in plan_text(estimated)


def _number(text: str) -> float:
    return 0.0 if text == "free" else float(text.strip("$").replace(",", ""))
