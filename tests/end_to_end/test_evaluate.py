"""`tunedmodels evaluate` on really trained models."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import jsonschema
import pytest

from tests.support.project_dir import TONE_EXAMPLES, ProjectDir
from tunedmodels.render.evaluation_json import evaluation_schema

SECRET = "zebra"  # noqa: S105  # a word of the dataset, not a password


def held_out(project_dir: ProjectDir, *, count: int = 40, wrong: int = 0) -> None:
    """Write held-out examples, the first `wrong` of them with the other label."""
    labels = {"friendly": "angry", "angry": "friendly"}
    rows = []
    for number in range(count):
        words, label = TONE_EXAMPLES[number % len(TONE_EXAMPLES)]
        output = labels[label] if number < wrong else label
        rows.append(json.dumps({"text_input": f"{words}, {SECRET} {number}", "output": output}))
    project_dir.write("manifests/data/tone.eval.jsonl", "\n".join(rows) + "\n")


def declare(project_dir: ProjectDir, name: str = "tone", **rules: Any) -> None:
    """Declare the model with an evaluation."""
    project_dir.model(name, evaluation={"path": "data/tone.eval.jsonl", **rules})


def apply(project_dir: ProjectDir) -> None:
    ended = project_dir.run("apply", "--yes")
    assert ended.code == 0, ended.err


def document(project_dir: ProjectDir, *arguments: str, code: int = 0) -> dict[str, Any]:
    ended = project_dir.run("evaluate", "tone", "--format", "json", *arguments)
    assert ended.code == code, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    jsonschema.validate(found, evaluation_schema())
    return found


@pytest.fixture
def trained(project_dir: ProjectDir) -> ProjectDir:
    """A serving version and held-out examples."""
    held_out(project_dir, wrong=2)
    declare(project_dir)
    apply(project_dir)
    return project_dir


def test_the_serving_version_and_its_base_are_scored(trained: ProjectDir) -> None:
    found = document(trained)
    serving, few, base = found["contenders"]
    assert (serving["role"], serving["score"]) == ("serving", 0.95)
    assert serving["low"] < 0.95 < serving["high"]
    for contender, role in ((few, "few-shot"), (base, "base")):
        assert (contender["role"], contender["model"]) == (role, "models/embedded-label-001")
        assert contender["score"] is None
        assert contender["unable"].startswith(
            "models/embedded-label-001 cannot answer before it is tuned"
        )
    assert found["tuning"]["pays"] is None
    assert found["gate"] is None


def test_tuning_beats_a_base_model_that_answers(project_dir: ProjectDir) -> None:
    held_out(project_dir)
    base = "models/embedded-text-001"
    project_dir.model(
        "tone", baseModel=base, evaluation={"path": "data/tone.eval.jsonl", "fewShot": 3}
    )
    apply(project_dir)
    found = document(project_dir)
    assert [contender["role"] for contender in found["contenders"]] == [
        "serving",
        "few-shot",
        "base",
    ]
    assert found["fewShot"] == 3
    assert found["contenders"][2]["score"] == 0
    assert found["tuning"]["pays"] is True
    without = document(project_dir, "--few-shot", "0")
    assert [contender["role"] for contender in without["contenders"]] == ["serving", "base"]


def test_no_example_is_sent_twice_without_no_cache(trained: ProjectDir) -> None:
    answers = trained.folder / "manifests/.tunedmodels/evaluations"
    first = document(trained, "--no-cache")
    assert not answers.exists()
    assert document(trained) == first
    (file,) = answers.glob("tone-*.jsonl")
    before = file.read_bytes()
    assert document(trained) == first
    assert file.read_bytes() == before
    held_out(trained, count=44)
    document(trained)
    assert file.read_bytes().startswith(before)
    assert file.read_bytes().count(b"\n") == before.count(b"\n") + 4


# fmt: off
GATES: list[tuple[dict[str, Any], int, str | None]] = [  # rules, exit code, decision
    ({"atLeast": 0.8},                        0,    "passed"),
    ({"atLeast": 0.99},                       5,    "refused"),
    ({"atLeast": 0.94},                       5,    "inconclusive"),
    ({"atLeast": 0.94, "onInconclusive": "promote"}, 0, "inconclusive"),
    ({"notWorseThanServingBy": 0.01},         0,    None),
]
# fmt: on


def test_the_exit_code_is_5_when_the_gate_does_not_pass(trained: ProjectDir) -> None:
    for rules, code, decision in GATES:
        declare(trained, **rules)
        gate = document(trained, code=code)["gate"]
        assert (gate["decision"] if gate else None) == decision, rules


def test_a_named_version_is_compared_with_the_serving_one(trained: ProjectDir) -> None:
    first = trained.status()["serving"]
    trained.dataset(times=7)
    apply(trained)
    serving = trained.status()["serving"]
    assert serving != first
    declare(trained, notWorseThanServingBy=0.2)
    found = document(trained, "--version", first)
    candidate, served = found["contenders"][:2]
    assert (candidate["role"], candidate["model"]) == ("candidate", first)
    assert (served["role"], served["model"]) == ("serving", serving)
    assert candidate["gain"]["over"] == serving
    assert (found["gate"]["model"], found["gate"]["decision"]) == (first, "passed")


def test_a_version_with_another_preamble_is_compared_by_its_cached_answers(
    trained: ProjectDir,
) -> None:
    first = trained.status()["serving"]
    evaluation = {"path": "data/tone.eval.jsonl"}
    dataset = {"path": "data/tone.jsonl", "preamble": "Name the tone."}
    document(trained)  # caches its answers
    trained.model("tone", dataset=dataset, evaluation=evaluation)
    apply(trained)
    assert document(trained, "--version", first)["contenders"][0]["score"] == 0.95
    forgotten = document(trained, "--version", first, "--no-cache")["contenders"][0]
    assert forgotten["unable"] == "it was trained with another preamble than the declared one"


def test_the_text_of_tracked_examples_is_shown_on_request(trained: ProjectDir) -> None:
    assert SECRET not in trained.run("evaluate", "tone").out
    untracked = trained.run("evaluate", "tone", "--examples", "all")
    assert SECRET not in untracked.out
    assert "git does not track the file" in untracked.out
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=trained.folder, check=True)
    tracked = trained.run("evaluate", "tone", "--examples", "all")
    assert tracked.out.count(SECRET) == 2
    assert ':1  "thank you so much, zebra 0" -> "friendly", expected "angry"' in tracked.out
    page = trained.run("evaluate", "tone", "--format", "html").out
    assert page.startswith("<!doctype html>")
    assert SECRET not in page


def test_the_reason_why_a_model_cannot_be_evaluated_is_reported(project_dir: ProjectDir) -> None:
    missing = project_dir.run("evaluate", "tone")
    assert (missing.code, missing.out) == (1, "")
    assert "tone declares no evaluation" in missing.err
    held_out(project_dir)
    declare(project_dir)
    untrained = project_dir.run("evaluate", "tone")
    assert untrained.code == 1
    assert "tone has no ready version to evaluate" in untrained.err
    unknown = project_dir.run("evaluate", "tune")
    assert "Did you mean tone?" in unknown.err


def test_an_expected_text_that_the_metric_cannot_score_is_reported(trained: ProjectDir) -> None:
    declare(trained, metric="jsonFields")
    ended = trained.run("evaluate", "tone")
    assert ended.code == 1
    assert "data/tone.eval.jsonl:1: output is not JSON" in ended.err
