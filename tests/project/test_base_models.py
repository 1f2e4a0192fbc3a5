"""What is known of base models, held against manifests: each fact is broken once, and placed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.support.builders import desired, live, planned
from tests.support.paths import GOLDEN
from tests.support.project_dir import Desk, Ended
from tunedmodels.datasets.tokens import estimate
from tunedmodels.errors import Problem, Severity
from tunedmodels.plan.cost import Pricing
from tunedmodels.plan.plan import Plan
from tunedmodels.project import Project
from tunedmodels.project.base_models import Judged, judged
from tunedmodels.project.resolve import survey
from tunedmodels.render.plan.text import plan_text

TODAY = date(2026, 12, 1)
PROJECT = """
apiVersion: tunedmodels.dev/v1
kind: Project
metadata: {name: demo}
spec:
  provider: eu
  providers:
    eu: {type: vertex, project: demo-1, location: europe-west1, bucket: demo-bucket}
    us: {type: vertex, project: demo-1, location: us-central1, bucket: demo-bucket}
    local: {type: gemini, endpoint: "http://127.0.0.1:8080"}
"""
MODEL = """
apiVersion: tunedmodels.dev/v1
kind: TunedModel
metadata: {name: tone}
spec:
  dataset: {path: tone.jsonl}
"""


def written(folder: Path, model: str, project: str = "") -> Project:
    """A project with one model; `project` and `model` are further lines of the two specs."""
    (folder / "tunedmodels.yaml").write_text(PROJECT.lstrip() + project)
    (folder / "tone.yaml").write_text(MODEL.lstrip() + model)
    (folder / "tone.jsonl").write_text(
        "".join(f'{{"text_input": "number {n}", "output": "{n}"}}\n' for n in range(100, 220))
    )
    return Project.open(folder)


def judge(folder: Path, model: str, project: str = "", today: date = TODAY) -> Judged:
    return judged(written(folder, model, project), today)


@pytest.fixture
def validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], Ended]:
    """Run `tunedmodels validate` in the folder of the project."""
    monkeypatch.chdir(tmp_path)
    return lambda: Desk(tmp_path, capsys, monkeypatch).run("validate")


def said(problem: Problem) -> str:
    return f"{problem.severity}: {problem.code}: {problem.message} [{problem.cure}]"


ADAPTER = "  baseModel: models/gemini-2.5-pro\n  hyperparameters:\n    adapterSize: 16\n"
# fmt: off
FACTS = {
    "unknown":       ("  baseModel: models/gemini-2.5-flsh\n", 6, "warning: unknown-base: ",
                      ["is not known", "Did you mean models/gemini-2.5-flash?"]),
    "far from any":  ("  baseModel: models/what\n", 6, "warning: unknown-base: ",
                      ["models/gemini-2.5-pro", "spec.baseModels"]),
    "not tunable":   ("  provider: gemini\n  baseModel: models/gemini-1.0-pro-001\n", 7,
                      "error: base-not-tunable: ", ["name another provider"]),
    "not there":     ("  baseModel: models/gemini-3.5-flash\n", 6, "error: base-not-there: ",
                      ["is not tuned in europe-west1, where provider eu is",
                       "us-central1 or europe-west4"]),
    "adapter":       (ADAPTER, 8, "error: adapter-size: ",
                      ["16 is not offered for models/gemini-2.5-pro", "to 1, 2, 4 or 8, or say"]),
    "hearsay":       ("  baseModel: models/gemini-2.5-flash\n", 6, "warning: base-retired: ",
                      ["retired on 2026-10-20", "(unofficial: a third party's notes"]),
}
FINE = {
    "somewhere": "  baseModel: models/gemini-2.5-flash-lite\n",
    "anywhere": "  baseModel: models/gemini-2.5-pro\n  hyperparameters: {adapterSize: 8}\n",
    "somebody's own service": "  provider: local\n  baseModel: models/embedded-label-001\n",
    "embedded": "  provider: embedded\n  baseModel: models/embedded-text-001\n",
}
# fmt: on


@pytest.mark.parametrize(("model", "line", "start", "words"), FACTS.values(), ids=FACTS)
def test_a_fact_that_a_manifest_ignores_is_said_with_its_line_and_its_cure(
    tmp_path: Path, model: str, line: int, start: str, words: list[str]
) -> None:
    found = judge(tmp_path, model).all
    (problem,) = (each for each in found if each.severity is not Severity.ADVICE)
    assert Path(problem.file).name == "tone.yaml"
    assert problem.line == line
    assert said(problem).startswith(start)
    assert [part for part in words if part not in said(problem)] == []


@pytest.mark.parametrize("model", FINE.values(), ids=FINE)
def test_a_base_model_that_fits_says_nothing(tmp_path: Path, model: str) -> None:
    assert judge(tmp_path, model).all == ()


def test_where_a_model_will_answer_and_for_how_much_is_advice(tmp_path: Path) -> None:
    known = judge(tmp_path, "  provider: us\n  baseModel: models/gemini-3.5-flash\n")
    price, place = map(said, known.all)
    assert place.startswith("advice: served-elsewhere: models/gemini-3.5-flash is tuned in us-cen")
    assert "answers from us or eu" in place
    assert "answers at 1.5 times its price (unofficial: " in price
    assert known.advice == {"tone": []}  # a plan is no place for it


def test_what_can_be_tuned_instead_can_be_tuned_there_and_for_a_while(tmp_path: Path) -> None:
    (problem,) = judge(tmp_path, "  baseModel: models/gemini-2.5-flash\n").all
    assert "gemini-2.5-pro" in problem.cure
    assert "gemini-3.5-flash," not in problem.cure  # not in europe-west1
    assert "gemini-2.5-flash," not in problem.cure  # retires itself


def test_a_model_that_continues_has_the_base_model_of_its_line(tmp_path: Path) -> None:
    base = "  provider: gemini\n  baseModel: models/gemini-1.5-flash-001-tuning\n"
    opened = written(tmp_path, base)
    child = MODEL.replace("tone}", "child}") + "  provider: gemini\n  tunedModel: tone\n"
    (tmp_path / "child.yaml").write_text(child.lstrip())
    found = judged(Project.open(opened.root), TODAY).problems["child"]
    assert [problem.code for problem in found] == [
        "base-retired", "base-not-tunable", "base-not-continued",
    ]  # fmt: skip
    assert {(problem.path, problem.line) for problem in found} == {("spec.tunedModel", 7)}


def own(retires: date, *, certainty: str = "documented", days: int | None = None) -> str:
    policy = "" if days is None else f"  policy: {{minBaseModelDays: {days}}}\n"
    return (
        f"{policy}  baseModels:\n    - name: mine\n      provider: vertex\n      tunable: true\n"
        f"      retirement: {{date: {retires}, certainty: {certainty}, source: a page}}\n"
    )


MINE = "  baseModel: models/mine\n"


@pytest.mark.parametrize(
    ("days", "severity"),
    [
        (91, None),
        (90, Severity.WARNING),
        (15, Severity.WARNING),
        (14, Severity.ERROR),
        (1, Severity.ERROR),
        (0, Severity.ERROR),
        (-1, Severity.ERROR),
    ],
)
def test_the_nearer_a_retirement_is_the_worse(
    tmp_path: Path, days: int, severity: Severity | None
) -> None:
    retires = TODAY + timedelta(days=days)
    found = judge(tmp_path, MINE, own(retires)).all
    # What is an error of the policy is a warning to those who do not train, as well.
    both = {Severity.WARNING, Severity.ERROR}
    said = both if 0 < days <= 14 else {severity} if severity else set()
    assert {problem.severity for problem in found} == said
    assert all(str(retires) in problem.message for problem in found)


def test_the_policy_says_how_long_a_base_model_must_live(tmp_path: Path) -> None:
    retires = TODAY + timedelta(days=14)
    (problem,) = judge(tmp_path, MINE, own(retires, days=13)).all
    assert problem.severity is Severity.WARNING
    retires = TODAY + timedelta(days=100)
    (problem,) = (
        problem
        for problem in judge(tmp_path, MINE, own(retires, days=100)).all
        if problem.severity is Severity.ERROR
    )
    assert "minBaseModelDays is 100" in problem.message


@pytest.mark.parametrize("days", [91, 90, 14, 0, -1])
def test_hearsay_of_a_retirement_stops_nobody(tmp_path: Path, days: int) -> None:
    retires = TODAY + timedelta(days=days)
    found = judge(tmp_path, MINE, own(retires, certainty="unofficial")).all
    assert {problem.severity for problem in found} <= {Severity.WARNING}


def test_a_plan_says_when_a_base_model_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Callable[[Path, str], None]
) -> None:
    monkeypatch.chdir(tmp_path)  # so that files have short names, and the lines one length
    shown = []
    for days in (91, 90, 14, 0, -1):
        known = judge(Path(), MINE, own(TODAY + timedelta(days=days)))
        want = desired(provider="eu", source="models/mine")
        for there in ([], [live(want, promoted=1)]):
            plan = planned([want], there, bases=known.bases(), advice=known.advice)
            about = "it serves" if there else "it is to be trained"
            shown.append(f"===== {days} days before the retirement, {about}\n{plan_text(plan)}")
    golden(GOLDEN / "retiring.txt", "\n".join(shown))


def test_what_is_known_is_no_obstacle_for_a_model_that_is_ready(tmp_path: Path) -> None:
    known = judge(tmp_path, MINE, own(TODAY))
    want = desired(provider="eu", source="models/mine", temperature=0.2)
    there = live(want, promoted=1, temperature=0.9)
    plan = planned([want], [there], bases=known.bases())
    (change,) = plan.changes
    assert change.action == "update"
    assert "retired on 2026-12-01" in change.warnings[0]


def test_training_has_the_price_of_the_base_model_in_its_place(tmp_path: Path) -> None:
    known = judge(tmp_path, "  baseModel: models/gemini-2.5-pro\n")
    assert known.prices["tone"] == Pricing(25.0, as_of="2026-11-22", is_official=False)
    known = judge(tmp_path, "  baseModel: models/what\n")
    assert known.prices["tone"] == Pricing(None)
    known = judge(tmp_path, "  provider: local\n  baseModel: models/what\n")
    assert known.prices["tone"].usd_per_million_tokens == 0


def plan_of(folder: Path, *sets: str) -> Plan:
    opened = Project.open(folder, sets=sets)
    wants = survey(opened, use_cache=False).checked()
    return planned(wants, bases=judged(opened, TODAY).bases())


def test_what_if_there_were_fewer_epochs_the_plan_says_what_it_costs_then(tmp_path: Path) -> None:
    base = "  baseModel: models/mine\n  hyperparameters: {epochCount: 4}\n"
    row = "{name: mine, provider: vertex, tunable: true, price: {usdPerMillionTokens: 5000}}"
    written(tmp_path, base, f"  baseModels: [{row}]\n")
    full = plan_of(tmp_path)
    less = plan_of(tmp_path, "tone.hyperparameters.epochCount=2")
    assert full.cost_usd
    assert less.cost_usd == pytest.approx(full.cost_usd / 2, abs=0.01)
    (tmp_path / "tone.yaml").write_text(MODEL.lstrip() + base.replace("4", "2"))
    assert plan_of(tmp_path).digest == less.digest
    assert plan_of(tmp_path).cost_usd == less.cost_usd


def test_the_preamble_is_paid_for_with_every_example(tmp_path: Path) -> None:
    written(tmp_path, "  baseModel: models/gemini-2.5-pro\n  hyperparameters: {epochCount: 1}\n")
    (bare,) = plan_of(tmp_path).changes
    words = "Say what number comes next."
    (said,) = plan_of(tmp_path, f"tone.dataset.preamble={words}").changes
    assert bare.cost
    assert said.cost
    assert bare.cost.tokens
    assert said.cost.tokens == bare.cost.tokens + 120 * estimate(words)


def test_validate_says_it_too(tmp_path: Path, validate: Callable[[], Ended]) -> None:
    written(tmp_path, "  baseModel: models/gemini-3.5-flash\n")
    told = validate()
    assert told.code == 1
    assert "tone.yaml:6: spec.baseModel: models/gemini-3.5-flash is not tuned in" in told.out


def test_the_limits_of_the_base_model_hold_for_the_dataset(
    tmp_path: Path, validate: Callable[[], Ended]
) -> None:
    rows = (
        "  baseModels:\n    - name: mine\n      provider: vertex\n      tunable: true\n"
        "      dataset: {maxExamples: 119, maxTokensPerExample: 4, maxBytes: 1000}\n"
    )
    written(tmp_path, MINE, rows)
    told = validate()
    assert "has 120 examples; at most 119 are allowed" in told.out
    assert "tone.jsonl:1: has about 9 tokens (estimated); at most 4 are allowed" in told.out
    assert "bytes" in told.out


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("{name: x}", "provider"),
        ("{name: x, provider: openai}", "provider"),
        ("{name: x, provider: vertex, adapterSize: [1]}", "adapterSizes"),
        ("{name: models/x, provider: vertex}", "name"),
        ("{name: x, provider: vertex, price: {usdPerMillionTokens: -1}}", "usdPerMillionTokens"),
        ("{name: x, provider: vertex, retirement: {date: soon}}", "is no date"),
    ],
)
def test_a_row_of_the_project_is_checked_as_strictly_as_the_rest(
    tmp_path: Path, validate: Callable[[], Ended], row: str, words: str
) -> None:
    (tmp_path / "tunedmodels.yaml").write_text(PROJECT.lstrip() + f"  baseModels: [{row}]\n")
    told = validate()
    assert told.code == 1
    assert "tunedmodels.yaml:10: spec.baseModels" in told.out
    assert words in told.out
