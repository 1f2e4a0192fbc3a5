"""The checks of declared models against the catalog of base models, one problem for each fact."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.support.builders import desired, live, plan_for
from tests.support.paths import GOLDEN
from tests.support.project_dir import CommandResult, ProjectDir
from tunedmodels.datasets.tokens import estimate_tokens
from tunedmodels.errors import Problem, Severity
from tunedmodels.plan.plan import Plan
from tunedmodels.project import Project
from tunedmodels.project.base_models import BaseModelReport, base_model_report
from tunedmodels.project.resolve import resolve
from tunedmodels.render.plan.text import plan_text

TODAY = date(2026, 12, 1)
PROJECT = """
apiVersion: tunedmodels.dev/v1
kind: Project
metadata: {name: demo, lineage: 3f9c1e7a2b04}
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


def open_project(folder: Path, model: str, project: str = "") -> Project:
    """Write and open a project with one model; both texts are more lines of the two specs."""
    (folder / "tunedmodels.yaml").write_text(PROJECT.lstrip() + project)
    (folder / "tone.yaml").write_text(MODEL.lstrip() + model)
    (folder / "tone.jsonl").write_text(
        "".join(f'{{"text_input": "number {n}", "output": "{n}"}}\n' for n in range(100, 220))
    )
    return Project.open(folder)


def report(folder: Path, model: str, project: str = "", today: date = TODAY) -> BaseModelReport:
    return base_model_report(open_project(folder, model, project), today)


@pytest.fixture
def validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], CommandResult]:
    """Return a function that runs `tunedmodels validate` in the project directory."""
    monkeypatch.chdir(tmp_path)
    return lambda: ProjectDir(tmp_path, capsys, monkeypatch).run("validate")


def as_text(problem: Problem) -> str:
    return f"{problem.severity}: {problem.code}: {problem.message} [{problem.cure}]"


ADAPTER = "  provider: us\n  baseModel: models/sized\n  hyperparameters:\n    adapterSize: 16\n"
ROWS = """
  baseModels:
    - {name: sized, provider: vertex, tunable: true, adapterSizes: [1, 2, 4, 8],
       price: {usdPerMillionTokens: 25, asOf: 2026-11-22, certainty: unofficial}}
    - {name: somewhere, provider: vertex, tunable: true}
    - {name: gone, provider: vertex, tunable: true,
       retirement: {date: 2026-10-20, certainty: unofficial, source: a mail, asOf: 2026-11-22}}
"""
# fmt: off
FACTS = {
    "unknown":       ("  baseModel: models/gemini-3.5-flsh\n", 6, "warning: unknown-base: ",
                      ["is unknown", "Did you mean models/gemini-3.5-flash?"]),
    "no suggestion": ("  baseModel: models/what\n", 6, "warning: unknown-base: ",
                      ["models/gemini-3.1-flash-lite", "spec.baseModels"]),
    "not tunable":   ("  provider: gemini\n  baseModel: models/gemini-1.0-pro-001\n", 7,
                      "error: base-not-tunable: ", ["use another provider"]),
    "other location":("  baseModel: models/gemini-3.5-flash\n", 6, "error: base-not-there: ",
                      ["cannot be tuned in europe-west1, the location of eu",
                       "us-central1 or europe-west4"]),
    "adapter":       (ADAPTER, 9, "error: adapter-size: ",
                      ["16 is not available for models/sized", "to 1, 2, 4 or 8, or correct"]),
    "unofficial":    ("  baseModel: models/gone\n", 6, "warning: base-retired: ",
                      ["retired on 2026-10-20", "(unofficial: a mail"]),
}
VALID = {
    "somewhere": "  baseModel: models/somewhere\n",
    "with an adapter": "  baseModel: models/sized\n  hyperparameters: {adapterSize: 8}\n",
    "another service with the API": "  provider: local\n  baseModel: models/embedded-label-001\n",
    "embedded": "  provider: embedded\n  baseModel: models/embedded-text-001\n",
}
# fmt: on


@pytest.mark.parametrize(("model", "line", "start", "parts"), FACTS.values(), ids=FACTS)
def test_a_problem_has_the_line_of_the_field_and_a_cure(
    tmp_path: Path, model: str, line: int, start: str, parts: list[str]
) -> None:
    problems = report(tmp_path, model, ROWS[1:]).all_problems
    (problem,) = (each for each in problems if each.severity is not Severity.ADVICE)
    assert Path(problem.file).name == "tone.yaml"
    assert problem.line == line
    assert as_text(problem).startswith(start)
    assert [part for part in parts if part not in as_text(problem)] == []


