"""Files that version 0.1.0 wrote still mean the same: plans, digests, ids, stores, events, schemas.

`tests/former/0.1` holds a project, its store after an `apply`, and every document that 0.1.0
printed for it. Wording may change; everything that another program reads may not. One thing did:
a saved plan has format 2, since every environment and lineage owns its versions.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tunedmodels.cli.main import run

FORMER = ROOT / "tests" / "former" / "0.1"

# Texts for people: reworded freely, and never part of a digest.
PROSE = {"reason", "cure", "message", "warnings", "notes", "description", "title", "tool"}
SCHEMAS = sorted(path.stem.removeprefix("schema-") for path in FORMER.glob("schema-*.json"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project of the former version with its store, in a new directory."""
    folder = tmp_path / "project"
    shutil.copytree(FORMER / "project", folder)
    (folder / ".tunedmodels").mkdir(mode=0o700)
    with closing(sqlite3.connect(folder / ".tunedmodels" / "embedded.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((FORMER / "store.sql").read_text(encoding="utf-8"))
    monkeypatch.chdir(folder)
    return folder


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert run(list(arguments)) == 0
    return json.loads(capsys.readouterr().out)


def former(name: str) -> Any:
    return json.loads((FORMER / f"{name}.json").read_text(encoding="utf-8"))


def without_prose(value: Any) -> Any:
    """Return a document without the texts that only people read."""
    if isinstance(value, dict):
        return {key: without_prose(part) for key, part in value.items() if key not in PROSE}
    if isinstance(value, list):
        return [without_prose(part) for part in value]
    return value


def test_the_same_project_and_store_give_the_same_plan_and_one_move(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0.1.0 hashed the id of a parent: its child is moved to the new fingerprint, not trained."""
    plan = without_prose(printed(capsys, "-C", str(project), "plan", "--format", "json"))
    before = without_prose(former("plan"))
    moved = [change for change in plan["changes"] if change["action"] == "move"]
    assert [change["name"] for change in moved] == ["continued"]
    assert [change for change in plan["changes"] if change not in moved] == before["changes"]
    for document in (plan, before):
        for key in ("changes", "checksum", "digest", "formatVersion", "summary", "unchanged"):
            document.pop(key, None)
    assert plan == before


def test_a_move_of_a_former_version_trains_nothing_and_is_done_once(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del_others = ["triage", "continued"]
    manifests = (project / "models.yaml").read_text(encoding="utf-8").split("---\n")
    kept = [text for text in manifests if any(f"name: {name}" in text for name in del_others)]
    kept = [text for text in kept if "triage-csv" not in text]
    (project / "models.yaml").write_text("---\n".join(kept), encoding="utf-8")
    assert run(["apply", "--yes", "--allow-delete", "9"]) == 0
    out = capsys.readouterr().out
    assert "continued-57af64c3 was moved" in out
    assert "created" not in out
    assert printed(capsys, "plan", "--format", "json")["changes"] == []
    assert printed(capsys, "outputs", "--format", "json")["continued"]["model"] == (
        "tunedModels/continued-57af64c3"
    )


@pytest.mark.parametrize("arguments", [["comment", "plan", "PLAN", "--summary"], ["apply", "PLAN"]])
def test_a_saved_plan_of_the_former_version_is_refused_with_a_sentence(
    arguments: list[str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its digest covers neither lineage nor environment, so it is not clear whom it changes."""
    plan = str(FORMER / "plan.json")
    command = [plan if word == "PLAN" else word for word in arguments]
    assert run(["-C", str(project), *command]) == 4
    assert "this plan has format 1, of a release before lineages" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "arguments"), [("status", ()), ("outputs", ("--allow-missing",))])
def test_a_document_about_the_same_store_is_the_same(
    name: str, arguments: tuple[str, ...], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = printed(capsys, "-C", str(project), name, "--format", "json", *arguments)
    assert without_prose(document) == without_prose(former(name))


def accepts(schema: Any, document: Any) -> list[str]:
    import jsonschema  # noqa: PLC0415  # slow to import, and only two tests need it

    errors = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return [error.message for error in errors]


@pytest.mark.parametrize("name", ["status", "outputs"])
def test_a_published_schema_accepts_the_document_of_the_former_version(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accepts(printed(capsys, "schema", name), former(name)) == []


def test_the_published_schemas_have_the_same_definitions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Editors and policies refer to `$defs` of the manifest and of the plan by name."""
    for name in ("manifest", "plan", "policy"):
        names = set(former(f"schema-{name}")["$defs"])
        assert names <= set(printed(capsys, "schema", name)["$defs"]), name


def test_every_line_of_events_of_the_former_version_fits_the_published_schema(
    capsys: pytest.CaptureFixture[str],
) -> None:
    schema = printed(capsys, "schema", "events")
    for line in (FORMER / "events.jsonl").read_text(encoding="utf-8").splitlines():
        assert accepts(schema, json.loads(line)) == [], line
