"""Loading a project directory: which files are read, in which order, and which are skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tunedmodels.errors import ProblemsFoundError, Severity
from tunedmodels.manifests.load import LoadResult, find_project, load

PROJECT = "apiVersion: tunedmodels.dev/v1\nkind: Project\nmetadata: {name: demo}\n"


def model(name: str, more: str = "") -> str:
    return (
        f"apiVersion: tunedmodels.dev/v1\nkind: TunedModel\nmetadata: {{name: {name}}}\n"
        f"spec:\n  baseModel: models/x\n  dataset: {{path: d.jsonl}}\n{more}"
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a Project in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "project.yaml").write_text(PROJECT)
    return tmp_path


def put(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        raw = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(raw)


def names(loaded: LoadResult) -> list[str]:
    return [declared.name for declared in loaded.models]


def only_problem(directory: Path) -> tuple[str, str, str]:
    with pytest.raises(ProblemsFoundError) as caught:
        load(directory)
    (problem,) = caught.value.problems
    return problem.location, problem.message, problem.cure


def test_files_and_documents_are_in_the_byte_order_of_their_paths(folder: Path) -> None:
    put(folder, {"b.yml": model("b1") + "---\n" + model("b2"), "a/z.yaml": model("az")})
    put(folder, {"B.yaml": model("upper"), "a.yaml": model("a"), "\u00e9.yaml": model("e")})
    loaded = load(Path())
    assert names(loaded) == ["upper", "a", "az", "b1", "b2", "e"]
    assert loaded.files == 6
    assert loaded.problems == ()
    assert loaded.project.metadata.name == "demo"


def test_yaml_files_that_are_not_manifests_are_skipped(folder: Path) -> None:
    put(
        folder,
        {
            ".github/workflows/a.yaml": model("hidden"),
            ".hidden.yaml": model("hidden-too"),
            "overlays/prod.yaml": model("overlay"),
            "a.yaml.bak": model("mine"),
            "workflow.yaml": "on: push\njobs: {}\n",
            "broken.yaml": "a: [\n",
            "helm.yaml": "kind: Project\nname: {{ .Values.name }}  # see tunedmodels.dev/\n",
            "tags.yaml": "a: !Ref tunedmodels.dev/x\n",
            "openshift.yaml": "apiVersion: project.openshift.io/v1\nkind: Project\n",
            "config.yaml": "kind: ConfigMap\ndata:\n  a: |\n    kind: TunedModel\n",
            "latin.yaml": b"name: abc\xe9\n",
            "binary.yaml": bytes(range(256)),
            "empty.yaml": "",
            "mixed.yaml": "kind: ConfigMap\n---\n" + model("mine"),
        },
    )
    os.mkfifo(folder / "pipe.yaml")
    (folder / "folder.yaml").mkdir()
    loaded = load(Path())
    assert (names(loaded), loaded.problems, loaded.files) == (["mine"], (), 2)


def test_an_invalid_manifest_is_an_error_in_any_encoding(folder: Path) -> None:
    put(
        folder,
        {
            "a.yaml": model("a").encode("utf-16"),
            "b.yaml": model("b").encode("utf-16-le"),
            "c.yaml": model("c", "  description: abc\u00e9\n").encode("latin-1"),
            "d.yaml": model("d") + "  [\n",
        },
    )
    reported = [(p.file, p.line, p.code) for p in load(Path()).problems]
    assert reported == [
        ("a.yaml", 1, "wrong-encoding"),
        ("b.yaml", 1, "not-text"),
        ("c.yaml", 7, "wrong-encoding"),
        ("d.yaml", 7, "yaml-syntax"),
    ]


def test_a_file_of_more_than_10_mb_is_rejected(folder: Path) -> None:
    put(folder, {"a.yaml": model("a") + "#" * 10_000_000})
    (problem,) = load(Path()).problems
    assert (problem.message, problem.cure) == (
        "is larger than 10 MB",
        "Split it into several files",
    )


def test_only_links_to_files_inside_the_project_are_followed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    put(outside, {"x.yaml": model("outside"), "sub/y.yaml": model("outside-too")})
    put(folder, {"..data/real.yaml": model("mounted")})
    (folder / "a.yaml").symlink_to("..data/real.yaml")
    (folder / "b.yaml").symlink_to(outside / "x.yaml")
    (folder / "c.yaml").symlink_to("nowhere")
    (folder / "loop").symlink_to(folder)
    (folder / "away").symlink_to(outside)
    loaded = load(Path())
    assert names(loaded) == ["mounted"]
    assert [(p.file, p.severity, p.message) for p in loaded.problems] == [
        ("b.yaml", Severity.WARNING, "is a link to a file outside the project, and was not read"),
        ("c.yaml", Severity.ERROR, "is a link to a file that does not exist"),
    ]


CURE = "Name the directory of the Project file with -C DIR, or run: tunedmodels init"


def test_a_directory_without_a_project_is_one_problem(folder: Path) -> None:
    (folder / "empty").mkdir()
    put(folder, {"models/a.yaml": model("a"), "deep/down/project.yaml": PROJECT})
    assert only_problem(Path("empty")) == ("empty", "contains no manifest", CURE)
    assert only_problem(Path("models")) == ("models", "contains no Project", CURE)
    assert only_problem(Path("gone")) == (
        "gone",
        "the file or directory does not exist",
        "Change to the project directory, name it with -C DIR, or run: tunedmodels init",
    )
    assert only_problem(Path("project.yaml")) == (
        "project.yaml",
        "is a file, not a directory",
        "Name the directory of the Project file",
    )
    (problem,) = load(Path("deep")).problems
    assert problem.cure == "Name its own directory: -C deep/down"


def test_a_second_project_is_an_error_that_names_the_first(folder: Path) -> None:
    put(folder, {"sub/project.yaml": PROJECT})
    (problem,) = load(Path()).problems
    assert problem.location == "sub/project.yaml:1"
    assert problem.message == "is a second Project; the first is in project.yaml:1"


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_file_without_read_permission_is_an_error(folder: Path) -> None:
    put(folder, {"a.yaml": model("a"), "b/b.yaml": model("b")})
    (folder / "a.yaml").chmod(0)
    (folder / "b").chmod(0)
    reported = [(p.file, p.message) for p in load(Path()).problems]
    (folder / "b").chmod(0o700)
    assert reported == [(name, "cannot be read: permission denied") for name in ("a.yaml", "b")]


def test_a_file_that_cannot_be_opened_is_an_error_and_the_rest_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, {"a.yaml": model("a"), "b.yaml": model("b")})

    def refuse(path: str, mode: str) -> object:
        if path.endswith("a.yaml"):
            raise PermissionError(13, "Permission denied", path)
        return Path(path).open(mode)

    monkeypatch.setattr("tunedmodels.manifests.discover.open", refuse, raising=False)
    loaded = load(Path())
    assert names(loaded) == ["b"]
    assert [p.cure for p in loaded.problems] == ["Allow your user to read it"]


def test_without_a_valid_project_all_problems_are_raised_together(folder: Path) -> None:
    put(folder, {"project.yaml": PROJECT.replace("demo", "Demo"), "a.yaml": model("a", "  b: 1\n")})
    with pytest.raises(ProblemsFoundError) as caught:
        load(Path())
    assert [p.path for p in caught.value.problems] == ["spec.b", "metadata.name"]


def test_files_are_shown_relative_to_the_working_directory(folder: Path) -> None:
    put(folder, {"p/project.yaml": PROJECT, "p/a.yaml": model("a"), "p/q/b\n.yaml": model("b")})
    files = [m.file for m in load(Path("p")).models]
    assert files == ["p/a.yaml", "p/q/b\\n.yaml"]
    assert [m.file for m in load(folder / "p").models] == files
    os.chdir(folder / "p" / "q")
    assert [m.file for m in load(Path("..")).models] == ["../a.yaml", "../q/b\\n.yaml"]


def test_the_default_project_directory_is_manifests_or_the_working_directory(folder: Path) -> None:
    assert find_project(folder) == folder
    put(folder, {"manifests/a.yaml": model("a")})
    assert find_project(folder) == folder
    put(folder, {"manifests/b.yml": PROJECT})
    assert find_project(folder) == folder / "manifests"


def test_a_declared_model_has_the_line_of_every_field(folder: Path) -> None:
    put(folder, {"a.yaml": model("a") + "---\n# second\n" + model("b", "  topK: 3\n")})
    _, declared = load(Path()).models
    assert (declared.file, declared.line) == ("a.yaml", 9)
    assert declared.location_of("spec.dataset.path").line == 14
    assert declared.location_of("spec.topK").line == 15
    assert declared.location_of("spec.evaluation.path").line == 12
    (folder / "a.yaml").unlink()
    assert load(Path()).models == ()


def test_after_a_file_is_deleted_only_its_lines_are_unknown(folder: Path) -> None:
    put(folder, {"a.yaml": model("a")})
    (declared,) = load(Path()).models
    (folder / "a.yaml").unlink()
    assert declared.location_of("spec.dataset.path").line == 0


def test_loading_imports_nothing_heavy() -> None:
    heavy = {"httpx", "asyncio", "rich", "numpy", "deepdiff", "msgspec"}
    program = "import sys, tunedmodels.manifests.load; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert heavy.isdisjoint(done.stdout.decode().split())