@pytest.mark.parametrize("model", VALID.values(), ids=VALID)
def test_a_valid_base_model_has_no_problem(tmp_path: Path, model: str) -> None:
    assert report(tmp_path, model, ROWS[1:]).all_problems == ()


def test_the_location_and_the_price_of_requests_are_advice(tmp_path: Path) -> None:
    found = report(tmp_path, "  provider: us\n  baseModel: models/gemini-3.5-flash\n")
    price, location = map(as_text, found.all_problems)
    prefix = "advice: served-elsewhere: models/gemini-3.5-flash is tuned in us-cen"
    assert location.startswith(prefix)
    assert "answers from us or eu" in location
    assert "costs 1.5 times its price (unofficial: " in price
    assert found.training_warnings == {"tone": []}  # a plan does not show advice


def test_alternatives_can_be_tuned_in_the_same_location_and_do_not_retire_soon(
    tmp_path: Path,
) -> None:
    rows = ROWS[1:] + (
        f"    - {{name: soon, provider: vertex, tunable: true,"
        f" retirement: {{date: {TODAY + timedelta(days=90)}}}}}\n"
    )
    problems = report(tmp_path, "  baseModel: models/gone\n", rows).all_problems
    (problem,) = (each for each in problems if each.code == "base-retired")
    # gemini-3.5-flash cannot be tuned in europe-west1, soon retires in 90 days.
    assert problem.cure.startswith("Set baseModel to models/sized or models/somewhere, ")


def test_a_model_that_continues_has_the_base_model_of_its_parent(tmp_path: Path) -> None:
    base = "  provider: gemini\n  baseModel: models/gemini-1.5-flash-001-tuning\n"
    opened = open_project(tmp_path, base)
    child = MODEL.replace("tone}", "child}") + "  provider: gemini\n  tunedModel: tone\n"
    (tmp_path / "child.yaml").write_text(child.lstrip())
    problems = base_model_report(Project.open(opened.root), TODAY).problems["child"]
    assert [problem.code for problem in problems] == [
        "base-retired", "base-not-tunable", "base-not-continued",
    ]  # fmt: skip
    assert {(problem.path, problem.line) for problem in problems} == {("spec.tunedModel", 7)}


def with_retirement(
    retires: date, *, certainty: str = "documented", days: int | None = None
) -> str:
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
def test_the_severity_of_a_retirement_depends_on_the_remaining_days(
    tmp_path: Path, days: int, severity: Severity | None
) -> None:
    retires = TODAY + timedelta(days=days)
    problems = report(tmp_path, MINE, with_retirement(retires)).all_problems
    # An error of the policy is also a warning, for models that are not trained.
    both = {Severity.WARNING, Severity.ERROR}
    expected = both if 0 < days <= 14 else {severity} if severity else set()
    assert {problem.severity for problem in problems} == expected
    assert all(str(retires) in problem.message for problem in problems)


def test_the_policy_sets_the_minimum_of_remaining_days(tmp_path: Path) -> None:
    retires = TODAY + timedelta(days=14)
    (problem,) = report(tmp_path, MINE, with_retirement(retires, days=13)).all_problems
    assert problem.severity is Severity.WARNING
    retires = TODAY + timedelta(days=100)
    (problem,) = (
        problem
        for problem in report(tmp_path, MINE, with_retirement(retires, days=100)).all_problems
        if problem.severity is Severity.ERROR
    )
    assert "minBaseModelDays is 100" in problem.message


@pytest.mark.parametrize("days", [91, 90, 14, 0, -1])
def test_an_unofficial_retirement_prevents_no_training(tmp_path: Path, days: int) -> None:
    retires = TODAY + timedelta(days=days)
    unofficial = with_retirement(retires, certainty="unofficial")
    problems = report(tmp_path, MINE, unofficial).all_problems
    assert {problem.severity for problem in problems} <= {Severity.WARNING}


def test_a_plan_shows_the_retirement_of_a_base_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Callable[[Path, str], None]
) -> None:
    monkeypatch.chdir(tmp_path)  # short file names, so that lines always have the same length
    texts = []
    for days in (91, 90, 14, 0, -1):
        found = report(Path(), MINE, with_retirement(TODAY + timedelta(days=days)))
        model = desired(provider="eu", source="models/mine")
        for observed in ([], [live(model, promoted=1)]):
            plan = plan_for(
                [model],
                observed,
                base_models=found.facts(),
                training_warnings=found.training_warnings,
            )
            state = "it serves" if observed else "it is to be trained"
            texts.append(f"===== {days} days before the retirement, {state}\n{plan_text(plan)}")
    golden(GOLDEN / "retiring.txt", "\n".join(texts))


