"""The provenance of a version: its card, and its verification from git."""

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
from tests.support.project_dir import PROJECT, TONE_EXAMPLES, ProjectDir, project_dir
from tunedmodels.observed import LossPoint, UsedHyperparameters
from tunedmodels.operations.verify import rebuild
from tunedmodels.project import Project
from tunedmodels.project.resolve import resolve
from tunedmodels.provenance import Commit, ProvenanceCard
from tunedmodels.render.provenance import provenance_markdown
from tunedmodels.render.provenance_json import provenance_json
from tunedmodels.stamp import MANUAL

__all__ = ["project_dir"]

GOLDEN = GOLDEN_FOLDER / "card"
CURVE = tuple(LossPoint(step, step // 2, 1 / step) for step in range(1, 11))
HOSTILE = "<script>alert(1)</script> | **b** @team `x` [a](//evil)"


def card(**others: object) -> ProvenanceCard:
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
        version.stamp,
        score="exactMatch:0.912",
        gate_record="passed:0a1b2c3d4e5f",
        promoted_by=MANUAL,
        attempt=2,
    )
    complete = ProvenanceCard(
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
    return replace(complete, **others)  # type: ignore[arg-type]  # names are those of the fields


def adopted_card() -> ProvenanceCard:
    """Return the card of an adopted version, of which little is known."""
    version = live(desired("tone"))
    assert version.stamp
    stamp = replace(version.stamp, unverified=True, commit="")
    return ProvenanceCard("demo", "tone", version, stamp, serves=False)


CARDS: dict[str, Callable[[], ProvenanceCard]] = {
    "complete": card,
    "adopted": adopted_card,
    "hostile": lambda: card(
        manifest=HOSTILE,
        dataset_path=HOSTILE,
        trained_from=Commit("41bb", HOSTILE, HOSTILE),
        stamp=replace(card().stamp, score="exactMatch:0.5"),
        cost_usd=0.0,
    ),
}


@pytest.mark.parametrize("name", CARDS)
def test_a_card_matches_its_golden_file(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / f"{name}.md", provenance_markdown(CARDS[name]()))
    golden(GOLDEN / f"{name}.json", provenance_json(CARDS[name]()))


def test_a_card_escapes_hostile_text() -> None:
    html = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .render(provenance_markdown(CARDS["hostile"]()))
    )
    assert "<script" not in html
    assert "<a " not in html
    assert "<strong>" not in html
    assert (
        html.count("<tr>")
        == html.count("</tr>")
        == len(
            [
                line
                for line in provenance_markdown(CARDS["hostile"]()).splitlines()
                if line.startswith("|")
            ]
        )
        - 1
    )


def test_a_card_without_a_curve_or_an_evaluation_contains_null() -> None:
    document = json.loads(provenance_json(adopted_card()))
    assert document["curve"] is None
    assert document["evaluation"] is None
    assert document["costUsd"] is None
    assert document["dataset"]["isProved"] is False


@pytest.fixture
def tracked(project_dir: ProjectDir) -> ProjectDir:
    """A project in a repository, applied from a commit."""
    git(project_dir, "init", "--quiet")
    commit(project_dir)
    assert project_dir.run("apply", "--yes").code == 0
    return project_dir


def git(project_dir: ProjectDir, *arguments: str) -> None:
    names = ["-c", "user.name=Ana", "-c", "user.email=ana@example.com"]
    subprocess.run(
        ["git", *names, *arguments], cwd=project_dir.folder, check=True, capture_output=True
    )


def commit(project_dir: ProjectDir) -> None:
    git(project_dir, "add", "--all")
    git(project_dir, "commit", "--quiet", "--message", "Declare it")


def failed(project_dir: ProjectDir, *arguments: str) -> list[str]:
    """Return the names of the failed checks."""
    ended = project_dir.run("verify", "tone", "--format", "json", *arguments)
    document = json.loads(ended.out)
    found = [check["name"] for check in document["checks"] if not check["holds"]]
    assert ended.code == (1 if found else 0)
    assert document["verified"] is not bool(found)
    return found


def test_a_version_applied_from_a_commit_is_verified(tracked: ProjectDir) -> None:
    ended = tracked.run("verify", "tone")
    assert ended.code == 0, ended.out
    assert ended.out.endswith(f"{tracked.status()['serving']} matches the repository.\n")
    assert failed(tracked) == []


@pytest.mark.parametrize("is_committed", [False, True], ids=["in the tree", "in a commit"])
def test_one_changed_byte_of_the_dataset_fails(tracked: ProjectDir, *, is_committed: bool) -> None:
    text = tracked.read("manifests/data/tone.jsonl")
    tracked.write("manifests/data/tone.jsonl", text.replace("lovely", "lowely", 1))
    if is_committed:
        commit(tracked)
    assert failed(tracked) == ["here"]
    ended = tracked.run("verify", "tone")
    assert "the dataset data/tone.jsonl differs from what it was trained on" in ended.out
    tracked.write("manifests/data/tone.jsonl", text)
    assert failed(tracked) == []


def test_a_rewritten_history_is_detected(tracked: ProjectDir) -> None:
    """The commit of the stamp exists, but its dataset is not that of the live version."""
    text = tracked.read("manifests/data/tone.jsonl")
    tracked.write("manifests/data/tone.jsonl", text.replace("lovely", "lowely", 1))
    assert tracked.run("apply", "--yes").code == 0  # its stamp has the commit, marked as changed
    assert failed(tracked) == ["origin", "dataset", "fingerprint"]


def test_a_former_version_is_verified_with_its_own_commit(tracked: ProjectDir) -> None:
    former = tracked.status()["serving"]
    tracked.model(hyperparameters={"epochCount": 3})
    commit(tracked)
    assert tracked.run("apply", "--yes").code == 0
    assert failed(tracked) == []
    assert failed(tracked, "--version", former) == []


def test_a_changed_manifest_is_reported(tracked: ProjectDir) -> None:
    tracked.model(hyperparameters={"epochCount": 3})
    assert failed(tracked) == ["here"]
    assert (
        "manifests/tone.yaml:1 differs from what it was trained on"
        in tracked.run("verify", "tone").out
    )


def test_the_winner_of_a_sweep_is_verified_as_a_candidate(tracked: ProjectDir) -> None:
    rows = [
        json.dumps({"text_input": f"{words}, part {n}", "output": label})
        for n in range(5)
        for words, label in TONE_EXAMPLES
    ]
    tracked.write("manifests/data/tone.eval.jsonl", "\n".join(rows) + "\n")
    sweep = {"hyperparameters": {"epochCount": [1, 30]}}
    tracked.model(sweep=sweep, evaluation={"path": "data/tone.eval.jsonl"})
    commit(tracked)
    assert tracked.run("apply", "--yes").code == 0
    ended = tracked.run("verify", "tone")
    assert ended.code == 0, ended.out


def test_a_missing_commit_is_reported_with_a_cure(tracked: ProjectDir) -> None:
    first = tracked.read(".git/HEAD").strip().rpartition("/")[2]
    git(tracked, "checkout", "--quiet", "--orphan", "fresh")
    git(tracked, "commit", "--quiet", "--message", "Squash")
    git(tracked, "branch", "-D", first)
    git(tracked, "reflog", "expire", "--expire=now", "--all")
    git(tracked, "gc", "--quiet", "--prune=now")
    assert failed(tracked) == ["origin"]
    assert "git fetch --unshallow" in tracked.run("verify", "tone").out


def test_without_git_the_version_is_not_verified(project_dir: ProjectDir) -> None:
    assert project_dir.run("apply", "--yes").code == 0
    assert failed(project_dir) == ["origin"]
    assert "outside of git" in project_dir.run("verify", "tone").out


def test_a_name_without_a_serving_version_cannot_be_verified(project_dir: ProjectDir) -> None:
    ended = project_dir.run("verify", "tone")
    assert ended.code == 1
    assert "tone has no serving version yet" in ended.err


def test_show_prints_the_card_of_the_serving_version(tracked: ProjectDir) -> None:
    ended = tracked.run("show", "tone", "--card", "json")
    document = json.loads(ended.out)
    assert document["version"] == tracked.status()["serving"]
    assert document["trainedFrom"]["author"] == "Ana"
    assert document["costUsd"] == 0
    assert tracked.run("show", "tone", "--card", "markdown").out.startswith("# tone-")
    assert tracked.run("show", "tone", "--version", "x").code == 1


def test_validation_examples_are_rebuilt_as_well(project_dir: ProjectDir) -> None:
    vertex = "{type: vertex, project: my-proj, location: us-central1, bucket: my-bucket}"
    project_dir.write(
        "manifests/tunedmodels.yaml",
        PROJECT.replace("{name: demo}", "{name: demo, lineage: 3f9c1e7a2b04}")
        + f"spec: {{provider: v, providers: {{v: {vertex}}}}}\n",
    )
    project_dir.model(
        baseModel="models/gemini-3.5-flash", validation={"path": "data/held-out.jsonl"}
    )
    project_dir.dataset("held-out", times=2)
    git(project_dir, "init", "--quiet")
    commit(project_dir)
    project = Project.open(project_dir.folder / "manifests")
    (model,) = resolve(project, use_cache=False).desired
    assert model.inputs.validation is not None
    assert rebuild(project, "tone", project.commit()).fingerprint == model.fingerprint
