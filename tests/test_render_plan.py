"""A plan as text and as JSON: every state as a whole golden file, and laws of both."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from tests.builders import desired, foreign, live, planned, sha
from tunedmodels.datasets.compare import Comparison, Numbered, Pair
from tunedmodels.datasets.examples import Example
from tunedmodels.observed import ModelState, UsedHyperparameters
from tunedmodels.plan import safety
from tunedmodels.plan.change import Cost, LabelChange, Plan
from tunedmodels.plan.planner import Allowances, DatasetCounts
from tunedmodels.project.comparing import NOT_AT_HAND
from tunedmodels.render.document import plan_document, plan_json, plan_schema
from tunedmodels.render.text import plan_text
from tunedmodels.render.words import columns
from tunedmodels.settings import Policy
from tunedmodels.spec import Hyperparameters, Lifecycle

GOLDEN = Path(__file__).parent / "golden" / "plan"
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
    )
}
USED = UsedHyperparameters(epoch_count=5, batch_size=4, learning_rate=0.001)
SERVING = live(OLD, promoted=3, used=USED)
HOSTILE = "\x1b[31mred\x1b[0m\r\n<b>@team</b> `x` \u202etxt " + "long " * 30
ROUTER = desired("intent-router", examples=96)


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
    wants = [
        desired("broken"),
        desired("polite", description="plain"),
        desired("taken"),
        desired("swap"),
        desired("fresh", preamble=HOSTILE, source=f"models/{HOSTILE}"),
    ]
    return planned(wants, there, advice={"swap": [HOSTILE]})


def priced(plan: Plan, *usd: float | None, limit: float | None = None) -> Plan:
    """The plan, as it would be where training costs something."""
    prices = [*usd, 2.22, 0.16]
    changes = tuple(
        change.model_copy(update={"cost": Cost(usd=price)})
        for change, price in zip(plan.changes, prices, strict=False)
    )
    refusals = tuple(safety.too_dear(changes, Policy(max_cost_usd=limit)))
    return plan.model_copy(update={"changes": changes, "refusals": refusals})


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
                description="A polite tone, in words that everybody understands, also at night.",
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
    "nothing": lambda: planned([desired()], [live(promoted=1)]),
    "nothing-at-all": lambda: planned([], [], allowances=Allowances(empty=True)),
    "hostile": evil,
}


every_plan = pytest.mark.parametrize("name", PLANS)


@every_plan
def test_a_plan_as_text_is_the_golden_file(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / f"{name}.txt", plan_text(PLANS[name](), examples=EXAMPLES))


@every_plan
def test_a_plan_as_json_is_the_golden_file(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / f"{name}.json", plan_json(PLANS[name]()))


def test_every_golden_file_has_its_plan() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(PLANS)


@every_plan
def test_every_document_fits_the_published_schema(name: str) -> None:
    schema = plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(plan_document(PLANS[name]()), schema)


@every_plan
def test_no_line_is_wide_or_ends_in_blanks_or_steers_the_terminal(name: str) -> None:
    text = plan_text(PLANS[name](), examples=EXAMPLES)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    for line in text[:-1].split("\n"):
        assert columns(line) <= 100, line
        assert line == line.rstrip()
        assert line.isprintable()


@every_plan
def test_colour_adds_nothing_but_colour(name: str) -> None:
    plan = PLANS[name]()
    coloured = plan_text(plan, examples=EXAMPLES, style=lambda text, role: f"<{role}>{text}</>")
    bare = re.sub(r"</>|<(?:create|replace|wait|retry|promote|update|cancel|delete|conflict|failed"
                  r"|bold|good|warning|error)>", "", coloured)  # fmt: skip
    assert bare == plan_text(plan, examples=EXAMPLES)


@every_plan
def test_the_counts_in_the_summary_add_up(name: str) -> None:
    plan = PLANS[name]()
    document = plan_document(plan)
    assert sum(document["summary"].values()) == len(plan.changes) + plan.unchanged
    text = plan_text(plan)
    counted = re.findall(r"(\d+) (?:to \w+|in conflict|failed)", text.partition("Plan: ")[2])
    assert sum(map(int, counted)) in (0, len(plan.changes))


@every_plan
def test_the_document_is_plain_ascii(name: str) -> None:
    text = plan_json(PLANS[name]())
    assert text.isascii()
    assert text.replace("\n", "").isprintable()


def test_snippets_are_shown_only_where_they_are_given() -> None:
    plan = PLANS["replace"]()
    assert "invoice" in plan_text(plan, examples=EXAMPLES)
    assert "invoice" not in plan_text(plan) + plan_json(plan)


def test_json_has_the_shape_that_other_programs_rest_on() -> None:
    document = json.loads(plan_json(PLANS["replace"]()))
    assert list(document)[:3] == ["formatVersion", "digest", "project"]
    assert document["summary"]["replace"] == document["summary"]["keep"] == 1
    (change,) = document["changes"]
    assert {"name", "action", "reason", "before", "after", "fields", "cost"} <= set(change)
    assert change["dataset"] | {"added": 14, "removed": 5, "reworded": 2} == change["dataset"]
    assert change["warnings"]
