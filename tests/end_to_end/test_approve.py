"""Apply does exactly what was approved, or nothing."""

from __future__ import annotations

import json

from tests.support.project_dir import ProjectDir

OVERLAY = """\
apiVersion: tunedmodels.dev/v1
kind: TunedModel
metadata: {name: tone}
spec: {temperature: 0.4}
"""


def test_apply_without_a_terminal_requires_an_approval(project_dir: ProjectDir) -> None:
    ended = project_dir.run("apply")
    assert ended.code == 1
    assert "Cannot ask for confirmation" in ended.err
    assert "--yes" in ended.err
    assert not (project_dir.folder / "manifests/.tunedmodels/embedded.db").exists()


def test_a_saved_plan_is_applied_unchanged(project_dir: ProjectDir) -> None:
    assert project_dir.run("plan", "--out", "plan.json").code == 0
    assert json.loads((project_dir.folder / "plan.json").read_text())["digest"].startswith(
        "sha256:"
    )
    assert project_dir.run("apply", "plan.json").code == 0
    assert project_dir.status()["serving"]


def test_a_saved_plan_contains_its_own_overrides(project_dir: ProjectDir) -> None:
    option = ("--set", "tone.hyperparameters.epochCount=2")
    assert project_dir.run("plan", "--out", "plan.json", *option).code == 0
    assert project_dir.run("apply", "plan.json").code == 0
    card = json.loads(project_dir.run("show", "tone", "--format", "json").out)
    assert card["versions"][0]["hyperparameters"]["epochCount"] == 2


def test_a_stale_plan_is_refused_with_the_reasons(project_dir: ProjectDir) -> None:
    assert project_dir.run("plan", "--out", "plan.json").code == 0
    project_dir.dataset(times=7)
    ended = project_dir.run("apply", "plan.json")
    assert ended.code == 4
    assert "stale" in ended.err
    assert "tone: the dataset data/tone.jsonl changed (24 -> 28 examples)" in ended.err
    assert project_dir.status()["versions"] == []


def test_a_saved_plan_lists_its_inputs(project_dir: ProjectDir) -> None:
    project_dir.write("manifests/overlays/prod.yaml", OVERLAY)
    assert project_dir.run("plan", "--env", "prod", "--out", "plan.json").code == 0
    plan = json.loads((project_dir.folder / "plan.json").read_text())
    assert (plan["project"], plan["environment"]) == ("demo", "prod")
    assert plan["tool"] in project_dir.run("--version").out
    assert [(entry["kind"], entry["path"]) for entry in plan["inputs"]] == [
        ("manifest", "overlays/prod.yaml"),
        ("manifest", "tone.yaml"),
        ("manifest", "tunedmodels.yaml"),
        ("dataset", "data/tone.jsonl"),
    ]
    assert all(len(entry["digest"]) == 64 for entry in plan["inputs"])


def test_the_valid_changes_of_a_stale_plan_are_applied_only_with_keep_going(
    project_dir: ProjectDir,
) -> None:
    project_dir.model("other")
    project_dir.dataset("other")
    assert project_dir.run("plan", "--out", "plan.json").code == 0
    project_dir.dataset(times=7)
    assert project_dir.run("apply", "plan.json").code == 4
    assert project_dir.status("other")["versions"] == []
    ended = project_dir.run("apply", "plan.json", "--keep-going")
    assert ended.code == 4, ended.err
    assert "Skipped tone, which is stale: the dataset" in ended.err
    assert project_dir.status("other")["serving"]
    assert project_dir.status()["versions"] == []


def test_a_plan_that_another_process_applied_has_no_changes_left(
    project_dir: ProjectDir,
) -> None:
    assert project_dir.run("plan", "--out", "plan.json").code == 0
    project_dir.write(
        "manifests/tone.yaml", (project_dir.folder / "manifests/tone.yaml").read_text() + "\n# x\n"
    )
    assert project_dir.run("apply", "plan.json", "--no-wait").code == 3
    for _ in range(2):
        ended = project_dir.run("apply", "plan.json")
        assert ended.code == 0, ended.out + ended.err
    assert "No changes" in ended.out
    assert len(project_dir.status()["versions"]) == 1


def test_plan_check_compares_the_plan_with_an_approved_digest(
    project_dir: ProjectDir,
) -> None:
    digest = project_dir.plan()["digest"]
    assert project_dir.run("plan", "--check", digest).code == 0
    project_dir.dataset(times=7)
    ended = project_dir.run("plan", "--check", digest[:15])
    assert ended.code == 4
    assert project_dir.plan()["digest"] in ended.err
    assert project_dir.run("plan", "--check", "sha256:short").code == 1
    assert project_dir.run("plan", "--drift-only", "--check", digest).code == 1


def test_during_a_blackout_plan_works_and_apply_is_refused(project_dir: ProjectDir) -> None:
    blackouts = "spec: {policy: {blackouts: [{from: 2020-01-01, to: 2999-12-31, reason: feast}]}}\n"
    file = project_dir.folder / "manifests/tunedmodels.yaml"
    file.write_text(file.read_text() + blackouts)
    planned = project_dir.run("plan")
    assert planned.code == 0
    assert "No applies from 2020-01-01 to 2999-12-31 (UTC): feast" in planned.out
    refused = project_dir.run("apply", "--yes")
    assert refused.code == 4
    assert "spec.policy.blackouts" in refused.err
    assert project_dir.status()["versions"] == []


def test_a_manually_edited_plan_is_refused(project_dir: ProjectDir) -> None:
    assert project_dir.run("plan", "--out", "plan.json").code == 0
    file = project_dir.folder / "plan.json"
    file.write_text(file.read_text().replace('"examples": 24', '"examples": 23'))
    ended = project_dir.run("apply", "plan.json")
    assert ended.code == 4, ended.err


def test_apply_with_a_digest_applies_only_that_plan(project_dir: ProjectDir) -> None:
    digest = project_dir.plan()["digest"]
    project_dir.dataset(times=7)
    refused = project_dir.run("apply", "--digest", digest)
    assert refused.code == 4
    assert "stale" in refused.err
    assert project_dir.run("apply", "--digest", project_dir.plan()["digest"]).code == 0


def test_the_removal_of_a_protected_manifest_is_refused(project_dir: ProjectDir) -> None:
    project_dir.model(lifecycle={"protect": True})
    project_dir.model("other")
    project_dir.dataset("other")
    assert project_dir.run("apply", "--yes").code == 0
    project_dir.remove("manifests/tone.yaml")
    ended = project_dir.run("apply", "--yes")
    assert ended.code == 4
    assert "protect" in ended.out
    assert project_dir.status()["serving"]


def test_an_empty_project_deletes_nothing_without_the_option(project_dir: ProjectDir) -> None:
    assert project_dir.run("apply", "--yes").code == 0
    project_dir.remove("manifests/tone.yaml")
    ended = project_dir.run("apply", "--yes")
    assert ended.code == 4
    assert "--allow-empty" in ended.out
    assert project_dir.status()["serving"]


def test_too_many_deletions_name_the_option_that_allows_them(project_dir: ProjectDir) -> None:
    project_dir.model("other")
    project_dir.dataset("other")
    assert project_dir.run("apply", "--yes").code == 0
    project_dir.remove("manifests/tone.yaml")
    ended = project_dir.run("plan")
    assert ended.code == 4
    assert "--allow-delete 1" in ended.out
    assert project_dir.run("apply", "--yes", "--allow-delete", "1").code == 0
    assert project_dir.status("other")["serving"]
