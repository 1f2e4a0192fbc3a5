"""The folder of a project: what is read in it, in which order, and what is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tunedmodels.errors import ProblemsFoundError, Severity
from tunedmodels.manifests.load import Loaded, find_project, load

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


def names(loaded: Loaded) -> list[str]:
    return [declared.name for declared in loaded.models]


def only_problem(directory: Path) -> tuple[str, str, str]:
    with pytest.raises(ProblemsFoundError) as caught:
        load(directory)
    (problem,) = caught.value.problems
    return problem.place, problem.message, problem.cure


def test_files_and_documents_come_in_the_order_of_their_bytes(folder: Path) -> None:
    put(folder, {"b.yml": model("b1") + "---\n" + model("b2"), "a/z.yaml": model("az")})
    put(folder, {"B.yaml": model("upper"), "a.yaml": model("a"), "\u00e9.yaml": model("e")})
    loaded = load(Path())
    assert names(loaded) == ["upper", "a", "az", "b1", "b2", "e"]
    assert loaded.files == 6
    assert loaded.problems == ()
    assert loaded.project.metadata.name == "demo"


def test_other_peoples_yaml_is_left_alone(folder: Path) -> None:
    put(
        folder,
        {
            ".github/workflows/a.yaml": model("hidden"),
            ".hidden.yaml": model("hidden-too"),
            "overlays/prod.yaml": model("overlay"),
            "a.yaml.bak": model("backup"),
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


def test_a_broken_file_of_ours_is_an_error_in_any_encoding(folder: Path) -> None:
    put(
        folder,
        {
            "a.yaml": model("a").encode("utf-16"),
            "b.yaml": model("b").encode("utf-16-le"),
            "c.yaml": model("c", "  description: abc\u00e9\n").encode("latin-1"),
            "d.yaml": model("d") + "  [\n",
        },
    )
    found = [(p.file, p.line, p.code) for p in load(Path()).problems]
    assert found == [
        ("a.yaml", 1, "wrong-encoding"),
        ("b.yaml", 1, "not-text"),
        ("c.yaml", 7, "wrong-encoding"),
        ("d.yaml", 7, "yaml-syntax"),
    ]


def test_a_file_of_more_than_10_mb_is_refused(folder: Path) -> None:
    put(folder, {"a.yaml": model("a") + "#" * 10_000_000})
    (problem,) = load(Path()).problems
    assert (problem.message, problem.cure) == (
        "is larger than 10 MB",
        "Split it into several files",
    )


def test_links_are_followed_to_files_of_the_project_only(
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
        ("b.yaml", Severity.WARNING, "is a link that leads out of the project, and was not read"),
        ("c.yaml", Severity.ERROR, "is a link that leads to no file"),
    ]


CURE = "Name the folder of the Project file with -C DIR, or run: tunedmodels init"


def test_a_folder_that_cannot_be_a_project_is_one_clear_problem(folder: Path) -> None:
    (folder / "empty").mkdir()
    put(folder, {"models/a.yaml": model("a"), "deep/down/project.yaml": PROJECT})
    assert only_problem(Path("empty")) == ("empty", "holds no manifest", CURE)
    assert only_problem(Path("models")) == ("models", "holds no Project", CURE)
    assert only_problem(Path("gone")) == (
        "gone",
        "there is no such file or folder",
        "Go to the folder of the project, name it with -C DIR, or run: tunedmodels init",
    )
    assert only_problem(Path("project.yaml")) == (
        "project.yaml",
        "is a file, not a folder",
        "Name the folder of the Project file",
    )
    (problem,) = load(Path("deep")).problems
    assert problem.cure == "Name its own folder: -C deep/down"


def test_a_second_project_is_an_error_that_names_the_first(folder: Path) -> None:
    put(folder, {"sub/project.yaml": PROJECT})
    (problem,) = load(Path()).problems
    assert problem.place == "sub/project.yaml:1"
    assert problem.message == "is a second Project; the first is in project.yaml:1"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_an_error(folder: Path) -> None:
    put(folder, {"a.yaml": model("a"), "b/b.yaml": model("b")})
    (folder / "a.yaml").chmod(0)
    (folder / "b").chmod(0)
    found = [(p.file, p.message) for p in load(Path()).problems]
    (folder / "b").chmod(0o700)
    assert found == [("a.yaml", "may not be read by you"), ("b", "may not be read by you")]


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
    assert [p.cure for p in loaded.problems] == ["Give yourself the right to read it"]


def test_without_a_usable_project_all_problems_are_raised_together(folder: Path) -> None:
    put(folder, {"project.yaml": PROJECT.replace("demo", "Demo"), "a.yaml": model("a", "  b: 1\n")})
    with pytest.raises(ProblemsFoundError) as caught:
        load(Path())
    assert [p.path for p in caught.value.problems] == ["spec.b", "metadata.name"]


def test_files_are_shown_as_the_person_would_type_them(folder: Path) -> None:
    put(folder, {"p/project.yaml": PROJECT, "p/a.yaml": model("a"), "p/q/b\n.yaml": model("b")})
    inside = [m.file for m in load(Path("p")).models]
    assert inside == ["p/a.yaml", "p/q/b\\n.yaml"]
    assert [m.file for m in load(folder / "p").models] == inside
    os.chdir(folder / "p" / "q")
    assert [m.file for m in load(Path("..")).models] == ["../a.yaml", "../q/b\\n.yaml"]


def test_without_a_name_the_project_is_in_manifests_or_here(folder: Path) -> None:
    assert find_project(folder) == folder
    put(folder, {"manifests/a.yaml": model("a")})
    assert find_project(folder) == folder
    put(folder, {"manifests/b.yml": PROJECT})
    assert find_project(folder) == folder / "manifests"


def test_a_declared_model_knows_the_line_of_every_field(folder: Path) -> None:
    put(folder, {"a.yaml": model("a") + "---\n# second\n" + model("b", "  topK: 3\n")})
    _, declared = load(Path()).models
    assert (declared.file, declared.line) == ("a.yaml", 9)
    assert declared.line_of("spec.dataset.path") == 14
    assert declared.line_of("spec.topK") == 15
    assert declared.line_of("spec.evaluation.path") == 12
    (folder / "a.yaml").unlink()
    assert load(Path()).models == ()


def test_a_file_that_went_away_since_costs_the_line_only(folder: Path) -> None:
    put(folder, {"a.yaml": model("a")})
    (declared,) = load(Path()).models
    (folder / "a.yaml").unlink()
    assert declared.line_of("spec.dataset.path") == declared.line


def test_loading_imports_nothing_heavy() -> None:
    heavy = {"httpx", "asyncio", "rich", "numpy", "deepdiff", "msgspec"}
    program = "import sys, tunedmodels.manifests.load; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert heavy.isdisjoint(done.stdout.decode().split())