def test_a_retired_base_model_does_not_block_a_ready_model(tmp_path: Path) -> None:
    found = report(tmp_path, MINE, with_retirement(TODAY))
    model = desired(provider="eu", source="models/mine", temperature=0.2)
    observed = live(model, promoted=1, temperature=0.9)
    plan = plan_for([model], [observed], base_models=found.facts())
    (change,) = plan.changes
    assert change.action == "update"
    assert "retired on 2026-12-01" in change.warnings[0]


def test_a_training_has_the_price_of_its_base_model_at_its_provider(tmp_path: Path) -> None:
    price = report(tmp_path, "  baseModel: models/sized\n", ROWS[1:]).prices["tone"]
    assert price
    assert price.usd_per_million_tokens == 25
    assert (price.as_of, price.certainty) == (date(2026, 11, 22), "unofficial")
    assert report(tmp_path, "  baseModel: models/what\n").prices["tone"] is None
    free = report(tmp_path, "  provider: local\n  baseModel: models/what\n").prices["tone"]
    assert free
    assert free.usd_per_million_tokens == 0


def plan_of(folder: Path, *sets: str) -> Plan:
    opened = Project.open(folder, sets=sets)
    models = resolve(opened, use_cache=False).desired_or_raise()
    return plan_for(models, base_models=base_model_report(opened, TODAY).facts())


def test_a_plan_with_other_epochs_on_the_command_line_shows_their_cost(tmp_path: Path) -> None:
    base = "  baseModel: models/mine\n  hyperparameters: {epochCount: 4}\n"
    row = "{name: mine, provider: vertex, tunable: true, price: {usdPerMillionTokens: 5000}}"
    open_project(tmp_path, base, f"  baseModels: [{row}]\n")
    full = plan_of(tmp_path)
    less = plan_of(tmp_path, "tone.hyperparameters.epochCount=2")
    assert full.cost_usd
    assert less.cost_usd == pytest.approx(full.cost_usd / 2, abs=0.01)
    (tmp_path / "tone.yaml").write_text(MODEL.lstrip() + base.replace("4", "2"))
    assert plan_of(tmp_path).digest == less.digest
    assert plan_of(tmp_path).cost_usd == less.cost_usd


def test_the_cost_includes_the_preamble_before_every_example(tmp_path: Path) -> None:
    open_project(
        tmp_path, "  baseModel: models/sized\n  hyperparameters: {epochCount: 1}\n", ROWS[1:]
    )
    (without,) = plan_of(tmp_path).changes
    preamble = "Say what number comes next."
    (with_preamble,) = plan_of(tmp_path, f"tone.dataset.preamble={preamble}").changes
    assert without.cost
    assert with_preamble.cost
    assert without.cost.tokens
    expected = without.cost.tokens + 120 * estimate_tokens(preamble)
    assert with_preamble.cost.tokens == expected


def test_validate_reports_the_problems(
    tmp_path: Path, validate: Callable[[], CommandResult]
) -> None:
    open_project(tmp_path, "  baseModel: models/gemini-3.5-flash\n")
    result = validate()
    assert result.code == 1
    assert "tone.yaml:6: spec.baseModel: models/gemini-3.5-flash cannot be tuned in" in result.out


def test_the_limits_of_the_base_model_apply_to_the_dataset(
    tmp_path: Path, validate: Callable[[], CommandResult]
) -> None:
    rows = (
        "  baseModels:\n    - name: mine\n      provider: vertex\n      tunable: true\n"
        "      dataset: {maxExamples: 119, maxTokensPerExample: 4, maxBytes: 1000}\n"
    )
    open_project(tmp_path, MINE, rows)
    result = validate()
    assert "has 120 examples; at most 119 are allowed" in result.out
    assert "tone.jsonl:1: has about 9 tokens (estimated); at most 4 are allowed" in result.out
    assert "bytes" in result.out


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{name: x}", "provider"),
        ("{name: x, provider: openai}", "provider"),
        ("{name: x, provider: vertex, adapterSize: [1]}", "adapterSizes"),
        ("{name: models/x, provider: vertex}", "name"),
        ("{name: x, provider: vertex, price: {usdPerMillionTokens: -1}}", "usdPerMillionTokens"),
        ("{name: x, provider: vertex, retirement: {date: soon}}", "is not a valid date"),
    ],
)
def test_an_invalid_entry_of_the_project_is_an_error(
    tmp_path: Path, validate: Callable[[], CommandResult], row: str, message: str
) -> None:
    (tmp_path / "tunedmodels.yaml").write_text(PROJECT.lstrip() + f"  baseModels: [{row}]\n")
    result = validate()
    assert result.code == 1
    assert "tunedmodels.yaml:10: spec.baseModels" in result.out
    assert message in result.out
