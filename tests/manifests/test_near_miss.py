"""A document that is nearly a manifest is an error; one of another tool is skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repository import POINTER, manifest
from tunedmodels.errors import Severity
from tunedmodels.manifests.load import load

OURS = "apiVersion: tunedmodels.dev/v1\nkind: TunedModel\n"
WRONG, UNKNOWN = "wrong-api-version", "unknown-field"
REST = "metadata: {name: tone}\nspec: {baseModel: models/x, dataset: {path: d.jsonl}}\n"


def problems(folder: Path, text: str, name: str = "a.yaml") -> list[tuple[int, str, str]]:
    (folder / "tunedmodels.yaml").write_text(manifest("Project", "demo"))
    (folder / name).write_text(text)
    found = load(folder).problems
    return [(p.line, p.path, p.code) for p in found if p.severity is Severity.ERROR]


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ("apiVersion: tunedmodel.dev/v1\nkind: TunedModel\n", (1, "apiVersion", WRONG)),
        ("apiVersion: tunedmodels.dv/v1\nkind: Other\n", (1, "apiVersion", WRONG)),
        ("apiVersion: Tunedmodels.dev/v1\nkind: TunedModle\n", (1, "apiVersion", WRONG)),
        ("apiVersion: ml.example.com/v1\nkind: TunedModel\n", (1, "apiVersion", WRONG)),
        ("apiversion: tunedmodels.dev/v1\nkind: TunedModel\n", (1, "apiversion", UNKNOWN)),
        ("kind: TunedModel\napiVersin: tunedmodels.dev/v1\n", (2, "apiVersin", UNKNOWN)),
        ("api_version: tunedmodels.dev/v1\nKind: TunedModel\n", (1, "api_version", UNKNOWN)),
        ("kind: TunedModel\n", (1, "apiVersion", "missing-field")),
        ("kind: TunedModle\n", (1, "kind", "unknown-kind")),
        ("Kind: TunedModel\n", (1, "Kind", "unknown-kind")),
        ("apiVersion: tunedmodels.dev/v1\n", (1, "kind", "missing-field")),
        ("apiVersion: tunedmodels.dev/v1\nkinds: TunedModel\n", (1, "kind", "missing-field")),
    ],
)  # fmt: skip
def test_a_near_miss_is_an_error(tmp_path: Path, head: str, problem: tuple[int, str, str]) -> None:
    assert problems(tmp_path, head + REST) == [problem]


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: project.openshift.io/v1\nkind: Project\n",
        "apiVersion: argoproj.io/v1alpha1\nkind: Model\n",
        "apiVersion: v1\nkind: ConfigMap\ndata: {a: fine-tuned}\n",
        "kind: Tunnel\n",
        "name: tuned\n",
        "a: [tuned\n",
    ],
)
def test_a_document_of_another_tool_is_skipped(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == []


def test_invalid_yaml_with_our_kind_is_an_error(tmp_path: Path) -> None:
    text = "kind: TunedModel\napiVersion: tunedmodel.dev/v1\nspec: [\n"
    assert [code for _, _, code in problems(tmp_path, text)] == ["yaml-syntax"]


@pytest.mark.parametrize(
    "name", ["a.yam", "a.yaml.bak", "a.yaml~", "a.YAML", "a.ymal", "a.json", "a"]
)
def test_our_kind_in_a_file_with_another_ending_is_a_warning(tmp_path: Path, name: str) -> None:
    assert problems(tmp_path, OURS + REST, name) == []
    (warning,) = load(tmp_path).problems
    assert (warning.code, warning.severity) == ("not-read", Severity.WARNING)
    assert "because of its ending" in warning.message


@pytest.mark.parametrize("name", ["a.yaml.j2", "a.yaml.tmpl", "a.jsonl", "a.md"])
def test_a_template_and_a_document_of_another_kind_are_skipped(tmp_path: Path, name: str) -> None:
    assert problems(tmp_path, OURS + REST, name) == []
    assert load(tmp_path).problems == ()


def test_a_copy_of_a_manifest_that_is_read_has_no_warning(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text("")
    (tmp_path / "a.yaml.bak").write_text(OURS + REST)
    assert problems(tmp_path, OURS + REST) == []
    assert load(tmp_path).problems == ()


def test_a_pointer_of_git_lfs_is_a_warning(tmp_path: Path) -> None:
    assert problems(tmp_path, POINTER.decode()) == []
    (warning,) = load(tmp_path).problems
    assert (warning.code, warning.cure) == ("not-read", "To fetch its content: git lfs pull")
