"""`plan NAME...` and `apply NAME...`: one broken model does not block the others."""

from __future__ import annotations

import json

from tests.support.project_dir import ProjectDir


def test_a_model_is_applied_while_another_one_is_broken(project_dir: ProjectDir) -> None:
    project_dir.model("mood")
    project_dir.dataset("mood", times=7)
    project_dir.write("manifests/data/tone.jsonl", "not JSON\n")
    assert project_dir.run("plan").code == 1
    planned = project_dir.run("plan", "mood")
    assert (planned.code, planned.err) == (0, "")
    assert "Only mood, and the models that they continue from." in planned.out
    assert "tone" not in planned.out
    applied = project_dir.run("apply", "mood", "--yes")
    assert applied.code == 0, applied.err
    assert project_dir.run("plan", "tone").code == 1
    # The manifest of mood is gone: only its own selection removes it.
    project_dir.dataset()
    project_dir.remove("manifests/mood.yaml")
    tone = project_dir.plan("tone")
    assert [(c["name"], c["action"]) for c in tone["changes"]] == [("tone", "create")]
    mood = project_dir.plan("mood")
    assert [(c["name"], c["action"]) for c in mood["changes"]] == [("mood", "delete")]


def test_a_saved_plan_keeps_its_selection(project_dir: ProjectDir) -> None:
    project_dir.model("mood")
    project_dir.dataset("mood", times=7)
    saved = project_dir.plan("mood", "--out", "plan.json")
    assert saved["selection"] == ["mood"]
    assert saved["digest"] != project_dir.plan()["digest"]
    markdown = project_dir.run("plan", "mood", "--format", "markdown").out
    assert f"tunedmodels apply mood --digest {saved['digest']}" in markdown
    applied = project_dir.run("apply", "plan.json")
    assert applied.code == 0, applied.err
    models = json.loads(project_dir.run("status", "--format", "json").out)["models"]
    assert {model["name"]: bool(model["versions"]) for model in models} == {
        "mood": True,
        "tone": False,
    }


def test_an_unknown_name_is_an_error(project_dir: ProjectDir) -> None:
    planned = project_dir.run("plan", "tnoe")
    assert (planned.code, planned.out) == (1, "")
    assert "Did you mean tone?" in planned.err
    both = project_dir.run("apply", "plan.json", "tone")
    assert (both.code, "is the only argument" in both.err) == (1, True)
