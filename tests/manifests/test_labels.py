"""`metadata.labels`: what a label may be, who asks for which, and that overlays are laid over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.builders import desired, live, planned
from tests.support.project_dir import Desk, desk
from tunedmodels.errors import Problem, ProblemsFoundError
from tunedmodels.manifests.load import Loaded, load
from tunedmodels.plan.plan import Action, FieldChange

__all__ = ["desk"]

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


def loaded(folder: Path, label: str, environment: str = "") -> Loaded:
    (folder / "tunedmodels.yaml").write_text(PROJECT)
    (folder / "tone.yaml").write_text(MODEL % label)
    return load(folder, environment=environment)


def problem(folder: Path, label: str) -> Problem:
    try:
        found = loaded(folder, label).problems
    except ProblemsFoundError as error:
        found = error.problems
    (one,) = found
    return one


# fmt: off
WRONG = [
    ("Cost: a",                   "is no label",              "a-z first"),
    ("1st: a",                    "is no label",              "a-z first"),
    ("'a b': a",                  "is no label",              "a-z first"),
    (f"{'a' * 64}: a",            "is no label",              "63 at most"),
    ("ä: a",                      "is no label",              "a-z first"),
    ("tunedmodels-name: x",       "a label of our own",       "another word"),
    ("goog-x: x",                 "a label of our own or of", "another word"),
    ("cost-center: A",            "'A' is no such value",     "a-z, 0-9"),
    ("cost-center: a.b",          "'a.b' is no such value",   "a-z, 0-9"),
    (f"cost-center: {'a' * 64}",  "is no such value",         "63 at most"),
    ("cost-center: 12",           "must be text (got 12)",    'Put it in quotes: "12"'),
]
# fmt: on


@pytest.mark.parametrize(("label", "words", "cure"), WRONG)
def test_what_is_no_label_says_so_at_its_line(
    tmp_path: Path, label: str, words: str, cure: str
) -> None:
    found = problem(tmp_path, label)
    assert words in found.message
    assert cure in found.cure
    assert found.line == 7


def test_what_a_label_may_be_is_one(tmp_path: Path) -> None:
    read = loaded(tmp_path, f'cost-center: ""\n    {"a" * 63}: {"0" * 63}\n    a_-1: -_')
    (model,) = read.models
    assert model.labels["a_-1"] == "-_"
    (missing,) = read.problems
    assert (missing.code, missing.line) == ("missing-label", 5)
    assert "has no cost-center" in missing.message, "an empty one says nothing"


def test_there_are_no_more_labels_than_a_service_takes(tmp_path: Path) -> None:
    lines = "\n    ".join(f"l{number}: x" for number in range(26))
    found = problem(tmp_path, lines)
    assert "has more than 26 entries" in found.message


def test_an_overlay_adds_changes_and_takes_away_labels(tmp_path: Path) -> None:
    (tmp_path / "overlays").mkdir()
    (tmp_path / "overlays/prod.yaml").write_text(
        "kind: TunedModel\nmetadata:\n  name: tone\n"
        "  labels: {team: ops, tier: gold, cost-center: null}\n"
    )
    read = loaded(tmp_path, "cost-center: c1", "prod")
    assert read.models[0].labels == {"team": "ops", "tier": "gold"}
    (missing,) = read.problems
    assert missing.code == "missing-label"
    assert loaded(tmp_path, "cost-center: c1").problems == ()


def test_a_missing_label_stops_validate_and_plan_with_its_place_and_cure(desk: Desk) -> None:
    desk.write("manifests/tunedmodels.yaml", PROJECT)
    for command in ("validate", "plan"):
        ended = desk.run(command)
        assert ended.code == 1
        said = ended.out + ended.err
        assert "manifests/tone.yaml:3: metadata.labels: has no team, cost-center" in said
        assert "labels: {team: some-word}" in said


def test_a_label_is_changed_in_place_where_the_service_has_labels() -> None:
    want = desired(labels={"team": "ops", "tier": "gold"})
    assert want.fingerprint == desired().fingerprint
    serving = live(want, promoted=1, labels={"team": "support", "tune-type": "sft"})
    (change,) = planned([want], [serving]).changes
    assert change.action is Action.UPDATE
    assert change.fields == (
        FieldChange(path="labels.team", before="support", after="ops"),
        FieldChange(path="labels.tier", before=None, after="gold"),
    )
    assert change.after
    assert change.after.labels == {"team": "ops", "tier": "gold"}
    assert not planned([want], [live(want, promoted=1, labels=dict(want.labels))]).changes
    assert not planned([want], [live(want, promoted=1)]).changes, "where it has none, never"
    assert not planned([desired()], [serving]).changes, "what is not declared is not managed"
