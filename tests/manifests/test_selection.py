"""Errors of models that are not selected do not count; errors of the project do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repository import manifest
from tunedmodels.errors import Severity
from tunedmodels.manifests.load import LoadResult, load
from tunedmodels.manifests.selection import select

DATASET = {"dataset": {"path": "d.jsonl"}}
BASE = {"baseModel": "models/x", **DATASET}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.jsonl").write_text("")
    (tmp_path / "tunedmodels.yaml").write_text(manifest("Project", "demo"))
    (tmp_path / "a.yaml").write_text(manifest("TunedModel", "ma", **BASE))
    child = manifest("TunedModel", "mc", tunedModel="ma", **DATASET)
    broken = manifest("TunedModel", "mb", temperature=9, **BASE)
    (tmp_path / "b.yaml").write_text(f"{child}---\n{broken}")
    return tmp_path


def errors(loaded: LoadResult) -> list[str]:
    return [p.file for p in loaded.problems if p.severity is Severity.ERROR]


def test_parents_are_selected_and_other_errors_do_not_count(folder: Path) -> None:
    (folder / "x.yaml").write_text("apiVersion: tunedmodels.dev/v1\nkind: [\n")
    (folder / "y.yaml").write_text("kind: TunedModel\n")
    loaded = load(Path())
    assert sorted(errors(loaded)) == ["b.yaml", "x.yaml", "y.yaml"]
    selected = select(loaded, ["mc"])
    assert {model.name for model in selected.models} == {"ma", "mc"}
    assert errors(selected) == []


def test_an_error_of_a_selected_model_counts(folder: Path) -> None:
    assert errors(select(load(folder), ["mb"])) == ["b.yaml"]


def test_an_error_of_the_project_counts(folder: Path) -> None:
    (folder / "tunedmodels.yaml").write_text(manifest("Project", "demo", provider="nowhere"))
    assert "tunedmodels.yaml" in errors(select(load(Path()), ["ma"]))


def test_all_errors_count_if_a_selected_name_is_not_declared(folder: Path) -> None:
    """The name may be in a file with an error, and must not look like a removed one."""
    (folder / "x.yaml").write_text("kind: TunedModel\nmetadata: {name: mx}\n")
    assert sorted(errors(select(load(Path()), ["mx"]))) == ["b.yaml", "x.yaml"]


def test_an_option_for_an_unknown_model_is_an_error(folder: Path) -> None:
    loaded = load(Path(), sets=["typo.temperature=1"])
    assert errors(select(loaded, ["ma"])) == ["--set typo.temperature=1"]
