"""Where a version comes from: the card of its lineage, and the proof of it from git."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.support.builders import NOON, desired, live
from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tests.support.project_dir import PROJECT, TONE, Desk, desk
from tunedmodels.lineage import Card, Commit
from tunedmodels.observed import LossPoint, UsedHyperparameters
from tunedmodels.operations.verify import rebuilt
from tunedmodels.project import Project
from tunedmodels.project.resolve import survey
from tunedmodels.render.lineage import card_document, card_json, card_markdown
from tunedmodels.stamp import HAND

__all__ = ["desk"]

GOLDEN = GOLDEN_FOLDER / "card"
CURVE = tuple(LossPoint(step, step // 2, 1 / step) for step in range(1, 11))
HOSTILE = "<script>alert(1)</script> | **b** @team `x` [a](//evil)"


def card(**others: object) -> Card:
    version = live(
        desired("tone"),
        promoted=3,
        curve=CURVE,
        used=UsedHyperparameters(epoch_count=5, batch_size=4, learning_rate=0.001),
        created=NOON,
        completed=NOON + timedelta(seconds=90),
    )
    assert version.stamp
    stamp = replace(
        version.stamp, score="exactMatch:0.912", gate="passed:0a1b2c3d4e5f", by=HAND, attempt=2
    )
    whole = Card(
        project="demo",
        name="tone",
        version=version,
        stamp=stamp,
        serves=True,
        manifest="manifests/tone.yaml",
        dataset_path="data/tone.jsonl",
        evaluation_path="data/tone.eval.jsonl",
        parent="base-00000000",
        trained_from=Commit("41bb089dcb99", "Ana", "Teach it to be polite"),
        promoted_from=Commit("5cc1", is_changed=True),
        cost_usd=2.22,
    )
    return replace(whole, **others)  # type: ignore[arg-type]  # names are those of the fields


def bare() -> Card:
    """A version that was adopted: hardly anything is known."""
    version = live(desired("tone"))
    assert version.stamp
    stamp = replace(version.stamp, unverified=True, commit="")
    return Card("demo", "tone", version, stamp, serves=False)


CARDS: dict[str, Callable[[], Card]] = {
    "whole": card,
    "bare": bare,
    "hostile": lambda: card(
        manifest=HOSTILE,
        dataset_path=HOSTILE,
        trained_from=Commit("41bb", HOSTILE, HOSTILE),
        stamp=replace(card().stamp, score="exactMatch:0.5"),
        cost_usd=0.0,
    ),
}


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_as_it_was_looked_at(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / f"{name}.md", card_markdown(CARDS[name]()))
    golden(GOLDEN / f"{name}.json", card_json(CARDS[name]()))


def test_nothing_in_a_card_acts() -> None:
    shown = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .render(card_markdown(CARDS["hostile"]()))
    )
    assert "<script" not in shown
    assert "<a " not in shown
    assert "<strong>" not in shown
    assert (
        shown.count("<tr>")
        == shown.count("</tr>")
        == len(
            [
                line
                for line in card_markdown(CARDS["hostile"]()).splitlines()
                if line.startswith("|")
            ]
        )
        - 1
    )


def test_a_card_without_a_curve_or_an_evaluation_says_so() -> None:
    document = card_document(bare())
    assert document["curve"] is None
    assert document["evaluation"] is None
    assert document["costUsd"] is None
    assert document["dataset"]["isProved"] is False


@pytest.fixture
def tracked(desk: Desk) -> Desk:
    """The project in a repository, applied from a commit."""
    git(desk, "init", "--quiet")
    commit(desk)
    assert desk.run("apply", "--yes").code == 0
    return desk


def git(desk: Desk, *arguments: str) -> None:
    names = ["-c", "user.name=Ana", "-c", "user.email=ana@example.com"]
    subprocess.run(["git", *names, *arguments], cwd=desk.folder, check=True, capture_output=True)


def commit(desk: Desk) -> None:
    git(desk, "add", "--all")
    git(desk, "commit", "--quiet", "--message", "Declare it")


def failed(desk: Desk, *arguments: str) -> list[str]:
    """The names of the checks that do not hold."""
    ended = desk.run("verify", "tone", "--format", "json", *arguments)
    document = json.loads(ended.out)
    found = [check["name"] for check in document["checks"] if not check["holds"]]
    assert ended.code == (1 if found else 0)
    assert document["verified"] is not bool(found)
    return found


def test_what_was_applied_from_a_commit_is_proved(tracked: Desk) -> None:
    ended = tracked.run("verify", "tone")
    assert ended.code == 0, ended.out
    assert ended.out.endswith(f"{tracked.status()['serving']} is what git says.\n")
    assert failed(tracked) == []


@pytest.mark.parametrize("is_committed", [False, True], ids=["in the tree", "in a commit"])
def test_one_byte_of_the_dataset_makes_it_fail(tracked: Desk, *, is_committed: bool) -> None:
    text = tracked.read("manifests/data/tone.jsonl")
    tracked.write("manifests/data/tone.jsonl", text.replace("lovely", "lowely", 1))
    if is_committed:
        commit(tracked)
    assert failed(tracked) == ["here"]
    ended = tracked.run("verify", "tone")
    assert "the dataset data/tone.jsonl is not what it was trained on" in ended.out
    tracked.write("manifests/data/tone.jsonl", text)
    assert failed(tracked) == []


def test_a_history_that_was_rewritten_is_found_out(tracked: Desk) -> None:
    """The commit of the stamp is there, and its dataset is not the one of the live version."""
    text = tracked.read("manifests/data/tone.jsonl")
    tracked.write("manifests/data/tone.jsonl", text.replace("lovely", "lowely", 1))
    assert tracked.run("apply", "--yes").code == 0  # its stamp names the commit, with changes
    assert failed(tracked) == ["origin", "dataset", "fingerprint"]


def test_a_former_version_is_proved_by_its_own_commit(tracked: Desk) -> None:
    former = tracked.status()["serving"]
    tracked.model(hyperparameters={"epochCount": 3})
    commit(tracked)
    assert tracked.run("apply", "--yes").code == 0
    assert failed(tracked) == []
    assert failed(tracked, "--version", former) == []


def test_another_manifest_than_the_one_it_was_trained_from_is_said(tracked: Desk) -> None:
    tracked.model(hyperparameters={"epochCount": 3})
    assert failed(tracked) == ["here"]
    assert (
        "manifests/tone.yaml:1 is not what it was trained on" in tracked.run("verify", "tone").out
    )


def test_what_a_sweep_chose_is_proved_as_the_candidate_that_it_is(tracked: Desk) -> None:
    rows = [
        json.dumps({"text_input": f"{words}, part {n}", "output": label})
        for n in range(5)
        for words, label in TONE
    ]
    tracked.write("manifests/data/tone.eval.jsonl", "\n".join(rows) + "\n")
    sweep = {"hyperparameters": {"epochCount": [1, 30]}}
    tracked.model(sweep=sweep, evaluation={"path": "data/tone.eval.jsonl"})
    commit(tracked)
    assert tracked.run("apply", "--yes").code == 0
    ended = tracked.run("verify", "tone")
    assert ended.code == 0, ended.out


def test_a_commit_that_is_not_here_is_said_with_the_cure(tracked: Desk) -> None:
    first = tracked.read(".git/HEAD").strip().rpartition("/")[2]
    git(tracked, "checkout", "--quiet", "--orphan", "fresh")
    git(tracked, "commit", "--quiet", "--message", "Squash")
    git(tracked, "branch", "-D", first)
    git(tracked, "reflog", "expire", "--expire=now", "--all")
    git(tracked, "gc", "--quiet", "--prune=now")
    assert failed(tracked) == ["origin"]
    assert "git fetch --unshallow" in tracked.run("verify", "tone").out


def test_without_git_nothing_is_proved_and_it_is_said(desk: Desk) -> None:
    assert desk.run("apply", "--yes").code == 0
    assert failed(desk) == ["origin"]
    assert "outside of git" in desk.run("verify", "tone").out


def test_nothing_can_be_proved_of_what_does_not_serve_yet(desk: Desk) -> None:
    ended = desk.run("verify", "tone")
    assert ended.code == 1
    assert "Nothing serves tone yet" in ended.err


def test_show_prints_the_card_of_what_serves(tracked: Desk) -> None:
    ended = tracked.run("show", "tone", "--card", "json")
    document = json.loads(ended.out)
    assert document["version"] == tracked.status()["serving"]
    assert document["trainedFrom"]["author"] == "Ana"
    assert document["costUsd"] == 0
    assert tracked.run("show", "tone", "--card", "markdown").out.startswith("# tone-")
    assert tracked.run("show", "tone", "--version", "x").code == 1


def test_examples_that_a_service_validates_on_are_rebuilt_as_well(desk: Desk) -> None:
    place = "{type: vertex, project: my-proj, location: us-central1, bucket: my-bucket}"
    desk.write(
        "manifests/tunedmodels.yaml", f"{PROJECT}spec: {{provider: v, providers: {{v: {place}}}}}\n"
    )
    desk.model(baseModel="models/gemini-2.5-flash", validation={"path": "data/held-out.jsonl"})
    desk.dataset("held-out", times=2)
    git(desk, "init", "--quiet")
    commit(desk)
    project = Project.open(desk.folder / "manifests")
    (want,) = survey(project, use_cache=False).desired
    assert want.validation is not None
    assert rebuilt(project, "tone", project.commit()).fingerprint == want.fingerprint
