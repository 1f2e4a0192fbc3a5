"""A manifest that was not read is not a manifest that was removed: the facts that git gives."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.builders import live
from tests.support.repository import (
    POINTER,
    WAYS,
    GitProject,
    delete,
    give_other_ending,
    hide,
    move_into_overlays,
    new_repository,
)
from tunedmodels.errors import ProblemsFoundError
from tunedmodels.observed import ObservedModel
from tunedmodels.operations.git_facts import GitAnswers, ask_git
from tunedmodels.plan.inputs import PlanInputs, PlanOptions
from tunedmodels.plan.plan import Plan
from tunedmodels.plan.planner import Allowances, make_plan
from tunedmodels.project import Project
from tunedmodels.project.resolve import resolve
from tunedmodels.schema.project import Policy

SHARED: dict[str, Any] = {
    "lineage": "3f9c1e7a2b04",
    "provider": "here",
    "providers": {"here": {"type": "gemini"}},
}
NAMES = ("ma", "mb", "mc", "md")


def plan_of(
    repository: GitProject, observed: list[ObservedModel], allowed: int = 0
) -> tuple[Plan, GitAnswers]:
    project = Project.open(repository.root)
    desired = resolve(project, use_cache=False).desired_or_raise()
    answers = ask_git(project, desired, observed)
    inputs = PlanInputs(
        ownership=project.ownership, desired=desired, observed=observed, git=answers.facts
    )
    policy = Policy(max_delete_percent=100)
    return make_plan(inputs, PlanOptions(policy, Allowances(delete=allowed))), answers


def serving(repository: GitProject, commit: str = "") -> list[ObservedModel]:
    project = Project.open(repository.root)
    models = [live(model, promoted=1) for model in resolve(project, use_cache=False).desired]
    return [
        replace(model, stamp=replace(model.stamp, promoted_commit=commit))
        for model in models
        if model.stamp
    ]


def shared_repository(top: Path, *names: str) -> GitProject:
    repository = new_repository(top)
    repository.project(**SHARED)
    for name in names:
        repository.model(name)
    repository.commit()
    return repository


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ObservedModel]]:
    """A repository that every example of the property copies, and the live models of its HEAD."""
    repository = shared_repository(tmp_path_factory.mktemp("template"), *NAMES)
    return repository.top, serving(repository)


@pytest.mark.timeout(240)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(ways=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(WAYS), min_size=1, max_size=3))
def test_nothing_that_head_declares_is_deleted_however_its_manifest_is_absent(
    template: tuple[Path, list[ObservedModel]],
    ways: dict[str, Callable[[GitProject, str], None]],
) -> None:
    source, observed = template
    with tempfile.TemporaryDirectory() as directory:
        repository = GitProject(Path(directory) / "r")
        shutil.copytree(source, repository.top, symlinks=True)
        for name, way in ways.items():
            way(repository, name)
        try:
            plan, _ = plan_of(repository, observed)
        except ProblemsFoundError:
            return  # exit code 1, nothing is planned
        assert [refusal.code for refusal in plan.refusals] == ["manifest-not-read"]
        removed = {change.name for change in plan.changes if change.after is None}
        assert removed == set(ways)
        assert not plan_of(repository, observed, allowed=len(ways))[0].refusals


@pytest.mark.parametrize("way", [delete, move_into_overlays, give_other_ending, hide])
def test_a_removal_that_head_contains_is_planned(
    template: tuple[Path, list[ObservedModel]],
    tmp_path: Path,
    way: Callable[[GitProject, str], None],
) -> None:
    source, observed = template
    repository = GitProject(tmp_path / "r")
    shutil.copytree(source, repository.top, symlinks=True)
    way(repository, "ma")
    repository.commit("remove it")
    plan, _ = plan_of(repository, observed)
    assert not plan.refusals
    assert [change.name for change in plan.changes if change.after is None] == ["ma"]


def test_a_removal_names_the_commit_that_removed_the_manifest(tmp_path: Path) -> None:
    repository = shared_repository(tmp_path, "ma", "mb")
    observed = serving(repository)
    delete(repository, "ma")
    removing = repository.commit("drop ma")[:7]
    repository.write("notes.txt", "later")
    head = repository.commit("notes")[:7]
    plan, _ = plan_of(repository, observed)
    assert plan.changes[0].reason == f"it is not declared at {head}; {removing} removed it"
    assert not plan.refusals


def test_on_the_embedded_provider_an_unread_manifest_is_a_warning(tmp_path: Path) -> None:
    repository = new_repository(tmp_path)
    repository.model("ma")
    repository.model("mb")
    repository.commit()
    observed = serving(repository)
    delete(repository, "ma")
    plan, _ = plan_of(repository, observed)
    assert not plan.refusals
    assert "the manifest of ma was not read" in plan.warnings[0]


def test_a_pointer_in_head_may_declare_what_is_missing(tmp_path: Path) -> None:
    repository = shared_repository(tmp_path, "ma", "mb")
    observed = serving(repository)
    repository.write("ma.yaml", POINTER)
    repository.commit("track it with LFS")
    plan, answers = plan_of(repository, observed)
    assert [refusal.code for refusal in plan.refusals] == ["manifest-not-read"]
    assert "git lfs pull" in plan.refusals[0].cure
    assert any("Git LFS pointer" in warning for warning in answers.warnings)


def test_export_ignore_does_not_hide_a_manifest_from_the_comparison(tmp_path: Path) -> None:
    repository = shared_repository(tmp_path, "ma", "mb")
    repository.write(".gitattributes", "*.yaml export-ignore\n")
    repository.commit("attributes")
    observed = serving(repository)
    delete(repository, "ma")
    plan, _ = plan_of(repository, observed)
    assert [refusal.code for refusal in plan.refusals] == ["manifest-not-read"]


def test_a_submodule_that_is_not_checked_out_may_declare_what_is_missing(tmp_path: Path) -> None:
    inner = new_repository(tmp_path / "inner")
    (inner.root / "tunedmodels.yaml").unlink()
    inner.model("ms")
    inner.commit()
    repository = shared_repository(tmp_path / "outer", "ma")
    repository.git("submodule", "--quiet", "add", str(inner.top), "p/models")
    repository.model("ms", dataset={"path": "models/p/data/ms.jsonl"})
    (repository.root / "ms.yaml").unlink()
    repository.commit("add a submodule")
    observed = serving(repository)
    assert {model.stamp.name for model in observed if model.stamp} == {"ma", "ms"}
    repository.git("submodule", "--quiet", "deinit", "--all", "--force")
    plan, _ = plan_of(repository, observed)
    assert [refusal.code for refusal in plan.refusals] == ["manifest-not-read"]
    assert "git submodule update --init" in plan.refusals[0].cure


def test_a_head_that_is_older_than_the_promotion_is_refused(tmp_path: Path) -> None:
    repository = shared_repository(tmp_path, "ma", "mb")
    older = repository.git("rev-parse", "HEAD")
    repository.model("ma", hyperparameters={"epochCount": 3})
    newer = repository.commit("newer")
    observed = serving(repository, newer)
    repository.git("checkout", "-q", older)
    plan, _ = plan_of(repository, observed)
    assert [refusal.code for refusal in plan.refusals] == ["older-commit"]
    assert newer in plan.refusals[0].message
    assert not plan_of(repository, observed, allowed=1)[0].refusals
    # A branch that is not a part of the other one is not older.
    repository.write("notes.txt", "another branch")
    repository.commit("another branch")
    assert not plan_of(repository, observed)[0].refusals


@pytest.mark.parametrize("has_git", [True, False])
def test_without_a_commit_a_note_says_that_git_cannot_tell(
    tmp_path: Path, *, has_git: bool
) -> None:
    repository = shared_repository(tmp_path, "ma", "mb")
    observed = serving(repository)
    shutil.rmtree(tmp_path / ".git")
    if has_git:
        repository.git("init", "-q")
    delete(repository, "ma")
    plan, answers = plan_of(repository, observed)
    assert not plan.refusals  # spec.policy.maxDeletePercent is 100 here
    (note,) = answers.notes
    reason = "the repository has no commit yet" if has_git else "this is not a git repository"
    assert note.words.startswith(reason)


def test_untracked_manifests_leave_git_without_an_answer(tmp_path: Path) -> None:
    repository = shared_repository(tmp_path, "ma", "mb")
    observed = serving(repository)
    repository.git("rm", "-rq", "--cached", "p")
    repository.git("commit", "-qm", "ignore the project", "--allow-empty")
    delete(repository, "ma")
    plan, answers = plan_of(repository, observed)
    assert not plan.refusals
    assert answers.notes[0].words.startswith("HEAD does not contain the Project file")


def test_a_shallow_clone_is_one_warning_with_the_cure_of_git(tmp_path: Path) -> None:
    repository = shared_repository(tmp_path / "a", "ma")
    first = repository.git("rev-parse", "--short=12", "HEAD")
    observed = serving(repository, first)
    repository.model("ma", hyperparameters={"epochCount": 3})
    repository.commit("newer")
    repository.git("clone", "-q", "--depth", "1", f"file://{tmp_path}/a", str(tmp_path / "b"))
    plan, answers = plan_of(GitProject(tmp_path / "b"), observed)
    assert not plan.refusals
    (warning,) = answers.warnings
    assert first in warning
    assert "git fetch --unshallow" in warning


def test_a_git_that_refuses_to_answer_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = shared_repository(tmp_path, "ma", "mb")
    observed = serving(repository)
    delete(repository, "ma")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    plan, answers = plan_of(repository, observed)
    assert not plan.refusals
    (warning,) = answers.warnings
    assert f"git config --global --add safe.directory {tmp_path}" in warning
    monkeypatch.delenv("GIT_TEST_ASSUME_DIFFERENT_OWNER")
    monkeypatch.setenv("PATH", str(tmp_path))
    (warning,) = plan_of(repository, observed)[1].warnings
    assert warning.startswith("git is missing")
