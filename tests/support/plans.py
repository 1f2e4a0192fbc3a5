"""A plan for every state, with the examples that belong to it: what renderers are held to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

from tests.support.builders import (
    NOON,
    desired,
    evaluation,
    foreign,
    live,
    planned,
    ruled,
    sha,
    swept,
)
from tunedmodels.datasets.diff import Comparison, Numbered, Pair
from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel, UsedHyperparameters
from tunedmodels.operations.dataset_diff import NOT_AT_HAND
from tunedmodels.plan import safety
from tunedmodels.plan.plan import Cost, LabelChange, Note, Plan
from tunedmodels.plan.planner import (
    Allowances,
    Bases,
    DatasetCounts,
    Obstacle,
    Pricing,
    Remembered,
)
from tunedmodels.schema.project import Blackout, Policy
from tunedmodels.schema.tuned_model import Hyperparameters, Lifecycle
from tunedmodels.stamp import HAND, Decision

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
COUNTS = {
    (OLD.dataset.digest, NEW.dataset.digest): DatasetCounts(
        added=14,
        removed=5,
        reworded=2,
        edited=1,
        labels=tuple(LabelChange(label=k, before=b, after=a) for k, b, a in LABELS),
    )
}
UNKNOWN = DatasetCounts(None, None, None, None, unknown=NOT_AT_HAND)


def row(number: int, text_input: str, output: str, line: int = 0) -> Numbered:
    return Numbered(number, Example(text_input, output), line)


HOSTILE = (
    "\x1b[31mred\r\n<script>alert(1)</script><img src=//evil onerror=alert(1)> @team #1 ```` | "
    "**b** [a](https://evil.example) --> \u202etxt $x$ &amp; {{ 7*7 }} " + "long " * 40
)
EXAMPLES = {
    "support-triage": Comparison(
        added=(
            row(398, "My card was charged twice for order 1177 and nobody", "billing", 398),
            row(400, "短い質問", "other", 400),
            *(row(n, f"Question {n}", "bug", n) for n in range(401, 410)),
        ),
        removed=(
            row(17, "Where is my invoice from last year?", "account"),
            row(212, "Hello?", "account"),
        ),
        reworded=(
            Pair(row(30, "I want my money", "account"), row(30, "I want my money", "billing", 31)),
            Pair(row(44, "It is `broken`", ""), row(44, "It is `broken`", "bug", 45)),
        ),
        edited=(
            Pair(
                row(52, "App closes when I open settings on my phone", "bug"),
                row(52, "App crashes when I open settings on my phone", "bug", 53),
            ),
        ),
    ),
    "swap": Comparison(
        added=(row(1, HOSTILE, HOSTILE, 1),),
        reworded=(Pair(row(2, HOSTILE, HOSTILE), row(2, HOSTILE, "x", 2)),),
    ),
}
USED = UsedHyperparameters(epoch_count=5, batch_size=4, learning_rate=0.001)
SERVING = live(OLD, promoted=3, used=USED)
LESSON = (
    "5 epochs are declared. In tone-11111111: The loss levels off after epoch 3, at 0.1 from 2 "
    "untuned. To stop there, set hyperparameters.epochCount: 3."
)
ROUTER = desired("intent-router", examples=96)

STRICT = evaluation(at_least=0.85, not_worse_than_serving_by=0.02)
GATED = desired(evaluation=STRICT)
FORMER = live(desired(data="old"), promoted=1)
SWEPT = desired(evaluation=STRICT, hyperparameters=Hyperparameters(batch_size=8))
SWEPT = replace(SWEPT, dataset=replace(SWEPT.dataset, tokens=100_000))
SWEEP = swept(SWEPT, 3, 5, 8, max_cost_usd=20.0)
TRIED = SWEEP.candidates
PRICED = Bases(prices={"tone": Pricing(5.0, as_of="2026-11-20")})
UNPRICED = Bases(prices={"tone": Pricing(None)})
WEEK = Lifecycle(keep=0, grace="7d")


def evil() -> Plan:
    """A plan with a poisonous value wherever somebody else can put one."""
    name = "evil\x1b[2J"
    there = [
        live(desired("broken"), state=FAILED, attempt=2, failure=HOSTILE),
        live(desired("polite"), promoted=1, description=HOSTILE, display_name=HOSTILE),
        live(desired(name), promoted=1),
        foreign(desired("taken").model_id, resource=f"tunedModels/{HOSTILE}"),
        live(desired("swap", data="old"), promoted=1, source=HOSTILE),
    ]
    swap = desired("swap")
    label = LabelChange(label=HOSTILE, before=0, after=1)
    wants = [
        desired("broken"),
        desired("polite", description="plain"),
        desired("taken"),
        replace(swap, dataset=replace(swap.dataset, written=f"data/{HOSTILE}.jsonl")),
        desired("fresh", preamble=HOSTILE, source=f"models/{HOSTILE}"),
    ]
    return planned(
        wants,
        there,
        environment="<prod> -->",
        advice={"swap": [HOSTILE]},
        differences={(sha("old"), sha("data")): DatasetCounts(2, 1, 1, labels=(label,))},
    )


def priced(plan: Plan, *usd: float | None, limit: float | None = None) -> Plan:
    """The plan, as it would be where training costs something."""
    prices = [*usd, 2.22, 0.16]
    changes = tuple(
        change.model_copy(update={"cost": Cost(usd=price)})
        for change, price in zip(plan.changes, prices, strict=False)
    )
    refusals = tuple(safety.too_dear(changes, Policy(max_cost_usd=limit)))
    return plan.model_copy(update={"changes": changes, "refusals": refusals})


def weighed(want: Desired, tokens: int | None, **others: Any) -> Desired:
    """The declared model with a dataset of so many tokens."""
    return replace(want, dataset=replace(want.dataset, tokens=tokens, **others))


FLASH, LITE = (
    Pricing(usd, as_of="2026-09-24", is_official=False) for usd in (5.0, 1.5)
)  # fmt: skip
PRICES = {"support-triage": FLASH, "intent-router": LITE}


def overruling(model: ObservedModel) -> ObservedModel:
    """A model that a person promoted."""
    assert model.stamp
    return replace(model, stamp=replace(model.stamp, by=HAND))


def won(model: ObservedModel) -> ObservedModel:
    """A model that the sweep chose."""
    assert model.stamp
    stamp = model.stamp.chosen_by(SWEEP.sweep_digest)
    return replace(model, stamp=replace(stamp, tried=SWEEP.sweep_digest, score="exactMatch:0.912"))


def adopted(model: ObservedModel) -> ObservedModel:
    """A model of which nobody knows what it was trained on."""
    assert model.stamp
    return replace(model, stamp=replace(model.stamp, unverified=True))


PLANS: dict[str, Callable[[], Plan]] = {
    "create": lambda: planned([ROUTER], []),
    "create-family": lambda: planned(
        [
            ROUTER,
            desired(
                "ant",
                parent="intent-router",
                source=f"tunedModels/{ROUTER.model_id}",
                preamble="Be kind.",
                hyperparameters=Hyperparameters(batch_size=8, learning_rate_multiplier=0.5),
            ),
        ]
    ),
    "replace": lambda: planned(
        [NEW, desired("same")],
        [SERVING, live(desired("support-triage", data="v0")), live(desired("same"), promoted=1)],
        differences=COUNTS,
        advice={"support-triage": ["lines 118 and 415 have the same input and different answers"]},
    ),
    "replace-keep-none": lambda: planned(
        [desired("tone", lifecycle=Lifecycle(keep=0))],
        [live(desired(data="old"), promoted=2), live(desired(data="older"), promoted=1)],
        differences={(sha("old"), sha("data")): UNKNOWN},
    ),
    "replace-order": lambda: planned(
        [desired("tone")],
        [live(desired(data="old"), promoted=2)],
        differences={(sha("old"), sha("data")): DatasetCounts(0, 0, order_only=True)},
    ),
    "wait": lambda: planned(
        [NEW, desired("same")],
        [SERVING, live(NEW, state=TRAINING), live(desired("same"), promoted=1)],
    ),
    "wait-many": lambda: planned(
        [desired(name) for name in "abcd"], [live(desired(name), state=TRAINING) for name in "abcd"]
    ),
    "retry": lambda: planned(
        [desired("one"), desired("two")],
        [
            live(desired("one"), state=FAILED, failure="quota exceeded for tuning"),
            live(desired("two"), state=CANCELLED),
        ],
    ),
    "promote": lambda: planned([desired()], [live()]),
    "rollback": lambda: planned(
        [desired(temperature=0.4)],
        [
            live(promoted=1),
            live(desired(data="bad"), promoted=3),
            live(desired(data="older"), promoted=2),
        ],
    ),
    "update": lambda: planned(
        [
            desired(
                "tone-rewriter",
                temperature=0.4,
                description="A polite tone, in words that everybody understands by day and night.",
                reader_project_numbers=(2, 1),
                lifecycle=Lifecycle(protect=True),
            )
        ],
        [live(desired("tone-rewriter", temperature=0.7, description="Polite"), promoted=1)],
    ),
    "cancel": lambda: planned(
        [desired()],
        [
            live(promoted=1),
            live(desired(data="x"), state=TRAINING),
            live(desired("gone"), state=ModelState.QUEUED),
        ],
    ),
    "delete": lambda: planned(
        [desired()],
        [
            live(promoted=3),
            live(desired(data="old"), promoted=2),
            live(desired(data="older"), promoted=1),
            live(desired(data="broken"), state=FAILED),
            live(desired("old-faq-bot"), promoted=1),
            live(desired("kept", lifecycle=Lifecycle(on_removal="retain")), promoted=1),
        ],
    ),
    "destroy": lambda: planned(
        [desired()], [live(promoted=1), live(desired(data="x"))], destroying=True
    ),
    "conflict": lambda: planned(
        [desired("one"), desired("two")],
        [foreign(desired("one").model_id), live(desired("two", project="theirs"), promoted=1)],
    ),
    "failed": lambda: planned(
        [desired("one"), desired("two", source="models/gemini-1.5-flash-001", provider="gemini")],
        [live(desired("one"), state=FAILED, attempt=2, failure="the examples are in no language")],
        tunable={"gemini": ()},
    ),
    "warnings": lambda: planned(
        [desired("tone")], advice={"tone": [f"the {n}th thing to look at" for n in range(4, 12)]}
    ),
    "cost": lambda: planned(
        [weighed(NEW, 148_230), weighed(ROUTER, 21_400, is_counted=True), desired("same")],
        [SERVING, live(desired("same"), promoted=1)],
        differences=COUNTS,
        bases=Bases(prices=PRICES),
        policy=Policy(max_cost_usd=10),
    ),
    "cost-unknown": lambda: planned(
        [
            weighed(NEW, 148_230),
            weighed(replace(ROUTER, hyperparameters=Hyperparameters()), 21_400),
            weighed(desired("tone"), 900),
            weighed(desired("elsewhere"), None),
        ],
        bases=Bases(prices={**PRICES, "tone": Pricing(None), "elsewhere": LITE}),
        policy=Policy(max_cost_usd=10),
    ),
    "base-retired": lambda: planned(
        [desired("new"), desired("ready"), desired("moving")],
        [live(desired("ready"), promoted=1), live(desired("moving", data="x"), promoted=1)],
        bases=Bases(
            obstacles={
                "new": Obstacle(
                    "models/gemini-2.5-pro retired on 2026-11-21",
                    "Set baseModel to models/gemini-3.5-flash.",
                )
            },
            notices={
                name: [
                    f"{name}.yaml:5: spec.baseModel: models/gemini-2.5-pro retires on 2026-12-24"
                ]
                for name in ("new", "ready", "moving", "not-declared")
            },
        ),
    ),
    "priced": lambda: priced(planned([ROUTER, desired("tone")])),
    "refused-protected": lambda: planned(
        [desired()],
        [live(promoted=1), live(desired("gem", lifecycle=Lifecycle(protect=True)), promoted=1)],
    ),
    "refused-deletes": lambda: planned(
        [desired()], [live(promoted=1), live(desired("gone"), promoted=1)], policy=Policy()
    ),
    "refused-empty": lambda: planned([], [live(promoted=1)]),
    "refused-base": lambda: planned(
        [desired()], policy=Policy(allowed_base_models=("models/gemini-2.5-flash",))
    ),
    "refused-budget": lambda: priced(planned([ROUTER, desired("tone")]), limit=1),
    "unknown-price": lambda: priced(planned([ROUTER, desired("tone")]), None),
    "notes": lambda: planned([desired()], [live(promoted=1)]).model_copy(
        update={"notes": (Note(name="tone", words=LESSON),)}
    ),
    "nothing": lambda: planned([desired()], [live(promoted=1)]),
    "nothing-at-all": lambda: planned([], [], allowances=Allowances(empty=True)),
    "gate-create": lambda: planned([desired(evaluation=STRICT)]),
    "gate-replace": lambda: planned([GATED], [FORMER]),
    "gate-pending": lambda: planned([GATED], [FORMER, live()]),
    "gate-refused": lambda: planned(
        [GATED], [FORMER, ruled(live(), GATED, Decision.REFUSED, rival=FORMER)]
    ),
    "gate-inconclusive": lambda: planned(
        [desired(evaluation=evaluation(examples=20, at_least=0.85))],
        [
            ruled(
                live(),
                desired(evaluation=evaluation(examples=20, at_least=0.85)),
                Decision.INCONCLUSIVE,
            )
        ],
    ),
    "gate-edited": lambda: planned(
        [desired(evaluation=evaluation(at_least=0.6))],
        [FORMER, ruled(live(), GATED, Decision.REFUSED, rival=FORMER)],
    ),
    "gate-moved-on": lambda: planned(
        [desired(data="new", evaluation=STRICT)],
        [FORMER, ruled(live(), GATED, Decision.REFUSED, rival=FORMER)],
    ),
    "gate-rollback": lambda: planned(
        [desired(evaluation=STRICT)], [live(promoted=1), live(desired(data="bad"), promoted=3)]
    ),
    "gate-family": lambda: planned(
        [GATED, desired("ant", parent="tone", source=f"tunedModels/{GATED.model_id}")],
        [FORMER, ruled(live(), GATED, Decision.REFUSED, rival=FORMER)],
    ),
    "grace": lambda: planned(
        [desired(lifecycle=WEEK), desired("two", lifecycle=WEEK), desired("gone", lifecycle=WEEK)],
        [
            live(promoted=3),
            live(desired(data="old"), promoted=2),
            live(desired("two", data="old"), promoted=1),
            live(desired("gone"), promoted=-60 * 24 * 7),
            live(desired("gone", data="old"), promoted=-60 * 24 * 8),
        ],
        now=NOON,
    ),
    "sweep-create": lambda: planned([SWEEP]),
    "sweep-replace": lambda: planned([SWEEP], [FORMER]),
    "sweep-half-done": lambda: planned(
        [SWEEP],
        [
            FORMER,
            live(TRIED[0]),
            live(TRIED[1], state=FAILED, failure="quota exceeded for tuning"),
            live(TRIED[2], state=TRAINING),
        ],
    ),
    "sweep-wait": lambda: planned([SWEEP], [FORMER, *(live(c, state=TRAINING) for c in TRIED)]),
    "sweep-choose": lambda: planned([SWEEP], [FORMER, *map(live, TRIED)]),
    "sweep-failed": lambda: planned(
        [SWEEP], [FORMER, *(live(c, state=FAILED, attempt=2, failure="no") for c in TRIED)]
    ),
    "sweep-settled": lambda: planned(
        [SWEEP], [live(desired(data="old"), promoted=1), won(live(TRIED[1], promoted=3))]
    ),
    "sweep-rejected": lambda: planned(
        [SWEEP],
        [FORMER, won(ruled(live(TRIED[1]), TRIED[1], Decision.REFUSED, rival=FORMER))],
    ),
    "sweep-rollback": lambda: planned(
        [SWEEP], [won(live(TRIED[1], promoted=1)), live(desired(data="bad"), promoted=3)]
    ),
    "sweep-refused-budget": lambda: planned(
        [swept(SWEPT, 3, 5, 8, max_cost_usd=1.0)], [FORMER], bases=PRICED
    ),
    "sweep-unknown-price": lambda: planned(
        [swept(SWEPT, 3, 5, 8, max_cost_usd=1.0)], [FORMER], bases=UNPRICED
    ),
    "drift": lambda: planned(
        [desired(name, temperature=0.4) for name in ("edited", "erased", "gone", "overruled")],
        [
            live(desired("edited", temperature=0.4), promoted=1, temperature=0.9),
            foreign(desired("erased", temperature=0.4).model_id),
            live(desired("overruled", temperature=0.4), promoted=1),
            overruling(live(desired("overruled", data="older"), promoted=2)),
        ],
        remembered={"gone": Remembered(desired("gone").model_id, NOON)},
    ),
    "unverified": lambda: planned([desired()], [adopted(live(promoted=1))]),
    "blackout": lambda: planned(
        [desired()],
        policy=Policy(
            blackouts=(Blackout(first=date(2026, 12, 20), last=date(2027, 1, 5), reason="feast"),)
        ),
    ),
    "hostile": evil,
}
