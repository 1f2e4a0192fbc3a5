"""Environments, lineages and former names in manifests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunedmodels.errors import ProblemsFoundError, TunedModelsError
from tunedmodels.manifests.load import load
from tunedmodels.plan.planner import Allowances, PlanInputs, PlanOptions, make_plan
from tunedmodels.project.project import Project
from tunedmodels.schema.project import Policy

LINEAGE = "3f9c1e7a2b04"
MODEL = """\
apiVersion: tunedmodels.dev/v1
kind: TunedModel
metadata: {name: tone}
spec:
  baseModel: models/embedded-label-001
  dataset: {path: tone.jsonl}
"""


def write(folder: Path, metadata: str = "{name: demo}", spec: str = "{}", **files: str) -> None:
    project = f"apiVersion: tunedmodels.dev/v1\nkind: Project\nmetadata: {metadata}\nspec: {spec}\n"
    texts = {"tunedmodels.yaml": project, "tone.yaml": MODEL}
    texts |= {f"{name.replace('__', '/')}.yaml": text for name, text in files.items()}
    for path, text in texts.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def overlay(spec: str, kind: str = "TunedModel", name: str = "tone") -> str:
    return (
        f"apiVersion: tunedmodels.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )


def problems(folder: Path, environment: str = "") -> list[str]:
    try:
        found = load(folder, environment=environment).problems
    except ProblemsFoundError as error:
        found = error.problems
    return [f"{problem.path}: {problem.message}; {problem.cure}" for problem in found]


TWO = "{environments: {staging: {}, production: {promotesFrom: staging}}}"


def test_a_declared_environment_needs_no_overlay(tmp_path: Path) -> None:
    write(tmp_path, spec=TWO)
    assert problems(tmp_path, "staging") == []
    assert problems(tmp_path, "production") == []
    project = Project.open(tmp_path, environment="production")
    assert project.ownership.is_promoting
    assert project.ownership.training_environment == "staging"
    assert Project.open(tmp_path, environment="staging").ownership.is_shared


def test_without_env_a_project_with_environments_is_refused(tmp_path: Path) -> None:
    write(tmp_path, spec=TWO)
    with pytest.raises(TunedModelsError, match="staging, production, and none is named"):
        Project.open(tmp_path)
    Project.open(tmp_path, needs_environment=False)


@pytest.mark.parametrize("name", ["prod", "default", "Staging"])
def test_an_environment_that_is_not_declared_is_an_error(name: str, tmp_path: Path) -> None:
    write(tmp_path, spec=TWO)
    assert problems(tmp_path, name)
    Project.open(tmp_path, environment="prod", accepts_undeclared=True)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{environments: {a: {promotesFrom: b}}}", "no environment is called 'b'"),
        ("{environments: {a: {promotesFrom: a}}}", "is a cycle: a promotes from a"),
        ("{environments: {a: {promotesFrom: b}, b: {promotesFrom: a}}}", "is a cycle"),
        (
            "{environments: {a: {}, "
            + ", ".join(f"b{n}: {{promotesFrom: a}}" for n in range(9))
            + "}}",
            "9 environments promote from a; at most 8 can",
        ),
    ],
)
def test_environments_that_cannot_promote_are_errors(
    spec: str, message: str, tmp_path: Path
) -> None:
    write(tmp_path, spec=spec)
    assert any(message in problem for problem in problems(tmp_path))


def test_an_overlay_cannot_change_the_environments(tmp_path: Path) -> None:
    change = overlay("{environments: {other: {}}}", "Project", "demo")
    write(tmp_path, spec=TWO, overlays__staging=change)
    (problem,) = problems(tmp_path, "staging")
    assert "cannot be changed for one environment" in problem


@pytest.mark.parametrize(
    "spec",
    [
        "{hyperparameters: {epochCount: 3}}",
        "{temperature: 0.5}",
        "{dataset: {preamble: Hello}}",
        "{displayName: Other}",
    ],
)
def test_what_is_promoted_must_be_declared_as_it_is_trained(spec: str, tmp_path: Path) -> None:
    write(tmp_path, spec=TWO, overlays__production=overlay(spec))
    (problem,) = problems(tmp_path, "production")
    assert "differs from staging, whose versions production promotes" in problem
    assert problems(tmp_path, "staging") == []
    write(tmp_path, spec="{environments: {staging: {}, production: {}}}")
    assert problems(tmp_path, "production") == [], "without promotesFrom they share nothing"


def test_gate_and_lifecycle_are_of_the_environment_that_promotes(tmp_path: Path) -> None:
    own = "{lifecycle: {keep: 0, protect: true}, evaluation: {path: e.jsonl, atLeast: 0.9}}"
    write(tmp_path, spec=TWO, overlays__production=overlay(own))
    assert problems(tmp_path, "production") == []


def test_the_place_must_be_the_same(tmp_path: Path) -> None:
    change = overlay("{provider: other, providers: {other: {type: embedded}}}", "Project", "demo")
    write(tmp_path, spec=TWO, overlays__production=change)
    (problem,) = problems(tmp_path, "production")
    assert problem.startswith("spec.provider: differs from staging")


SHARED = "{provider: g, providers: {g: {type: gemini, endpoint: 'https://models.example.com'}}}"


def test_without_a_lineage_a_plan_for_a_shared_provider_is_refused(tmp_path: Path) -> None:
    write(tmp_path, spec=SHARED)
    project = Project.open(tmp_path)
    inputs = PlanInputs(project.ownership, [], [], missing_lineage=project.missing_lineage)
    plan = make_plan(inputs, PlanOptions(Policy(), Allowances(empty=True)))
    (refusal,) = plan.refusals
    assert refusal.code == "no-lineage"
    assert "metadata.lineage: is missing" in refusal.message
    assert refusal.cure.startswith("Add the line `lineage: ")
    with pytest.raises(ProblemsFoundError):
        project.require_lineage()


def test_a_shared_provider_needs_a_lineage_and_the_cure_is_the_line_to_add(tmp_path: Path) -> None:
    write(tmp_path, spec=SHARED)
    (problem,) = problems(tmp_path)
    assert "metadata.lineage: is missing" in problem
    line = problem.split("`lineage: ")[1].split("`")[0]
    write(tmp_path, metadata=f"{{name: demo, lineage: {line!r}}}", spec=SHARED)
    assert problems(tmp_path) == []
    former = problem.split("add also `")[1].split("`")[0]
    write(tmp_path, metadata=f"{{name: demo, lineage: {line!r}, {former}}}", spec=SHARED)
    (taken,) = Project.open(tmp_path).ownership.former_projects
    assert (taken.project, taken.lineage) == ("demo", "")


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:1", "[::1]:8080"])
def test_a_service_on_this_machine_needs_no_lineage(host: str, tmp_path: Path) -> None:
    write(tmp_path, spec=SHARED.replace("https://models.example.com", f"http://{host}"))
    assert problems(tmp_path) == []


def test_a_lineage_that_is_digits_only_is_text_as_init_writes_it(tmp_path: Path) -> None:
    write(tmp_path, metadata='{name: demo, lineage: "012345678901"}')
    assert problems(tmp_path) == []
    write(tmp_path, metadata="{name: demo, lineage: XYZ}")
    assert problems(tmp_path) != []


def renamed(name: str, formerly: str) -> str:
    return MODEL.replace("{name: tone}", f"{{name: {name}, formerly: [{formerly}]}}")


def test_a_former_name_that_is_still_declared_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, voice=renamed("voice", "tone"))
    (problem,) = problems(tmp_path)
    assert "'tone' is still declared" in problem


def test_two_models_cannot_claim_one_former_name(tmp_path: Path) -> None:
    write(tmp_path, voice=renamed("voice", "old"), other=renamed("other", "old"))
    (problem,) = problems(tmp_path)
    assert "'old' is also a former name of" in problem


def test_the_current_identity_is_not_a_former_one(tmp_path: Path) -> None:
    write(tmp_path, metadata="{name: demo, formerly: [{project: demo, lineage: none}]}")
    (problem,) = problems(tmp_path)
    assert "contains the current name and lineage" in problem
