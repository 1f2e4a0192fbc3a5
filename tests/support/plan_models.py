"""Declared and live models for the tests of plans, and the facts about them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from tests.support.builders import (
    desired,
    evaluation,
    live,
    with_dataset,
    with_sweep,
)
from tunedmodels.datasets.diff import Comparison, ExamplePair, NumberedExample
from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel, UsedHyperparameters
from tunedmodels.plan import safety
from tunedmodels.plan.plan import Cost, DatasetChange, LabelChange, Plan
from tunedmodels.plan.planner import BaseModelFacts
from tunedmodels.schema.base_models import Price
from tunedmodels.schema.project import Policy
from tunedmodels.schema.tuned_model import Hyperparameters, Lifecycle
from tunedmodels.stamp import MANUAL

TRAINING, FAILED, CANCELLED = ModelState.TRAINING, ModelState.FAILED, ModelState.CANCELLED

OLD = desired("support-triage", data="v1", examples=412)
NEW = desired(
    "support-triage",
    data="v2",
    examples=421,
    hyperparameters=Hyperparameters(epoch_count=3),
    preamble="Answer in one word.",
)
LABELS = [("account", 185, 182), ("billing", 131, 138), ("bug", 96, 101)]


def dataset_change(before: Desired, after: Desired, **counts: Any) -> DatasetChange:
    """Return how the examples of two declared models differ."""
    old, new = before.inputs.dataset, after.inputs.dataset
    return DatasetChange(
        before=old.digest,
        after=new.digest,
        before_examples=old.examples,
        after_examples=new.examples,
        **counts,
    )


NEW_EXAMPLES = {
    "support-triage": dataset_change(
        OLD,
        NEW,
        added=14,
        removed=5,
        reworded=2,
        edited=1,
        labels=tuple(LabelChange(label=k, before=b, after=a) for k, b, a in LABELS),
    )
}


def row(number: int, text_input: str, output: str, line: int = 0) -> NumberedExample:
    return NumberedExample(number, Example(text_input, output), line)


HOSTILE = (
    "\x1b[31mred\r\n<script>alert(1)</script><img src=//evil onerror=alert(1)> @team #1 ```` | "
    "**b** [a](https://evil.example) --> \u202etxt $x$ &amp; {{ 7*7 }} " + "long " * 40
)
EXAMPLES = {
    "support-triage": Comparison(
        added=(
            row(398, "My card was charged twice for order 1177 and no one", "billing", 398),
            row(400, "短い質問", "other", 400),
            *(row(n, f"Question {n}", "bug", n) for n in range(401, 410)),
        ),
        removed=(
            row(17, "Where is my invoice from last year?", "account"),
            row(212, "Hello?", "account"),
        ),
        relabeled=(
            ExamplePair(
                row(30, "I want my money", "account"), row(30, "I want my money", "billing", 31)
            ),
            ExamplePair(row(44, "It is `broken`", ""), row(44, "It is `broken`", "bug", 45)),
        ),
        edited=(
            ExamplePair(
                row(52, "App closes when I open settings on my phone", "bug"),
                row(52, "App crashes when I open settings on my phone", "bug", 53),
            ),
        ),
    ),
    "swap": Comparison(
        added=(row(1, HOSTILE, HOSTILE, 1),),
        relabeled=(ExamplePair(row(2, HOSTILE, HOSTILE), row(2, HOSTILE, "x", 2)),),
    ),
}
USED = UsedHyperparameters(epoch_count=5, batch_size=4, learning_rate=0.001)
SERVING = live(OLD, promoted=3, used=USED)
EPOCH_NOTE = (
    "5 epochs are declared. In tone-11111111: The loss levels off after epoch 3, at 0.1 from 2 "
    "untuned. To stop there, set hyperparameters.epochCount: 3."
)
ROUTER = desired("intent-router", examples=96)

STRICT = evaluation(at_least=0.85, not_worse_than_serving_by=0.02)
GATED = desired(evaluation=STRICT)
FORMER = live(desired(data="old"), promoted=1)
WITHOUT_SWEEP = desired(evaluation=STRICT, hyperparameters=Hyperparameters(batch_size=8))
WITHOUT_SWEEP = with_dataset(WITHOUT_SWEEP, tokens=100_000)
SWEEP = with_sweep(WITHOUT_SWEEP, 3, 5, 8, max_cost_usd=20.0)
CANDIDATES = SWEEP.candidates
PRICED = BaseModelFacts(
    prices={"tone": Price(usd_per_million_tokens=5.0, as_of=date(2026, 11, 20))}
)
UNPRICED = BaseModelFacts(prices={"tone": None})
WEEK = Lifecycle(keep=0, grace="7d")


def with_prices(plan: Plan, *usd: float | None, limit: float | None = None) -> Plan:
    """Return a plan whose trainings have these prices."""
    prices = [*usd, 2.22, 0.16]
    changes = tuple(
        change.model_copy(update={"cost": Cost(usd=price)})
        for change, price in zip(plan.changes, prices, strict=False)
    )
    refusals = tuple(safety.over_budget(changes, Policy(max_cost_usd=limit)))
    return plan.model_copy(update={"changes": changes, "refusals": refusals})


FLASH, LITE = (
    Price(usd_per_million_tokens=usd, as_of=date(2026, 9, 24), certainty="unofficial")
    for usd in (5.0, 1.5)
)
PRICES = {"support-triage": FLASH, "intent-router": LITE}


def promoted_manually(model: ObservedModel) -> ObservedModel:
    """Return a live model that was promoted manually."""
    assert model.stamp
    return replace(model, stamp=replace(model.stamp, promoted_by=MANUAL))


def chosen_by_sweep(model: ObservedModel) -> ObservedModel:
    """Return a live model that the sweep chose."""
    assert model.stamp
    stamp = model.stamp.with_choice_of(SWEEP.sweep_digest)
    return replace(
        model, stamp=replace(stamp, scored_by_sweep=SWEEP.sweep_digest, score="exactMatch:0.912")
    )


def adopted(model: ObservedModel) -> ObservedModel:
    """Return a live model that was adopted."""
    assert model.stamp
    return replace(model, stamp=replace(model.stamp, unverified=True))
