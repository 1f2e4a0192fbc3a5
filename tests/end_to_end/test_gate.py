"""A good and a deliberately bad dataset, really trained: the bad version never serves."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.end_to_end.test_interrupts import journal_events, wait_until
from tests.support.project_dir import TONE_EXAMPLES, ProjectDir

SECRET = "zebra"  # noqa: S105  # a word of the held-out examples, not a password
OTHER = {"friendly": "angry", "angry": "friendly"}


def write(
    project_dir: ProjectDir, path: str, count: int, tail: str = "", *, is_wrong: bool = False
) -> None:
    """Write examples of all labels; with `is_wrong`, each one has the other label."""
    rows = []
    for number in range(count):
        words, label = TONE_EXAMPLES[number % len(TONE_EXAMPLES)]
        output = OTHER[label] if is_wrong else label
        rows.append(json.dumps({"text_input": f"{words}{tail} {number}", "output": output}))
    project_dir.write(f"manifests/data/{path}.jsonl", "\n".join(rows) + "\n")


def declare(project_dir: ProjectDir, **rules: Any) -> None:
    """Declare the model with a gate."""
    thresholds = {"atLeast": 0.8, "notWorseThanServingBy": 0.1} | rules
    project_dir.model(evaluation={"path": "data/tone.eval.jsonl", **thresholds})


@pytest.fixture
def gated(project_dir: ProjectDir) -> ProjectDir:
    """A serving version that passed its gate, in a git repository."""
    write(project_dir, "tone.eval", 40, f", {SECRET}")
    declare(project_dir)
    author = ["-c", "user.name=t", "-c", "user.email=t@example"]
    for arguments in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "first"]):
        subprocess.run(["git", *arguments], cwd=project_dir.folder, check=True)
    ended = project_dir.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert "tone: its gate passed: exactMatch 1.000" in ended.out
    return project_dir


def spoil(project_dir: ProjectDir) -> None:
    """Flip every label of the training examples."""
    write(project_dir, "tone", 24, is_wrong=True)


def versions(project_dir: ProjectDir) -> dict[str, str | None]:
    """Return the decision of the gate for each version by id, as `status` shows it."""
    return {version["id"]: version["gate"] for version in project_dir.status()["versions"]}


def test_a_rejected_version_is_not_promoted_and_every_view_shows_the_reason(
    gated: ProjectDir,
) -> None:
    outputs, serving = gated.run("outputs").out, gated.status()["serving"]
    spoil(gated)
    planned = gated.run("plan")
    assert "serves if    exactMatch >= 0.8 on data/tone.eval.jsonl (40)" in planned.out
    assert f"and          not more than 0.1 below {serving}" in planned.out
    ended = gated.run("apply", "--yes")
    assert ended.code == 5, ended.out + ended.err
    assert "its gate refused it: exactMatch 0.000" in ended.out
    assert "Result: 1 not promoted." in ended.out

    assert gated.run("outputs").out == outputs
    assert gated.status()["serving"] == serving
    (bad,) = [name for name, gate in versions(gated).items() if gate == "refused"]
    assert "Worst answers of" in ended.out
    assert SECRET in ended.out, "git tracks the file, so the user may see it"

    again = gated.run("plan", "--detailed-exitcode")
    assert again.code == 0, "no change is left: it is trained and evaluated"
    for text in (again.out, gated.run("plan", "--format", "markdown").out):
        assert "its gate refused it" in text
        assert "exactMatch 0.000" in text
        assert f"tunedmodels promote tone {bad}" in text
    output = gated.run("show", "tone").out
    assert f"{bad}  refused by its gate" in output
    assert f"refused, baseline {serving}" in output
    assert "refused by its gate" in gated.run("status").out

    before = journal_events(gated)
    assert gated.run("apply", "--yes").code == 5, "the decision of an earlier run counts as well"
    assert journal_events(gated) == before
    kept = list((gated.folder / "manifests/.tunedmodels/journal").glob("*.jsonl"))
    assert kept
    assert SECRET not in "".join(path.read_text(encoding="utf-8") for path in kept)
    assert SECRET not in gated.run("plan", "--format", "json").out
    assert SECRET not in output


def test_the_user_overrules_a_gate_by_naming_the_version_and_git_revert_undoes_it(
    gated: ProjectDir,
) -> None:
    good = gated.status()["serving"]
    spoil(gated)
    assert gated.run("apply", "--yes").code == 5
    (bad,) = [name for name, gate in versions(gated).items() if gate == "refused"]
    guessed = gated.run("promote", "tone")
    assert guessed.code == 1
    assert f"tunedmodels promote tone {bad}" in guessed.err
    done = gated.run("promote", "tone", bad)
    assert done.code == 0, done.err
    assert "This overrules its gate, which refused the version." in done.out
    assert gated.status()["serving"] == bad
    assert gated.run("apply", "--yes").code == 0, "the manual promotion counts"
    assert "overruled manually" in gated.run("show", "tone").out

    subprocess.run(["git", "checkout", "-q", "--", "."], cwd=gated.folder, check=True)
    trained = journal_events(gated).count("Sent create")
    ended = gated.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert "evaluating" not in ended.out, "a version that served before is not evaluated again"
    assert gated.status()["serving"] == good
    assert journal_events(gated).count("Sent create") == trained


def test_a_looser_gate_passes_without_new_training_or_requests(
    gated: ProjectDir,
) -> None:
    write(gated, "tone.eval", 40, f", {SECRET}", is_wrong=True)
    write(gated, "tone", 28)
    assert gated.run("apply", "--yes").code == 5
    trained = journal_events(gated).count("Sent create")
    declare(gated, atLeast=0, notWorseThanServingBy=1)
    ended = gated.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert journal_events(gated).count("Sent create") == trained


def test_untracked_examples_are_not_shown(project_dir: ProjectDir) -> None:
    write(project_dir, "tone.eval", 40, f", {SECRET}", is_wrong=True)
    declare(project_dir)
    ended = project_dir.run("apply", "--yes")
    assert ended.code == 5, ended.out + ended.err
    assert SECRET not in ended.out
    assert project_dir.status()["serving"] is None
    assert project_dir.run("outputs").code == 1


def test_a_saved_plan_is_refused_when_its_gate_or_its_held_out_examples_changed(
    gated: ProjectDir,
) -> None:
    write(gated, "tone", 28)
    assert gated.run("plan", "--out", "plan.json").code == 0
    digest = gated.plan()["digest"]
    write(gated, "tone.eval", 44, f", {SECRET}")
    refused = gated.run("apply", "plan.json")
    assert refused.code == 4
    assert "its gate changed since the plan" in refused.err
    assert "(40)" in refused.err
    assert "(44)" in refused.err
    assert gated.run("apply", "--digest", digest).code == 4
    write(gated, "tone.eval", 40, f", {SECRET}")
    declare(gated, atLeast=0.1)
    assert "exactMatch >= 0.1" in gated.run("apply", "plan.json").err
    declare(gated)
    assert gated.run("apply", "plan.json").code == 0


def test_too_few_examples_are_inconclusive_and_reported(project_dir: ProjectDir) -> None:
    write(project_dir, "tone.eval", 4, f", {SECRET}")
    declare(project_dir, atLeast=0.9)
    ended = project_dir.run("apply", "--yes")
    assert ended.code == 5, ended.out + ended.err
    assert "its gate could not decide: exactMatch 1.000" in ended.out
    assert "examples would be enough" in ended.out
    assert "4 examples are too few" in project_dir.run("plan").out
    declare(project_dir, atLeast=0.9, onInconclusive="promote")
    assert project_dir.run("apply", "--yes").code == 0
    assert project_dir.status()["serving"]


def test_grace_keeps_a_former_version_and_shows_the_end(project_dir: ProjectDir) -> None:
    project_dir.model(lifecycle={"keep": 0, "grace": "7d"})
    assert project_dir.run("apply", "--yes").code == 0
    former = project_dir.status()["serving"]
    project_dir.dataset(times=7)
    assert f"{former} is deleted 7d after it stops serving" in project_dir.run("plan").out
    assert project_dir.run("apply", "--yes").code == 0
    assert former in versions(project_dir)
    ended = project_dir.run("plan", "--detailed-exitcode")
    assert ended.code == 0
    assert f"{former} is deleted by the first apply after" in ended.out
    project_dir.model(lifecycle={"keep": 0})
    assert project_dir.actions() == ["delete"]
    assert project_dir.run("apply", "--yes").code == 0
    assert former not in versions(project_dir)


@pytest.mark.parametrize(
    "moment",
    ["Evaluating", "Judged", "Sending promote", "Sent promote"],
)
def test_a_kill_while_a_good_version_is_evaluated_or_promoted_is_repaired(
    gated: ProjectDir, moment: str
) -> None:
    former = gated.status()["serving"]
    write(gated, "tone", 28)
    kill_at(gated, moment)
    assert gated.status()["serving"] in versions(gated)
    ended = gated.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert gated.status()["serving"] != former
    assert journal_events(gated).count("Sending create") == 2
    assert gated.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("moment", ["Evaluating", "Judged", "Sending judge", "Sent judge"])
def test_a_kill_while_a_bad_version_is_evaluated_keeps_the_serving_one(
    gated: ProjectDir, moment: str
) -> None:
    serving = gated.status()["serving"]
    outputs = gated.run("outputs").out
    spoil(gated)
    kill_at(gated, moment)
    assert gated.status()["serving"] == serving
    assert gated.run("apply", "--yes").code == 5
    assert gated.status()["serving"] == serving
    assert gated.run("outputs").out == outputs
    assert journal_events(gated).count("Sending create") == 2


def kill_at(project_dir: ProjectDir, moment: str) -> None:
    """Apply in a separate process, and kill it when the journal has one more event of a kind."""
    before = journal_events(project_dir).count(moment)
    process = project_dir.start("apply", "--yes")
    wait_until(lambda: journal_events(project_dir).count(moment) > before)
    process.kill()
    process.communicate()


def test_the_events_end_with_the_exit_code_of_a_plan_with_a_rejected_version(
    project_dir: ProjectDir,
) -> None:
    project_dir.declare_failing_gate()
    assert project_dir.run("apply", "--yes").code == 5
    project_dir.model("other")
    project_dir.dataset("other")
    ended = project_dir.run("apply", "--yes", "--events", "events.jsonl")
    last = json.loads(project_dir.read("events.jsonl").splitlines()[-1])
    assert (ended.code, last["event"], last["code"]) == (5, "ended", 5)
