"""A plan for every state, with its examples, for the tests of the renderers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from tests.support.builders import (
    NOON,
    desired,
    evaluation,
    live,
    plan_for,
    unowned_model,
    with_dataset,
    with_decision,
    with_inputs,
    with_sweep,
)
from tests.support.plan_models import (
    CANCELLED,
    CANDIDATES,
    EPOCH_NOTE,
    FAILED,
    FORMER,
    GATED,
    HOSTILE,
    LITE,
    NEW,
    NEW_EXAMPLES,
    PRICED,
    PRICES,
    ROUTER,
    SERVING,
    STRICT,
    SWEEP,
    TRAINING,
    UNPRICED,
    WEEK,
    WITHOUT_SWEEP,
    adopted,
    chosen_by_sweep,
    dataset_change,
    promoted_manually,
    with_prices,
)
from tunedmodels.observed import ModelState
from tunedmodels.operations.dataset_diff import NOT_AVAILABLE
from tunedmodels.plan.plan import LabelChange, Note, Plan
from tunedmodels.plan.planner import Allowances, BaseModelFacts, Blocker
from tunedmodels.schema.project import Blackout, Policy
from tunedmodels.schema.tuned_model import Hyperparameters, Lifecycle
from tunedmodels.stamp import Decision


def hostile_plan() -> Plan:
    """Return a plan with a hostile value in every field that another person can write."""
    name = "evil\x1b[2J"
    observed = [
        live(desired("broken"), state=FAILED, attempt=2, failure=HOSTILE),
        live(desired("polite"), promoted=1, description=HOSTILE, display_name=HOSTILE),
        live(desired(name), promoted=1),
        unowned_model(desired("taken").model_id, resource=f"tunedModels/{HOSTILE}"),
        live(desired("swap", data="old"), promoted=1, source=HOSTILE),
    ]
    swap = desired("swap")
    label = LabelChange(label=HOSTILE, before=0, after=1)
    examples = dataset_change(
        desired("swap", data="old"), swap, added=2, removed=1, reworded=1, edited=0, labels=(label,)
    )
    models = [
        desired("broken"),
        desired("polite", description="plain"),
        desired("taken"),
        with_dataset(swap, declared_path=f"data/{HOSTILE}.jsonl"),
        desired("fresh", preamble=HOSTILE, source=f"models/{HOSTILE}"),
    ]
    return plan_for(
        models,
        observed,
        environment="<prod> -->",
        training_warnings={"swap": [HOSTILE]},
        dataset_changes={"swap": examples},
    )


PLANS: dict[str, Callable[[], Plan]] = {
    "create": lambda: plan_for([ROUTER], []),
    "create-family": lambda: plan_for(
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
    "replace": lambda: plan_for(
        [NEW, desired("same")],
        [SERVING, live(desired("support-triage", data="v0")), live(desired("same"), promoted=1)],
        dataset_changes=NEW_EXAMPLES,
        training_warnings={
            "support-triage": ["lines 118 and 415 have the same input and different answers"]
        },
    ),
    "replace-keep-none": lambda: plan_for(
        [desired("tone", lifecycle=Lifecycle(keep=0))],
        [live(desired(data="old"), promoted=2), live(desired(data="older"), promoted=1)],
        dataset_changes={
            "tone": dataset_change(desired(data="old"), desired(), unknown=NOT_AVAILABLE)
        },
    ),
    "replace-order": lambda: plan_for(
        [desired("tone")],
        [live(desired(data="old"), promoted=2)],
        dataset_changes={
            "tone": dataset_change(
                desired(data="old"),
                desired(),
                added=0,
                removed=0,
                reworded=0,
                edited=0,
                order_only=True,
            )
        },
    ),
    "wait": lambda: plan_for(
        [NEW, desired("same")],
        [SERVING, live(NEW, state=TRAINING), live(desired("same"), promoted=1)],
    ),
    "wait-many": lambda: plan_for(
        [desired(name) for name in "abcd"], [live(desired(name), state=TRAINING) for name in "abcd"]
    ),
    "retry": lambda: plan_for(
        [desired("one"), desired("two")],
        [
            live(desired("one"), state=FAILED, failure="quota exceeded for tuning"),
            live(desired("two"), state=CANCELLED),
        ],
    ),
    "promote": lambda: plan_for([desired()], [live()]),
    "rollback": lambda: plan_for(
        [desired(temperature=0.4)],
        [
            live(promoted=1),
            live(desired(data="bad"), promoted=3),
            live(desired(data="older"), promoted=2),
        ],
    ),
    "update": lambda: plan_for(
        [
            desired(
                "tone-rewriter",
                temperature=0.4,
                description="A polite tone, in terms that every reader understands day and night.",
                reader_project_numbers=(2, 1),
                lifecycle=Lifecycle(protect=True),
            )
        ],
        [live(desired("tone-rewriter", temperature=0.7, description="Polite"), promoted=1)],
    ),
    "cancel": lambda: plan_for(
        [desired()],
        [
            live(promoted=1),
            live(desired(data="x"), state=TRAINING),
            live(desired("gone"), state=ModelState.QUEUED),
        ],
    ),
    "delete": lambda: plan_for(
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
    "destroy": lambda: plan_for(
        [desired()], [live(promoted=1), live(desired(data="x"))], destroying=True
    ),
    "conflict": lambda: plan_for(
        [desired("one"), desired("two")],
        [
            unowned_model(desired("one").model_id),
            live(desired("two", project="theirs"), promoted=1),
        ],
    ),
    "failed": lambda: plan_for(
        [desired("one"), desired("two", source="models/gemini-1.5-flash-001", provider="gemini")],
        [live(desired("one"), state=FAILED, attempt=2, failure="the examples are in no language")],
        base_models=BaseModelFacts(tunable={"gemini": ()}),
    ),
    "warnings": lambda: plan_for(
        [desired("tone")],
        training_warnings={"tone": [f"the {n}th thing to look at" for n in range(4, 12)]},
    ),
    "cost": lambda: plan_for(
        [
            with_dataset(NEW, tokens=148_230),
            with_dataset(ROUTER, tokens=21_400, tokens_are_exact=True),
            desired("same"),
        ],
        [SERVING, live(desired("same"), promoted=1)],
        dataset_changes=NEW_EXAMPLES,
        base_models=BaseModelFacts(prices=PRICES),
        policy=Policy(max_cost_usd=10),
    ),
    "cost-unknown": lambda: plan_for(
        [
            with_dataset(NEW, tokens=148_230),
            with_dataset(with_inputs(ROUTER, hyperparameters=Hyperparameters()), tokens=21_400),
            with_dataset(desired("tone"), tokens=900),
            with_dataset(desired("elsewhere"), tokens=None),
        ],
        base_models=BaseModelFacts(prices={**PRICES, "tone": None, "elsewhere": LITE}),
        policy=Policy(max_cost_usd=10),
    ),
    "base-retired": lambda: plan_for(
        [desired("new"), desired("ready"), desired("moving")],
        [live(desired("ready"), promoted=1), live(desired("moving", data="x"), promoted=1)],
        base_models=BaseModelFacts(
            blockers={
                "new": Blocker(
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
    "priced": lambda: with_prices(plan_for([ROUTER, desired("tone")])),
    "refused-protected": lambda: plan_for(
        [desired()],
        [live(promoted=1), live(desired("gem", lifecycle=Lifecycle(protect=True)), promoted=1)],
    ),
    "refused-deletes": lambda: plan_for(
        [desired()], [live(promoted=1), live(desired("gone"), promoted=1)], policy=Policy()
    ),
    "refused-empty": lambda: plan_for([], [live(promoted=1)]),
    "refused-base": lambda: plan_for(
        [desired()], policy=Policy(allowed_base_models=("models/gemini-3.5-flash",))
    ),
    "refused-budget": lambda: with_prices(plan_for([ROUTER, desired("tone")]), limit=1),
    "unknown-price": lambda: with_prices(plan_for([ROUTER, desired("tone")]), None),
    "notes": lambda: plan_for([desired()], [live(promoted=1)]).model_copy(
        update={"notes": (Note(name="tone", words=EPOCH_NOTE),)}
    ),
    "nothing": lambda: plan_for([desired()], [live(promoted=1)]),
    "nothing-at-all": lambda: plan_for([], [], allowances=Allowances(empty=True)),
    "gate-create": lambda: plan_for([desired(evaluation=STRICT)]),
    "gate-replace": lambda: plan_for([GATED], [FORMER]),
    "gate-pending": lambda: plan_for([GATED], [FORMER, live()]),
    "gate-refused": lambda: plan_for(
        [GATED], [FORMER, with_decision(live(), GATED, Decision.REFUSED, baseline=FORMER)]
    ),
    "gate-inconclusive": lambda: plan_for(
        [desired(evaluation=evaluation(examples=20, at_least=0.85))],
        [
            with_decision(
                live(),
                desired(evaluation=evaluation(examples=20, at_least=0.85)),
                Decision.INCONCLUSIVE,
            )
        ],
    ),
    "gate-edited": lambda: plan_for(
        [desired(evaluation=evaluation(at_least=0.6))],
        [FORMER, with_decision(live(), GATED, Decision.REFUSED, baseline=FORMER)],
    ),
    "gate-moved-on": lambda: plan_for(
        [desired(data="new", evaluation=STRICT)],
        [FORMER, with_decision(live(), GATED, Decision.REFUSED, baseline=FORMER)],
    ),
    "gate-rollback": lambda: plan_for(
        [desired(evaluation=STRICT)], [live(promoted=1), live(desired(data="bad"), promoted=3)]
    ),
    "gate-family": lambda: plan_for(
        [GATED, desired("ant", parent="tone", source=f"tunedModels/{GATED.model_id}")],
        [FORMER, with_decision(live(), GATED, Decision.REFUSED, baseline=FORMER)],
    ),
    "grace": lambda: plan_for(
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
    "sweep-create": lambda: plan_for([SWEEP]),
    "sweep-replace": lambda: plan_for([SWEEP], [FORMER]),
    "sweep-half-done": lambda: plan_for(
        [SWEEP],
        [
            FORMER,
            live(CANDIDATES[0]),
            live(CANDIDATES[1], state=FAILED, failure="quota exceeded for tuning"),
            live(CANDIDATES[2], state=TRAINING),
        ],
    ),
    "sweep-wait": lambda: plan_for(
        [SWEEP], [FORMER, *(live(c, state=TRAINING) for c in CANDIDATES)]
    ),
    "sweep-choose": lambda: plan_for([SWEEP], [FORMER, *map(live, CANDIDATES)]),
    "sweep-failed": lambda: plan_for(
        [SWEEP], [FORMER, *(live(c, state=FAILED, attempt=2, failure="no") for c in CANDIDATES)]
    ),
    "sweep-settled": lambda: plan_for(
        [SWEEP],
        [live(desired(data="old"), promoted=1), chosen_by_sweep(live(CANDIDATES[1], promoted=3))],
    ),
    "sweep-rejected": lambda: plan_for(
        [SWEEP],
        [
            FORMER,
            chosen_by_sweep(
                with_decision(live(CANDIDATES[1]), CANDIDATES[1], Decision.REFUSED, baseline=FORMER)
            ),
        ],
    ),
    "sweep-rollback": lambda: plan_for(
        [SWEEP],
        [chosen_by_sweep(live(CANDIDATES[1], promoted=1)), live(desired(data="bad"), promoted=3)],
    ),
    "sweep-refused-budget": lambda: plan_for(
        [with_sweep(WITHOUT_SWEEP, 3, 5, 8, max_cost_usd=1.0)], [FORMER], base_models=PRICED
    ),
    "sweep-unknown-price": lambda: plan_for(
        [with_sweep(WITHOUT_SWEEP, 3, 5, 8, max_cost_usd=1.0)], [FORMER], base_models=UNPRICED
    ),
    "drift": lambda: plan_for(
        [desired(name, temperature=0.4) for name in ("edited", "erased", "overruled")],
        [
            live(desired("edited", temperature=0.4), promoted=1, temperature=0.9),
            unowned_model(desired("erased", temperature=0.4).model_id),
            live(desired("overruled", temperature=0.4), promoted=1),
            promoted_manually(live(desired("overruled", data="older"), promoted=2)),
        ],
    ),
    "unverified": lambda: plan_for([desired()], [adopted(live(promoted=1))]),
    "blackout": lambda: plan_for(
        [desired()],
        policy=Policy(
            blackouts=(Blackout(first=date(2026, 12, 20), last=date(2027, 1, 5), reason="feast"),)
        ),
    ),
    "hostile": hostile_plan,
}
