"""The main job from end to end, as a newcomer does it."""

from __future__ import annotations

import csv
import io
import json
import subprocess

from tests.support.project_dir import CACHE, Desk


def test_from_init_to_an_answer(desk: Desk) -> None:
    assert desk.run("init", "new", "--name", "mine").code == 0
    ended = desk.run("-C", "new", "plan")
    assert "+   tone" in ended.out
    assert "Plan: 1 to create" in ended.out
    assert desk.run("-C", "new", "apply", "--yes").code == 0
    assert desk.run("-C", "new", "plan", "--detailed-exitcode").code == 0
    answer = desk.run("-C", "new", "generate", "tone", "thank you, you are wonderful")
    assert answer.out == "friendly\n"
    again = desk.run("-C", "new", "init", ".", "--name", "mine")
    assert again.code == 1
    assert "nothing was written" in again.err


def test_a_second_apply_has_nothing_to_do(desk: Desk) -> None:
    first = desk.run("apply", "--yes")
    assert first.code == 0, first.err
    before = desk.status()
    second = desk.run("apply", "--yes")
    assert second.code == 0
    assert "No changes." in second.out
    assert desk.status() == before


def test_the_plan_says_which_epochs_the_last_curve_recommends(desk: Desk) -> None:
    desk.model(hyperparameters={"epochCount": 12})
    assert desk.run("apply", "--yes").code == 0
    (note,) = desk.plan()["notes"]
    assert note["name"] == "tone"
    assert note["words"].startswith("12 epochs are declared. In tone-")
    recommended = int(note["words"].rsplit("epochCount: ", 1)[1].rstrip("."))
    desk.model(hyperparameters={"epochCount": recommended})
    assert desk.plan()["notes"] == []


def test_a_plan_is_the_same_to_the_byte(desk: Desk) -> None:
    assert desk.run("plan").out == desk.run("plan").out
    assert desk.run("plan", "--detailed-exitcode").code == 2


def test_an_edited_example_is_a_replacement_and_its_revert_trains_nothing(desk: Desk) -> None:
    assert desk.run("apply", "--yes").code == 0
    first = desk.status()["serving"]
    original = desk.read("manifests/data/tone.jsonl")
    desk.write("manifests/data/tone.jsonl", original.replace("thank you so much 0", "thanks!"))
    change = desk.plan()["changes"][0]
    assert change["action"] == "replace"
    assert (change["dataset"]["added"], change["dataset"]["removed"]) == (1, 1)
    assert desk.run("apply", "--yes").code == 0
    status = desk.status()
    assert status["serving"] != first
    assert len(status["versions"]) == 2
    desk.write("manifests/data/tone.jsonl", original)
    assert desk.actions() == ["promote"]
    assert desk.run("apply", "--yes").code == 0
    status = desk.status()
    assert status["serving"] == first
    assert len(status["versions"]) == 2, "nothing was trained again"


def test_git_revert_brings_the_former_version_back_without_training(desk: Desk) -> None:
    def git(*arguments: str) -> None:
        names = ("-c", "user.name=me", "-c", "user.email=me@example.org")
        subprocess.run(["git", *names, *arguments], check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "One")
    assert desk.run("apply", "--yes").code == 0
    first = desk.status()["serving"]
    assert ".tunedmodels" not in subprocess.check_output(["git", "status", "--short"], text=True)
    original = desk.read("manifests/data/tone.jsonl")
    desk.write("manifests/data/tone.jsonl", original.replace("thank you so much 0", "thanks!"))
    git("commit", "--all", "-m", "Two")
    planned = desk.run("plan").out
    assert "the dataset changed: +1 -1 examples" in planned
    assert '"thanks!"' in planned, "git tracks the file: whoever sees the plan may see it"
    assert desk.run("apply", "--yes").code == 0
    git("revert", "--no-edit", "HEAD")
    assert desk.actions() == ["promote"]
    assert desk.run("apply", "--yes").code == 0
    status = desk.status()
    assert status["serving"] == first
    assert len(status["versions"]) == 2, "nothing was trained again"
    head = subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD~2"], text=True)
    assert f"commit          {head}" in desk.run("show", "tone").out


def test_questions_leave_nothing_but_the_cache(desk: Desk) -> None:
    before = desk.files()
    for question in ("plan", "status", "outputs --allow-missing", "watch", "validate"):
        assert desk.run(*question.split()).code == 0
    assert desk.files() - before <= CACHE
    assert desk.run("plan", "--no-cache").code == 0


