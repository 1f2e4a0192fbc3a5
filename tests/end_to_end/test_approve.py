"""What was approved is what is applied, or nothing is."""

from __future__ import annotations

import json

from tests.support.project_dir import Desk

OVERLAY = """\
apiVersion: tunedmodels.dev/v1
kind: TunedModel
metadata: {name: tone}
spec: {temperature: 0.4}
"""


def test_without_a_terminal_apply_wants_an_approval(desk: Desk) -> None:
    ended = desk.run("apply")
    assert ended.code == 1
    assert "nobody to ask" in ended.err
    assert "--yes" in ended.err
    assert not (desk.folder / "manifests/.tunedmodels/embedded.db").exists()


def test_a_saved_plan_is_applied_as_it_is(desk: Desk) -> None:
    assert desk.run("plan", "--out", "plan.json").code == 0
    assert json.loads((desk.folder / "plan.json").read_text())["digest"].startswith("sha256:")
    assert desk.run("apply", "plan.json").code == 0
    assert desk.status()["serving"]


def test_a_saved_plan_brings_its_own_overrides(desk: Desk) -> None:
    option = ("--set", "tone.hyperparameters.epochCount=2")
    assert desk.run("plan", "--out", "plan.json", *option).code == 0
    assert desk.run("apply", "plan.json").code == 0
    card = json.loads(desk.run("show", "tone", "--format", "json").out)
    assert card["versions"][0]["hyperparameters"]["epochCount"] == 2


def test_a_stale_plan_is_refused_with_what_moved(desk: Desk) -> None:
    assert desk.run("plan", "--out", "plan.json").code == 0
    desk.dataset(times=7)
    ended = desk.run("apply", "plan.json")
    assert ended.code == 4
    assert "stale" in ended.err
    assert "tone: the dataset data/tone.jsonl changed (24 -> 28 examples)" in ended.err
    assert desk.status()["versions"] == []


def test_a_saved_plan_says_what_it_rests_on(desk: Desk) -> None:
    desk.write("manifests/overlays/prod.yaml", OVERLAY)
    assert desk.run("plan", "--env", "prod", "--out", "plan.json").code == 0
    plan = json.loads((desk.folder / "plan.json").read_text())
    assert (plan["project"], plan["environment"]) == ("demo", "prod")
    assert plan["tool"] in desk.run("--version").out
    assert [(each["kind"], each["path"]) for each in plan["inputs"]] == [
        ("manifest", "overlays/prod.yaml"),
        ("manifest", "tone.yaml"),
        ("manifest", "tunedmodels.yaml"),
        ("dataset", "data/tone.jsonl"),
    ]
    assert all(len(each["digest"]) == 64 for each in plan["inputs"])


def test_of_a_stale_plan_only_what_holds_is_run_and_only_on_demand(desk: Desk) -> None:
    desk.model("other")
    desk.dataset("other")
    assert desk.run("plan", "--out", "plan.json").code == 0
    desk.dataset(times=7)
    assert desk.run("apply", "plan.json").code == 4
    assert desk.status("other")["versions"] == []
    ended = desk.run("apply", "plan.json", "--keep-going")
    assert ended.code == 4, ended.err
    assert "Held back, tone: the dataset" in ended.err
    assert desk.status("other")["serving"]
    assert desk.status()["versions"] == []


def test_a_plan_that_was_carried_out_by_somebody_else_is_nothing_to_do(desk: Desk) -> None:
    assert desk.run("plan", "--out", "plan.json").code == 0
    desk.write("manifests/tone.yaml", (desk.folder / "manifests/tone.yaml").read_text() + "\n# x\n")
    assert desk.run("apply", "plan.json", "--no-wait").code == 3
    for _ in range(2):
        ended = desk.run("apply", "plan.json")
        assert ended.code == 0, ended.out + ended.err
    assert "No changes" in ended.out
    assert len(desk.status()["versions"]) == 1


def test_a_merge_queue_asks_whether_the_plan_is_still_the_approved_one(desk: Desk) -> None:
    digest = desk.plan()["digest"]
    assert desk.run("plan", "--check", digest).code == 0
    desk.dataset(times=7)
    ended = desk.run("plan", "--check", digest[:15])
    assert ended.code == 4
    assert desk.plan()["digest"] in ended.err
    assert desk.run("plan", "--check", "sha256:short").code == 1
    assert desk.run("plan", "--drift-only", "--check", digest).code == 1


def test_on_a_day_without_applies_plan_works_and_apply_is_refused(desk: Desk) -> None:
    blackouts = "spec: {policy: {blackouts: [{from: 2020-01-01, to: 2999-12-31, reason: feast}]}}\n"
    file = desk.folder / "manifests/tunedmodels.yaml"
    file.write_text(file.read_text() + blackouts)
    planned = desk.run("plan")
    assert planned.code == 0
    assert "No applies from 2020-01-01 to 2999-12-31 (UTC): feast" in planned.out
    refused = desk.run("apply", "--yes")
    assert refused.code == 4
    assert "spec.policy.blackouts" in refused.err
    assert desk.status()["versions"] == []


def test_a_plan_edited_by_hand_is_refused(desk: Desk) -> None:
    assert desk.run("plan", "--out", "plan.json").code == 0
    file = desk.folder / "plan.json"
    file.write_text(file.read_text().replace('"examples": 24', '"examples": 23'))
    ended = desk.run("apply", "plan.json")
    assert ended.code == 4, ended.err


def test_apply_by_digest_runs_only_that_plan(desk: Desk) -> None:
    digest = desk.plan()["digest"]
    desk.dataset(times=7)
    refused = desk.run("apply", "--digest", digest)
    assert refused.code == 4
    assert "stale" in refused.err
    assert desk.run("apply", "--digest", desk.plan()["digest"]).code == 0


def test_a_missing_manifest_of_a_protected_model_is_refused(desk: Desk) -> None:
    desk.model(lifecycle={"protect": True})
    desk.model("other")
    desk.dataset("other")
    assert desk.run("apply", "--yes").code == 0
    desk.remove("manifests/tone.yaml")
    ended = desk.run("apply", "--yes")
    assert ended.code == 4
    assert "protect" in ended.out
    assert desk.status()["serving"]


def test_an_empty_project_never_deletes_by_itself(desk: Desk) -> None:
    assert desk.run("apply", "--yes").code == 0
    desk.remove("manifests/tone.yaml")
    ended = desk.run("apply", "--yes")
    assert ended.code == 4
    assert "--allow-empty" in ended.out
    assert desk.status()["serving"]


def test_too_many_deletions_name_the_flag_that_allows_them(desk: Desk) -> None:
    desk.model("other")
    desk.dataset("other")
    assert desk.run("apply", "--yes").code == 0
    desk.remove("manifests/tone.yaml")
    ended = desk.run("plan")
    assert ended.code == 4
    assert "--allow-delete 1" in ended.out
    assert desk.run("apply", "--yes", "--allow-delete", "1").code == 0
    assert desk.status("other")["serving"]
