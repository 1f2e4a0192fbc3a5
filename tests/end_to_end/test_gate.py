"""A good dataset and a deliberately bad one, trained for real: the bad one never serves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.end_to_end.test_interrupts import happened, until
from tests.support.project_dir import TONE, Desk

SECRET = "zebra"  # noqa: S105  # a word of the held-out examples, not a password
OTHER = {"friendly": "angry", "angry": "friendly"}


def write(desk: Desk, path: str, count: int, tail: str = "", *, is_wrong: bool = False) -> None:
    """Write examples in turn, all of them with the other label where they are to be wrong."""
    rows = []
    for number in range(count):
        words, label = TONE[number % len(TONE)]
        output = OTHER[label] if is_wrong else label
        rows.append(json.dumps({"text_input": f"{words}{tail} {number}", "output": output}))
    desk.write(f"manifests/data/{path}.jsonl", "\n".join(rows) + "\n")


def declare(desk: Desk, **rules: Any) -> None:
    """Declare the model with a gate."""
    asked = {"atLeast": 0.8, "notWorseThanServingBy": 0.1} | rules
    desk.model(evaluation={"path": "data/tone.eval.jsonl", **asked})


@pytest.fixture
def gated(desk: Desk) -> Desk:
    """A good version that passed its gate and serves, in a repository of git."""
    write(desk, "tone.eval", 40, f", {SECRET}")
    declare(desk)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@example",
                                                 "commit", "-qm", "first"]):  # fmt: skip
        subprocess.run(["git", *words], cwd=desk.folder, check=True)
    ended = desk.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert "tone: its gate passed: exactMatch 1.000" in ended.out
    return desk


def spoil(desk: Desk) -> None:
    """Flip every label of the training examples."""
    write(desk, "tone", 24, is_wrong=True)


def versions(desk: Desk) -> dict[str, str | None]:
    """What `status` says of each version: its id and what its gate decided."""
    return {version["id"]: version["gate"] for version in desk.status()["versions"]}


def test_a_bad_dataset_is_trained_and_not_promoted_and_everybody_says_why(gated: Desk) -> None:
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
    assert SECRET in ended.out, "git tracks the file, so a person may see it"

    again = gated.run("plan", "--detailed-exitcode")
    assert again.code == 0, "nothing is to be done: it is trained and judged"
    for said in (again.out, gated.run("plan", "--format", "markdown").out):
        assert "its gate refused it" in said
        assert "exactMatch 0.000" in said
        assert f"tunedmodels promote tone {bad}" in said
    shown = gated.run("show", "tone").out
    assert f"{bad}  refused by its gate" in shown
    assert f"refused, beside {serving}" in shown
    assert "refused by its gate" in gated.run("status").out

    before = happened(gated)
    assert gated.run("apply", "--yes").code == 5, "what an earlier run judged counts as well"
    assert happened(gated) == before
    kept = list((gated.folder / "manifests/.tunedmodels/journal").glob("*.jsonl"))
    assert kept
    assert SECRET not in "".join(path.read_text(encoding="utf-8") for path in kept)
    assert SECRET not in gated.run("plan", "--format", "json").out
    assert SECRET not in shown


def test_a_person_overrules_a_gate_by_name_and_git_revert_goes_back(gated: Desk) -> None:
    good = gated.status()["serving"]
    spoil(gated)
    assert gated.run("apply", "--yes").code == 5
    (bad,) = [name for name, gate in versions(gated).items() if gate == "refused"]
    guessed = gated.run("promote", "tone")
    assert guessed.code == 1
    assert f"tunedmodels promote tone {bad}" in guessed.err
    done = gated.run("promote", "tone", bad)
    assert done.code == 0, done.err
    assert "Its gate refused it; that is overruled now, by hand." in done.out
    assert gated.status()["serving"] == bad
    assert gated.run("apply", "--yes").code == 0, "a person's word holds"
    assert "overruled by hand" in gated.run("show", "tone").out

    subprocess.run(["git", "checkout", "-q", "--", "."], cwd=gated.folder, check=True)
    trained = happened(gated).count("Sent create")
    ended = gated.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert "evaluating" not in ended.out, "what served before is past its gate"
    assert gated.status()["serving"] == good
    assert happened(gated).count("Sent create") == trained


def test_a_looser_gate_lets_the_version_through_without_training_or_asking_again(
    gated: Desk,
) -> None:
    write(gated, "tone.eval", 40, f", {SECRET}", is_wrong=True)
    write(gated, "tone", 28)
    assert gated.run("apply", "--yes").code == 5
    trained = happened(gated).count("Sent create")
    declare(gated, atLeast=0, notWorseThanServingBy=1)
    ended = gated.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert happened(gated).count("Sent create") == trained


def test_what_git_does_not_track_is_not_shown(desk: Desk) -> None:
    write(desk, "tone.eval", 40, f", {SECRET}", is_wrong=True)
    declare(desk)
    ended = desk.run("apply", "--yes")
    assert ended.code == 5, ended.out + ended.err
    assert SECRET not in ended.out
    assert desk.status()["serving"] is None
    assert desk.run("outputs").code == 1


def test_a_saved_plan_is_refused_when_its_gate_or_its_held_out_examples_changed(
    gated: Desk,
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


def test_too_few_examples_decide_nothing_and_say_so(desk: Desk) -> None:
    write(desk, "tone.eval", 4, f", {SECRET}")
    declare(desk, atLeast=0.9)
    ended = desk.run("apply", "--yes")
    assert ended.code == 5, ended.out + ended.err
    assert "its gate could not decide: exactMatch 1.000" in ended.out
    assert "examples would do" in ended.out
    assert "4 examples are too few" in desk.run("plan").out
    declare(desk, atLeast=0.9, onInconclusive="promote")
    assert desk.run("apply", "--yes").code == 0
    assert desk.status()["serving"]


def test_grace_keeps_a_former_version_and_says_until_when(desk: Desk) -> None:
    desk.model(lifecycle={"keep": 0, "grace": "7d"})
    assert desk.run("apply", "--yes").code == 0
    former = desk.status()["serving"]
    desk.dataset(times=7)
    assert f"{former} goes 7d after it stops serving" in desk.run("plan").out
    assert desk.run("apply", "--yes").code == 0
    assert former in versions(desk)
    ended = desk.run("plan", "--detailed-exitcode")
    assert ended.code == 0
    assert f"{former} goes with the first apply after" in ended.out
    desk.model(lifecycle={"keep": 0})
    assert desk.actions() == ["delete"]
    assert desk.run("apply", "--yes").code == 0
    assert former not in versions(desk)


@pytest.mark.parametrize(
    "moment",
    ["Evaluating", "Judged", "Sending promote", "Sent promote"],
)
def test_a_kill_while_a_good_version_is_judged_or_promoted_ends_as_declared(
    gated: Desk, moment: str
) -> None:
    former = gated.status()["serving"]
    write(gated, "tone", 28)
    kill_at(gated, moment)
    assert gated.status()["serving"] in versions(gated)
    ended = gated.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert gated.status()["serving"] != former
    assert happened(gated).count("Sending create") == 2
    assert gated.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("moment", ["Evaluating", "Judged", "Sending judge", "Sent judge"])
def test_a_kill_while_a_bad_version_is_judged_leaves_the_serving_one_alone(
    gated: Desk, moment: str
) -> None:
    serving = gated.status()["serving"]
    outputs = gated.run("outputs").out
    spoil(gated)
    kill_at(gated, moment)
    assert gated.status()["serving"] == serving
    assert gated.run("apply", "--yes").code == 5
    assert gated.status()["serving"] == serving
    assert gated.run("outputs").out == outputs
    assert happened(gated).count("Sending create") == 2


def kill_at(desk: Desk, moment: str) -> None:
    """Apply in a process of its own, and kill it as soon as the journal says so once more."""
    before = happened(desk).count(moment)
    process = desk.start("apply", "--yes")
    is_there: Callable[[], bool] = lambda: happened(desk).count(moment) > before  # noqa: E731  # once
    until(is_there)
    process.kill()
    process.communicate()