def test_the_same_examples_in_another_form_are_nothing_to_do(desk: Desk) -> None:
    assert desk.run("apply", "--yes").code == 0
    file = desk.folder / "manifests/data/tone.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    swapped = [{"output": row["output"], "text_input": row["text_input"]} for row in rows]
    desk.write("manifests/data/tone.jsonl", "\n".join(map(json.dumps, swapped)))
    assert desk.plan()["changes"] == []
    text = io.StringIO()
    writer = csv.DictWriter(text, ["output", "text_input"])
    writer.writeheader()
    writer.writerows(rows)
    desk.write("manifests/data/tone.csv", text.getvalue())
    desk.model(dataset={"path": "data/tone.csv"})
    assert desk.plan()["changes"] == []


def test_a_removed_manifest_deletes_its_model_and_nothing_else(desk: Desk) -> None:
    for name in ("other", "third", "fourth"):
        desk.model(name)
        desk.dataset(name)
    assert desk.run("apply", "--yes").code == 0
    desk.remove("manifests/other.yaml")
    assert desk.actions() == ["delete"]
    assert desk.run("apply", "--yes").code == 0
    outputs = json.loads(desk.run("outputs", "--format", "json").out)
    assert sorted(outputs) == ["fourth", "third", "tone"]


def test_destroy_needs_a_yes_and_then_leaves_nothing(desk: Desk) -> None:
    assert desk.run("apply", "--yes").code == 0
    refused = desk.run("destroy")
    assert refused.code == 1
    assert "nobody to ask" in refused.err
    assert desk.run("destroy", "--yes").code == 0
    assert desk.status()["versions"] == []


def test_a_model_may_continue_from_another(desk: Desk) -> None:
    desk.model("child", baseModel=None, tunedModel="tone")
    desk.dataset("child", times=3)
    ended = desk.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert desk.status("child")["serving"]
    assert desk.run("plan", "--detailed-exitcode").code == 0


def test_promote_by_hand_and_the_next_apply_goes_back(desk: Desk) -> None:
    assert desk.run("apply", "--yes").code == 0
    first = desk.status()["serving"]
    desk.dataset(times=7)
    assert desk.run("apply", "--yes").code == 0
    second = desk.status()["serving"]
    assert desk.run("promote", "tone", first[-8:]).code == 0
    assert desk.status()["serving"] == first
    assert desk.run("apply", "--yes").code == 0
    assert desk.status()["serving"] == second


def test_outputs_speak_to_shells_and_programs(desk: Desk) -> None:
    assert "Nothing serves yet" in desk.run("outputs", "--allow-missing").out
    for options in ((), ("--wait", "--timeout", "1s")):
        missing = desk.run("outputs", *options)
        assert (missing.code, missing.out) == (1, "")
        assert "nothing serves tone" in missing.err
    assert desk.run("apply", "--yes").code == 0
    served = desk.status()["serving"]
    assert desk.run("outputs", "--wait").out == f"tone  tunedModels/{served}\n"
    env = desk.run("outputs", "--format", "env").out
    assert env == f"TUNEDMODELS_TONE=tunedModels/{served}\n"
    document = json.loads(desk.run("outputs", "--format", "json").out)
    assert document["tone"]["model"] == f"tunedModels/{served}"


def test_show_draws_the_curve_and_writes_a_picture(desk: Desk) -> None:
    assert desk.run("apply", "--yes").code == 0
    shown = desk.run("show", "tone", "--png", "curve.png")
    assert shown.code == 0, shown.err
    assert "Loss of tone-" in shown.out
    assert (desk.folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    card = json.loads(desk.run("show", "tone", "--format", "json").out)
    assert card["versions"][0]["curve"][0]["step"] == 1


def test_generate_reads_standard_input_and_streams(desk: Desk) -> None:
    assert desk.run("apply", "--yes").code == 0
    assert desk.run("generate", "tone", stdin=b"this is a disgrace 2\n").out == "angry\n"
    streamed = desk.run("generate", "tone", "--stream", "what a lovely day 1")
    assert streamed.out == "friendly\n"
    unknown = desk.run("generate", "tonne", "hello")
    assert unknown.code == 1
    assert "Did you mean tone?" in unknown.err
