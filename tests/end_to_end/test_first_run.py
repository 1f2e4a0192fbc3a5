"""The main workflow from end to end, as a new user follows it."""

from __future__ import annotations

import csv
import io
import json
import subprocess

from tests.support.project_dir import CACHE, ProjectDir


def test_from_init_to_an_answer(project_dir: ProjectDir) -> None:
    assert project_dir.run("init", "new", "--name", "mine").code == 0
    ended = project_dir.run("-C", "new", "plan")
    assert "+   tone" in ended.out
    assert "Plan: 1 to create" in ended.out
    assert project_dir.run("-C", "new", "apply", "--yes").code == 0
    assert project_dir.run("-C", "new", "plan", "--detailed-exitcode").code == 0
    answer = project_dir.run("-C", "new", "generate", "tone", "thank you, you are wonderful")
    assert answer.out == "friendly\n"
    again = project_dir.run("-C", "new", "init", ".", "--name", "mine")
    assert again.code == 1
    assert "nothing was written" in again.err


def test_a_second_apply_makes_no_changes(project_dir: ProjectDir) -> None:
    first = project_dir.run("apply", "--yes")
    assert first.code == 0, first.err
    before = project_dir.status()
    second = project_dir.run("apply", "--yes")
    assert second.code == 0
    assert "No changes." in second.out
    assert project_dir.status() == before


def test_the_plan_notes_the_epochs_that_the_last_curve_recommends(project_dir: ProjectDir) -> None:
    project_dir.model(hyperparameters={"epochCount": 80})
    assert project_dir.run("apply", "--yes").code == 0
    (note,) = project_dir.plan()["notes"]
    assert note["name"] == "tone"
    assert note["words"].startswith("80 epochs are declared. In tone-")
    recommended = int(note["words"].rsplit("epochCount: ", 1)[1].rstrip("."))
    project_dir.model(hyperparameters={"epochCount": recommended})
    assert project_dir.plan()["notes"] == []


def test_two_plans_of_one_state_are_identical(project_dir: ProjectDir) -> None:
    assert project_dir.run("plan").out == project_dir.run("plan").out
    assert project_dir.run("plan", "--detailed-exitcode").code == 2


def test_an_edited_example_replaces_the_version_and_its_revert_trains_nothing(
    project_dir: ProjectDir,
) -> None:
    assert project_dir.run("apply", "--yes").code == 0
    first = project_dir.status()["serving"]
    original = project_dir.read("manifests/data/tone.jsonl")
    project_dir.write(
        "manifests/data/tone.jsonl", original.replace("thank you so much 0", "thanks!")
    )
    change = project_dir.plan()["changes"][0]
    assert change["action"] == "replace"
    assert (change["dataset"]["added"], change["dataset"]["removed"]) == (1, 1)
    assert project_dir.run("apply", "--yes").code == 0
    status = project_dir.status()
    assert status["serving"] != first
    assert len(status["versions"]) == 2
    project_dir.write("manifests/data/tone.jsonl", original)
    assert project_dir.actions() == ["promote"]
    assert project_dir.run("apply", "--yes").code == 0
    status = project_dir.status()
    assert status["serving"] == first
    assert len(status["versions"]) == 2, "nothing was trained again"


def test_git_revert_promotes_the_former_version_without_training(
    project_dir: ProjectDir,
) -> None:
    def git(*arguments: str) -> None:
        names = ("-c", "user.name=me", "-c", "user.email=me@example.org")
        subprocess.run(["git", *names, *arguments], check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "One")
    assert project_dir.run("apply", "--yes").code == 0
    first = project_dir.status()["serving"]
    assert ".tunedmodels" not in subprocess.check_output(["git", "status", "--short"], text=True)
    original = project_dir.read("manifests/data/tone.jsonl")
    project_dir.write(
        "manifests/data/tone.jsonl", original.replace("thank you so much 0", "thanks!")
    )
    git("commit", "--all", "-m", "Two")
    planned = project_dir.run("plan").out
    assert "the dataset changed: +1 -1 examples" in planned
    assert '"thanks!"' in planned, "git tracks the file, so every reader of the plan may see it"
    assert project_dir.run("apply", "--yes").code == 0
    git("revert", "--no-edit", "HEAD")
    assert project_dir.actions() == ["promote"]
    assert project_dir.run("apply", "--yes").code == 0
    status = project_dir.status()
    assert status["serving"] == first
    assert len(status["versions"]) == 2, "nothing was trained again"
    head = subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD~2"], text=True)
    assert f"commit          {head}" in project_dir.run("show", "tone").out


def test_read_only_commands_write_only_the_cache(project_dir: ProjectDir) -> None:
    before = project_dir.files()
    for command in ("plan", "status", "outputs --allow-missing", "watch", "validate"):
        assert project_dir.run(*command.split()).code == 0
    assert project_dir.files() - before <= CACHE
    assert project_dir.run("plan", "--no-cache").code == 0


