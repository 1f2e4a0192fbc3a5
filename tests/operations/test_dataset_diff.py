"""The sources of the former examples of a dataset, and which of them the plan may show."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import live, with_dataset
from tests.support.embedded_service import client, create, service
from tunedmodels.datasets.archive import Archive
from tunedmodels.datasets.examples import Example, digest
from tunedmodels.observed import ObservedModel
from tunedmodels.operations import dataset_diff
from tunedmodels.operations.dataset_diff import (
    NOT_AVAILABLE,
    TOO_LARGE,
    DatasetDiffs,
    compare_datasets,
)
from tunedmodels.plan.plan import DatasetChange
from tunedmodels.project import Project
from tunedmodels.project.resolve import resolve

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
        # A blank line first, so that numbers of examples and lines differ.
        file.write_text("\n" + "".join(f"{json.dumps(row)}\n" for row in rows))

    def commit(self) -> str:
        self.git("add", "-A")
        self.git("commit", "-qm", "a commit")
        return self.git("rev-parse", "--short=12", "HEAD")

    def former(self, commit: str = "", examples: list[Example] = OLD) -> ObservedModel:
        """Return the live model that was trained on `examples` and applied from `commit`."""
        (current,) = resolve(Project.open(self.root), use_cache=False).desired
        former = with_dataset(current, digest=digest(examples))
        return live(former, promoted=1, stamp=former.stamp(commit=commit))

    def compare(self, former: ObservedModel) -> tuple[DatasetDiffs, DatasetChange]:
        project = Project.open(self.root)
        desired = resolve(project, use_cache=False).desired
        diffs = compare_datasets(project, desired, [former], project.ownership)
        (change,) = diffs.changes.values()
        return diffs, change


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with the old dataset and an empty archive."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    repository = Repository(tmp_path)
    repository.git("init", "-q")
    repository.declare()
    repository.write(OLD)
    return repository


def test_git_provides_the_former_examples_and_their_lines(repository: Repository) -> None:
    former = repository.former(f"{repository.commit()}+")
    repository.write(NEW)
    diffs, change = repository.compare(former)
    diff = diffs.examples["tone"]
    assert [(row.line, row.example) for row in diff.removed] == [(2, OLD[0])]
    assert [(row.line, row.example) for row in diff.added] == [(25, NEW[-1])]
    assert (change.added, change.removed, change.reworded, change.unknown) == (1, 1, 0, "")
    assert [(row.label, row.before, row.after) for row in change.labels] == [
        ("no", 12, 12), ("yes", 12, 12)
    ]  # fmt: skip


def test_a_moved_file_is_found_with_the_former_manifest(repository: Repository) -> None:
    repository.declare("data/first.csv", dataset={"path": "data/a.csv", "inputField": "ask"})
    (repository.root / "data/a.csv").write_text(
        "ask,output\n" + "".join(f"{row.text_input},{row.output}\n" for row in OLD)
    )
    commit = repository.commit()
    (repository.root / "data/a.csv").unlink()
    repository.declare()
    repository.write(NEW)
    diffs, _ = repository.compare(repository.former(commit))
    assert diffs.changes
    repository.git("add", "-A")
    diffs, _ = repository.compare(repository.former(commit))
    assert [row.line for row in diffs.examples["tone"].removed] == [2]


def test_the_archive_is_read_first_and_has_no_lines(repository: Repository) -> None:
    former = repository.former(repository.commit())
    Archive(repository.root / ".tunedmodels/datasets").put(digest(OLD), OLD)
    repository.write(NEW)
    diffs, _ = repository.compare(former)
    assert [(row.number, row.line) for row in diffs.examples["tone"].removed] == [(1, 0)]


@pytest.mark.parametrize("commit", ["", "--help", "HEAD", "0123456789ab", "main:x", "../../etc"])
def test_an_invalid_commit_leaves_the_differences_unknown(
    repository: Repository, commit: str
) -> None:
    repository.commit()
    repository.write(NEW)
    diffs, change = repository.compare(repository.former(commit))
    assert not diffs.examples
    assert change == DatasetChange(
        before=digest(OLD),
        after=digest(NEW),
        before_examples=24,
        after_examples=24,
        unknown=NOT_AVAILABLE,
    )


def test_examples_from_git_must_have_the_digest_of_the_stamp(repository: Repository) -> None:
    commit = repository.commit()
    repository.write(NEW)
    _, change = repository.compare(repository.former(commit, examples=OLD[:-1]))
    assert change.unknown == NOT_AVAILABLE


async def test_the_embedded_service_provides_the_examples_it_received(
    repository: Repository,
) -> None:
    former = repository.former()
    data = [{"textInput": row.text_input, "output": row.output} for row in OLD]
    task = {"trainingData": {"examples": {"examples": data}}}
    with service(repository.root / ".tunedmodels") as embedded:
        async with client(embedded) as http:
            document = {"baseModel": "models/counting-001", "tuningTask": task}
            await create(http, former.model_id, document)
    repository.write(NEW)
    diffs, change = repository.compare(former)
    assert (change.added, change.removed) == (1, 1)
    assert not diffs.examples
    assert not change.labels, "git does not track the file, so not every reader may see its text"


def test_a_new_order_is_reported_as_such(repository: Repository) -> None:
    former = repository.former(repository.commit())
    repository.write(OLD[::-1])
    _, change = repository.compare(former)
    assert change.order_only
    assert (change.added, change.removed) == (0, 0)


LIMITS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "examples": lambda patch: patch.setattr(dataset_diff, "MAX_EXAMPLES", 23),
    "bytes": lambda patch: patch.setattr(dataset_diff, "MAX_BYTES", 100),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_huge_dataset_is_not_compared(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    former = repository.former(repository.commit())
    repository.write(NEW)
    LIMITS[limit](monkeypatch)
    _, change = repository.compare(former)
    assert change.unknown == TOO_LARGE


def test_the_same_examples_are_not_compared(repository: Repository) -> None:
    former = repository.former(repository.commit())
    project = Project.open(repository.root)
    desired = resolve(project, use_cache=False).desired
    assert compare_datasets(project, desired, [former], project.ownership) == DatasetDiffs()
    assert compare_datasets(project, desired, [], project.ownership) == DatasetDiffs()
