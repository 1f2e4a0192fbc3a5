"""`metadata.labels`: validation, required labels, overlays, and updates in place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.builders import desired, live, plan_for
from tests.support.project_dir import ProjectDir, project_dir
from tunedmodels.errors import Problem, ProblemsFoundError
from tunedmodels.manifests.load import LoadResult, load
from tunedmodels.plan.plan import Action, FieldChange

__all__ = ["project_dir"]

PROJECT = """\
apiVersion: tunedmodels.dev/v1
kind: Project
metadata: {name: demo}
spec:
  policy: {requiredLabels: [team, cost-center]}
"""
MODEL = """\
apiVersion: tunedmodels.dev/v1
kind: TunedModel
metadata:
  name: tone
  labels:
    team: support
    %s
spec:
  baseModel: models/embedded-label-001
  dataset: {path: tone.jsonl}
"""


def loaded(folder: Path, label: str, environment: str = "") -> LoadResult:
    (folder / "tunedmodels.yaml").write_text(PROJECT)
    (folder / "tone.yaml").write_text(MODEL % label)
    return load(folder, environment=environment)


def only_problem(folder: Path, label: str) -> Problem:
    try:
        problems = loaded(folder, label).problems
    except ProblemsFoundError as error:
        problems = error.problems
    (problem,) = problems
    return problem


# fmt: off
INVALID = [
    ("Cost: a",                   "is not a valid label",     "a-z first"),
    ("1st: a",                    "is not a valid label",     "a-z first"),
    ("'a b': a",                  "is not a valid label",     "a-z first"),
    (f"{'a' * 64}: a",            "is not a valid label",     "at most 63"),
    ("ä: a",                      "is not a valid label",     "a-z first"),
    ("tunedmodels-name: x",       "is reserved",              "another prefix"),
    ("goog-x: x",                 "reserved for tunedmodels or Google", "another prefix"),
    ("cost-center: A",            "'A' is not a valid label value", "a-z, 0-9"),
    ("cost-center: a.b",          "'a.b' is not a valid label value", "a-z, 0-9"),
    (f"cost-center: {'a' * 64}",  "is not a valid label value", "at most 63"),
    ("cost-center: 12",           "must be text (got 12)",    'Put it in quotes: "12"'),
]
# fmt: on


@pytest.mark.parametrize(("label", "message", "cure"), INVALID)
def test_an_invalid_label_is_reported_at_its_line(
    tmp_path: Path, label: str, message: str, cure: str
) -> None:
    problem = only_problem(tmp_path, label)
    assert message in problem.message
    assert cure in problem.cure
    assert problem.line == 7


def test_valid_labels_are_accepted(tmp_path: Path) -> None:
    result = loaded(tmp_path, f'cost-center: ""\n    {"a" * 63}: {"0" * 63}\n    a_-1: -_')
    (model,) = result.models
    assert model.labels["a_-1"] == "-_"
    (missing,) = result.problems
    assert (missing.code, missing.line) == ("missing-label", 5)
    assert "does not contain cost-center" in missing.message, "an empty value does not count"


def test_there_are_at_most_as_many_labels_as_a_service_allows(tmp_path: Path) -> None:
    lines = "\n    ".join(f"l{number}: x" for number in range(26))
    assert "has more than 26 entries" in only_problem(tmp_path, lines).message


def test_an_overlay_adds_changes_and_removes_labels(tmp_path: Path) -> None:
    (tmp_path / "overlays").mkdir()
    (tmp_path / "overlays/prod.yaml").write_text(
        "kind: TunedModel\nmetadata:\n  name: tone\n"
        "  labels: {team: ops, tier: gold, cost-center: null}\n"
    )
    result = loaded(tmp_path, "cost-center: c1", "prod")
    assert result.models[0].labels == {"team": "ops", "tier": "gold"}
    (missing,) = result.problems
    assert missing.code == "missing-label"
    assert loaded(tmp_path, "cost-center: c1").problems == ()


def test_a_missing_label_stops_validate_and_plan_with_its_location_and_cure(
    project_dir: ProjectDir,
) -> None:
    project_dir.write("manifests/tunedmodels.yaml", PROJECT)
    for command in ("validate", "plan"):
        ended = project_dir.run(command)
        assert ended.code == 1
        output = ended.out + ended.err
        message = "metadata.labels: does not contain team, cost-center;"
        assert f"manifests/tone.yaml:3: {message}" in output
        assert "labels: {team: some-value}" in output


def test_a_label_is_updated_in_place_if_the_service_has_labels() -> None:
    model = desired(labels={"team": "ops", "tier": "gold"})
    assert model.fingerprint == desired().fingerprint
    serving = live(model, promoted=1, labels={"team": "support", "tune-type": "sft"})
    (change,) = plan_for([model], [serving]).changes
    assert change.action is Action.UPDATE
    assert change.fields == (
        FieldChange(path="labels.team", before="support", after="ops"),
        FieldChange(path="labels.tier", before=None, after="gold"),
    )
    assert change.after
    assert change.after.labels == {"team": "ops", "tier": "gold"}
    assert not plan_for(
        [model], [live(model, promoted=1, labels=dict(model.fields.labels or {}))]
    ).changes
    assert not plan_for([model], [live(model, promoted=1)]).changes, (
        "never if the service has no labels"
    )
    assert not plan_for([desired()], [serving]).changes, "undeclared labels are not managed"