def test_the_same_examples_in_another_format_cause_no_change(project_dir: ProjectDir) -> None:
    assert project_dir.run("apply", "--yes").code == 0
    file = project_dir.folder / "manifests/data/tone.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    swapped = [{"output": row["output"], "text_input": row["text_input"]} for row in rows]
    project_dir.write("manifests/data/tone.jsonl", "\n".join(map(json.dumps, swapped)))
    assert project_dir.plan()["changes"] == []
    text = io.StringIO()
    writer = csv.DictWriter(text, ["output", "text_input"])
    writer.writeheader()
    writer.writerows(rows)
    project_dir.write("manifests/data/tone.csv", text.getvalue())
    project_dir.model(dataset={"path": "data/tone.csv"})
    assert project_dir.plan()["changes"] == []


def test_a_removed_manifest_deletes_its_model_and_nothing_else(project_dir: ProjectDir) -> None:
    for name in ("other", "third", "fourth"):
        project_dir.model(name)
        project_dir.dataset(name)
    assert project_dir.run("apply", "--yes").code == 0
    project_dir.remove("manifests/other.yaml")
    assert project_dir.actions() == ["delete"]
    assert project_dir.run("apply", "--yes").code == 0
    outputs = json.loads(project_dir.run("outputs", "--format", "json").out)
    assert sorted(outputs) == ["fourth", "third", "tone"]


def test_destroy_requires_confirmation_and_deletes_every_version(project_dir: ProjectDir) -> None:
    assert project_dir.run("apply", "--yes").code == 0
    refused = project_dir.run("destroy")
    assert refused.code == 1
    assert "Cannot ask for confirmation" in refused.err
    assert project_dir.run("destroy", "--yes").code == 0
    assert project_dir.status()["versions"] == []


def test_a_model_can_continue_from_another_one(project_dir: ProjectDir) -> None:
    project_dir.model("child", baseModel=None, tunedModel="tone")
    project_dir.dataset("child", times=3)
    ended = project_dir.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert project_dir.status("child")["serving"]
    assert project_dir.run("plan", "--detailed-exitcode").code == 0


def test_a_manual_promotion_is_reverted_by_the_next_apply(project_dir: ProjectDir) -> None:
    assert project_dir.run("apply", "--yes").code == 0
    first = project_dir.status()["serving"]
    project_dir.dataset(times=7)
    assert project_dir.run("apply", "--yes").code == 0
    second = project_dir.status()["serving"]
    assert project_dir.run("promote", "tone", first[-8:]).code == 0
    assert project_dir.status()["serving"] == first
    assert project_dir.run("apply", "--yes").code == 0
    assert project_dir.status()["serving"] == second


def test_outputs_for_shells_and_programs(project_dir: ProjectDir) -> None:
    assert "No model serves yet" in project_dir.run("outputs", "--allow-missing").out
    for options in ((), ("--wait", "--timeout", "1s")):
        missing = project_dir.run("outputs", *options)
        assert (missing.code, missing.out) == (1, "")
        assert "No version serves tone" in missing.err
    assert project_dir.run("apply", "--yes").code == 0
    served = project_dir.status()["serving"]
    assert project_dir.run("outputs", "--wait").out == f"tone  tunedModels/{served}\n"
    env = project_dir.run("outputs", "--format", "env").out
    assert env == f"TUNEDMODELS_TONE=tunedModels/{served}\n"
    document = json.loads(project_dir.run("outputs", "--format", "json").out)
    assert document["tone"]["model"] == f"tunedModels/{served}"


def test_show_draws_the_curve_and_writes_a_picture(project_dir: ProjectDir) -> None:
    assert project_dir.run("apply", "--yes").code == 0
    output = project_dir.run("show", "tone", "--svg", "curve.svg")
    assert output.code == 0, output.err
    assert "Loss of tone-" in output.out
    assert (project_dir.folder / "curve.svg").read_text(encoding="utf-8").startswith("<svg ")
    card = json.loads(project_dir.run("show", "tone", "--format", "json").out)
    assert card["versions"][0]["curve"][0]["step"] == 1


def test_generate_reads_standard_input_and_streams(project_dir: ProjectDir) -> None:
    assert project_dir.run("apply", "--yes").code == 0
    assert project_dir.run("generate", "tone", stdin=b"this is a disgrace 2\n").out == "angry\n"
    streamed = project_dir.run("generate", "tone", "--stream", "what a lovely day 1")
    assert streamed.out == "friendly\n"
    unknown = project_dir.run("generate", "tonne", "hello")
    assert unknown.code == 1
    assert "Did you mean tone?" in unknown.err
