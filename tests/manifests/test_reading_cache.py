"""Parsed manifests are remembered while their files do not change."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tunedmodels.cache_file import KEY_VARIABLE, cache_key
from tunedmodels.manifests import collect as collect_module
from tunedmodels.manifests.declaration import Source
from tunedmodels.manifests.load import LoadResult, load
from tunedmodels.manifests.reading_cache import ReadingCache

PROJECT = "apiVersion: tunedmodels.dev/v1\nkind: Project\nmetadata: {name: demo}\n"
MODEL = (
    "apiVersion: tunedmodels.dev/v1\nkind: TunedModel\nmetadata: {name: a}\nspec:\n"
    "  baseModel: models/x\n  dataset: {path: d.jsonl}\n"
)
KEY = cache_key({KEY_VARIABLE: "a-secret-of-the-CI-pipeline"})
AN_HOUR_AGO = 1_700_000_000.5


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory with a Project, two models in one file, and other files."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "d.jsonl").write_text("")
    (folder / "project.yaml").write_text(PROJECT)
    other = MODEL.replace("name: a", "name: b").replace(
        "spec:", "spec:\n  description: é\n  topK: 4"
    )
    (folder / "models.yaml").write_text(f"---\n{MODEL}\n---\n{other}")
    (folder / "other.yaml").write_text("kind: Deployment\n")
    return folder


def read(folder: Path, key: bytes = b"") -> LoadResult:
    cache = ReadingCache(folder.parent / "readings", key=key)
    cache._cache._now_ns = lambda: 4 * 10**18
    return load(folder, cache=cache)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were parsed, in order."""
    names: list[str] = []
    original = collect_module.open_documents

    def record(source: Source, raw: bytes) -> object:
        names.append(source.display_name)
        return original(source, raw)

    monkeypatch.setattr(collect_module, "open_documents", record)
    return names


@pytest.mark.parametrize("key", [b"", KEY])
def test_an_unchanged_file_is_parsed_once(folder: Path, parsed: list[str], key: bytes) -> None:
    plain = load(folder)
    parsed.clear()
    assert read(folder, key) == plain
    assert sorted(parsed) == ["models.yaml", "project.yaml"]
    parsed.clear()
    assert read(folder, key) == plain
    assert parsed == []


def test_a_changed_file_is_parsed_again(folder: Path, parsed: list[str]) -> None:
    read(folder)
    parsed.clear()
    (folder / "models.yaml").write_text(MODEL)
    assert [model.name for model in read(folder).models] == ["a"]
    assert parsed == ["models.yaml"]


def test_a_problem_is_reported_with_its_line_every_time(folder: Path, parsed: list[str]) -> None:
    (folder / "models.yaml").write_text(f"{MODEL}  topK: 4\n  topK: 5\n")
    first, second = read(folder), read(folder)
    assert first.problems == second.problems == load(folder).problems
    assert [problem.line for problem in first.problems if problem.code == "duplicate-key"] == [8]


def test_a_problem_of_a_field_has_its_line_although_the_file_was_not_parsed(folder: Path) -> None:
    (folder / "models.yaml").write_text(f"{MODEL}  topK: many\n")
    for _ in range(2):
        (problem,) = read(folder).problems
        assert (problem.file, problem.line) == ("models.yaml", 7)


def test_with_a_key_a_fresh_checkout_is_not_parsed(folder: Path, parsed: list[str]) -> None:
    before = read(folder, KEY)
    for file in sorted(folder.glob("*.yaml")):
        copy = folder / "copy"
        shutil.copyfile(file, copy)
        copy.replace(file)
        os.utime(file, (AN_HOUR_AGO, AN_HOUR_AGO))
    parsed.clear()
    assert read(folder, KEY) == before
    assert parsed == []


def test_a_value_that_cannot_be_stored_is_parsed_every_time(folder: Path) -> None:
    (folder / "models.yaml").write_text(f"{MODEL}  topK: {10**30}\n")
    assert read(folder).problems == read(folder).problems == load(folder).problems
