"""Where the former examples of a dataset come from, and who may see them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import live
from tests.support.embedded_service import client, create, service
from tunedmodels.datasets.archive import Archive
from tunedmodels.datasets.examples import Example, digest
from tunedmodels.observed import ObservedModel
from tunedmodels.operations import dataset_diff
from tunedmodels.operations.dataset_diff import NOT_AT_HAND, TOO_LARGE, Compared, compare_all
from tunedmodels.plan.planner import DatasetCounts
from tunedmodels.project import Project
from tunedmodels.project.resolve import survey

OLD = [Example(f"question {n} of many", "yes" if n % 2 else "no") for n in range(24)]
NEW = [*OLD[1:], Example("something else", "no")]


@dataclass
class Repository:
    """A project in a git repository."""

    root: Path

    def git(self, *arguments: str) -> str:
        author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ["git", *author, *arguments], cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def declare(self, path: str = "data/tone.jsonl", **spec: Any) -> None:
        spec = {
            "baseModel": "models/embedded-label-001",
            "dataset": {"path": path},
            "task": "classification",
            **spec,
        }
        project = {"kind": "Project", "metadata": {"name": "demo"}}
        model = {"kind": "TunedModel", "metadata": {"name": "tone"}, "spec": spec}
        for name, manifest in (("tunedmodels", project), ("tone", model)):
            document = {"apiVersion": "tunedmodels.dev/v1", **manifest}
            (self.root / f"{name}.yaml").write_text(json.dumps(document))

    def write(self, examples: list[Example], path: str = "data/tone.jsonl") -> None:
        file = self.root / path
        file.parent.mkdir(exist_ok=True)
        rows = [{"text_input": row.text_input, "output": row.output} for row in examples]
        # A blank line first: places and lines differ then.
        file.write_text("\n" + "".join(f"{json.dumps(row)}\n" for row in rows))

    def commit(self) -> str:
        self.git("add", "-A")
        self.git("commit", "-qm", "a step")
        return self.git("rev-parse", "--short=12", "HEAD")

    def former(self, commit: str = "", examples: list[Example] = OLD) -> ObservedModel:
        """The live model that was trained on `examples`, applied from `commit`."""
        (want,) = survey(Project.open(self.root), use_cache=False).desired
        then = replace(want, dataset=replace(want.dataset, digest=digest(examples)))
        return live(then, promoted=1, stamp=then.stamp(commit=commit))

    def compare(self, former: ObservedModel) -> tuple[Compared, DatasetCounts]:
        project = Project.open(self.root)
        desired = survey(project, use_cache=False).desired
        compared = compare_all(project, desired, [former])
        (counts,) = compared.counts.values()
        return compared, counts


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with the old dataset committed, and nothing archived."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    there = Repository(tmp_path)
    there.git("init", "-q")
    there.declare()
    there.write(OLD)
    return there


def test_git_knows_the_former_examples_and_their_lines(repository: Repository) -> None:
    former = repository.former(f"{repository.commit()}+")
    repository.write(NEW)
    compared, counts = repository.compare(former)
    made = compared.examples["tone"]
    assert [(row.line, row.example) for row in made.removed] == [(2, OLD[0])]
    assert [(row.line, row.example) for row in made.added] == [(25, NEW[-1])]
    assert (counts.added, counts.removed, counts.reworded, counts.unknown) == (1, 1, 0, "")
    assert [(row.label, row.before, row.after) for row in counts.labels] == [
        ("no", 12, 12), ("yes", 12, 12)
    ]  # fmt: skip


def test_a_file_that_moved_is_found_by_the_manifest_of_then(repository: Repository) -> None:
    repository.declare("data/first.csv", dataset={"path": "data/a.csv", "inputField": "ask"})
    (repository.root / "data/a.csv").write_text(
        "ask,output\n" + "".join(f"{row.text_input},{row.output}\n" for row in OLD)
    )
    commit = repository.commit()
    (repository.root / "data/a.csv").unlink()
    repository.declare()
    repository.write(NEW)
    compared, _ = repository.compare(repository.former(commit))
    assert compared.counts
    repository.git("add", "-A")
    compared, _ = repository.compare(repository.former(commit))
    assert [row.line for row in compared.examples["tone"].removed] == [2]


def test_the_archive_is_asked_first_and_knows_no_lines(repository: Repository) -> None:
    former = repository.former(repository.commit())
    Archive(repository.root / ".tunedmodels/datasets").put(digest(OLD), OLD)
    repository.write(NEW)
    compared, _ = repository.compare(former)
    assert [(row.number, row.line) for row in compared.examples["tone"].removed] == [(1, 0)]


@pytest.mark.parametrize("commit", ["", "--help", "HEAD", "0123456789ab", "main:x", "../../etc"])
def test_a_commit_that_is_none_leaves_only_counts(repository: Repository, commit: str) -> None:
    repository.commit()
    repository.write(NEW)
    compared, counts = repository.compare(repository.former(commit))
    assert not compared.examples
    assert counts == DatasetCounts(None, None, None, None, unknown=NOT_AT_HAND)


def test_what_git_has_counts_only_with_the_digest_of_the_stamp(repository: Repository) -> None:
    commit = repository.commit()
    repository.write(NEW)
    _, counts = repository.compare(repository.former(commit, examples=OLD[:-1]))
    assert counts.unknown == NOT_AT_HAND


async def test_the_embedded_service_knows_what_it_was_sent(repository: Repository) -> None:
    former = repository.former()
    data = [{"textInput": row.text_input, "output": row.output} for row in OLD]
    task = {"trainingData": {"examples": {"examples": data}}}
    with service(repository.root / ".tunedmodels") as embedded:
        async with client(embedded) as to:
            document = {"baseModel": "models/counting-001", "tuningTask": task}
            await create(to, former.model_id, document)
    repository.write(NEW)
    compared, counts = repository.compare(former)
    assert (counts.added, counts.removed) == (1, 1)
    assert not compared.examples
    assert not counts.labels, "nobody tracks the file: its text is not for every reader"


def test_a_shuffle_is_said_to_be_one(repository: Repository) -> None:
    former = repository.former(repository.commit())
    repository.write(OLD[::-1])
    _, counts = repository.compare(former)
    assert counts.order_only
    assert (counts.added, counts.removed) == (0, 0)


TOO_MUCH: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "examples": lambda patch: patch.setattr(dataset_diff, "MOST_EXAMPLES", 23),
    "bytes": lambda patch: patch.setattr(dataset_diff, "MOST_BYTES", 100),
}


@pytest.mark.parametrize("limit", TOO_MUCH)
def test_a_huge_dataset_is_not_compared(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    former = repository.former(repository.commit())
    repository.write(NEW)
    TOO_MUCH[limit](monkeypatch)
    _, counts = repository.compare(former)
    assert counts.unknown == TOO_LARGE


def test_the_same_examples_are_not_compared(repository: Repository) -> None:
    former = repository.former(repository.commit())
    project = Project.open(repository.root)
    desired = survey(project, use_cache=False).desired
    assert compare_all(project, desired, [former]) == Compared()
    assert compare_all(project, desired, []) == Compared()
