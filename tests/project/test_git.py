"""Questions to git about a project."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repository import GitProject, new_repository
from tunedmodels.project import Project, git


@pytest.fixture
def repository(tmp_path: Path) -> GitProject:
    repository = new_repository(tmp_path / "r")
    repository.model("ma")
    repository.commit()
    return repository


def commit(repository: GitProject) -> str:
    return Project.open(repository.root).commit()


def test_the_mark_counts_tracked_changes_and_untracked_files_that_a_plan_reads(
    repository: GitProject,
) -> None:
    head = repository.git("rev-parse", "--short=12", "HEAD")
    repository.write("events.jsonl", "{}\n")
    repository.write("plan.json", "{}\n")
    assert commit(repository) == head
    repository.model("mb")
    assert commit(repository) == f"{head}+"  # an untracked manifest and its dataset
    (repository.root / "mb.yaml").unlink()
    assert commit(repository) == head
    repository.write("data/ma.jsonl", '{"text_input": "a", "output": "b"}\n')
    assert commit(repository) == f"{head}+"
    repository.git("checkout", "-q", ".")
    (repository.root / "data" / "ma.jsonl").unlink()
    assert commit(repository) == f"{head}+"


def test_the_mark_counts_a_file_outside_of_the_project_directory(
    repository: GitProject,
) -> None:
    file = repository.top / "shared.jsonl"
    file.write_text('{"text_input": "a", "output": "b"}\n')
    repository.commit()
    assert git.has_changes(repository.root, [file]) is False
    file.write_text("")
    assert git.has_changes(repository.root, [file])


def test_an_ignored_dataset_is_not_a_change(repository: GitProject) -> None:
    repository.write(".gitignore", "data/\n")
    repository.git("rm", "-rq", "--cached", "p/data")
    head = repository.commit()
    assert commit(repository) == head


def test_a_blob_is_read_through_the_filters_of_git(repository: GitProject) -> None:
    repository.git("config", "filter.upper.smudge", "tr a-z A-Z")
    repository.git("config", "filter.upper.clean", "tr A-Z a-z")
    repository.write(".gitattributes", "*.txt filter=upper\n")
    repository.write("a.txt", "ABC\n")
    head = repository.commit()
    assert git.blob(repository.root, head, "a.txt", max_bytes=10) == b"ABC\n"
    assert git.blob(repository.root, head, "a.txt", max_bytes=3) == b""


def test_a_submodule_is_followed_to_its_commit(repository: GitProject, tmp_path: Path) -> None:
    inner = new_repository(tmp_path / "inner")
    inner.write("data/x.jsonl", "one\n")
    inner.commit()
    repository.git("submodule", "--quiet", "add", str(inner.top), "p/sub")
    head = repository.commit()
    path = "sub/p/data/x.jsonl"
    (repository.root / path).write_text("two\n")
    assert git.blob(repository.root, head, path, max_bytes=10) == b"one\n"
    assert git.is_tracked(repository.root, repository.root / path)
    assert git.blob(repository.root, head, "sub/p/nothing", max_bytes=10) == b""


def test_a_file_of_another_repository_is_not_tracked(
    repository: GitProject, tmp_path: Path
) -> None:
    other = new_repository(repository.root / "other")
    other.write("x.jsonl", "private\n")
    other.commit()
    assert not git.is_tracked(repository.root, other.root / "x.jsonl")
    assert git.is_tracked(repository.root, repository.root / "ma.yaml")
    assert not git.is_tracked(repository.root, tmp_path / "nothing.jsonl")


def test_the_folder_in_the_repository_needs_no_git(
    repository: GitProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert git.folder_in_repository(repository.root) == "p"
    assert git.folder_in_repository(repository.top) == "."
    assert git.folder_in_repository(tmp_path) == ""
    assert git.inspect(tmp_path) == git.GitState()
