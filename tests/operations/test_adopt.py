"""Drift, adoption and drafts on the embedded service, after real changes in its console."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import httpx
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.builders import desired, live, unowned_model
from tunedmodels.cli.main import run
from tunedmodels.datasets.examples import Example, digest
from tunedmodels.manifests.load import load
from tunedmodels.operations.import_live import drafts
from tunedmodels.ownership import Ownership
from tunedmodels.service.embedded import EmbeddedService

ROWS = [
    {"text_input": f"{words} {number}", "output": label}
    for number in range(6)
    for words, label in (("thank you", "friendly"), ("go away", "angry"))
]
MODEL: dict[str, Any] = {
    "apiVersion": "tunedmodels.dev/v1",
    "kind": "TunedModel",
    "metadata": {"name": "tone"},
    "spec": {
        "baseModel": "models/embedded-label-001",
        "dataset": {"path": "data/tone.jsonl"},
        "hyperparameters": {"epochCount": 2, "learningRate": 0.25},
        "description": "friendly or angry",
        "temperature": 0.7,
    },
}
PROJECT = "apiVersion: tunedmodels.dev/v1\nkind: Project\nmetadata: {name: demo}\n"


def write(folder: Path, **spec: Any) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "tunedmodels.yaml").write_text(PROJECT)
    model = {**MODEL, "spec": {**MODEL["spec"], **spec}}
    (folder / "tone.yaml").write_text(json.dumps(model))
    (folder / "data/tone.jsonl").write_text("\n".join(map(json.dumps, ROWS)))


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was applied once; tests copy it."""
    folder = tmp_path_factory.mktemp("applied")
    write(folder)
    assert run(["-C", str(folder), "apply", "--yes"]) == 0
    return folder


class AppliedProject:
    """A copy of the project, with the command line and the console of the service."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture
        self.code = 0

    def run(self, *arguments: str, expect: int = 0) -> str:
        self._capture.readouterr()
        self.code = run(["-C", str(self.folder), *arguments])
        output = self._capture.readouterr()
        assert self.code == expect, output
        return output.out + output.err

    def plan(self, *arguments: str, expect: int = 0) -> dict[str, Any]:
        output = self.run("plan", "--format", "json", *arguments, expect=expect)
        document: dict[str, Any] = json.loads(output)
        return document

    def model(self) -> dict[str, Any]:
        return self.console("GET")

    def console(self, method: str, **fields: Any) -> dict[str, Any]:
        """Send a request for the only model, as a console does, and return the response."""
        return anyio.run(self._console, method, fields)

    async def _console(self, method: str, fields: dict[str, Any]) -> dict[str, Any]:
        with EmbeddedService(self.folder / ".tunedmodels", jobs=1) as service:
            transport = httpx.ASGITransport(service.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                listed = (await client.get("/v1beta/tunedModels")).json()["tunedModels"]
                mask = {"updateMask": ",".join(fields)} if fields else {}
                answer = await client.request(
                    method,
                    f"/v1beta/{listed[0]['name']}",
                    params=mask,
                    json=fields or None,
                )
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


@pytest.fixture
def project(applied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AppliedProject:
    folder = tmp_path / "project"
    shutil.copytree(applied, folder)
    return AppliedProject(folder, capsys)


def test_a_live_value_edited_in_the_console_is_drift_but_not_one_edited_in_the_manifest(
    project: AppliedProject,
) -> None:
    assert "No change was made outside of tunedmodels." in project.run(
        "plan", "--drift-only", "--detailed-exitcode"
    )
    write(project.folder, description="other words")
    output = project.run("plan", "--drift-only", "--detailed-exitcode")
    assert "The manifests require 1 other change: tunedmodels plan" in output
    project.console("PATCH", temperature=0.2)
    output = project.run("plan", "--drift-only", "--detailed-exitcode", expect=2)
    assert "temperature was changed outside" in output
    assert project.plan("--drift-only")["changes"][0]["drift"] is True
    project.run("apply", "--yes")
    assert project.model()["temperature"] == pytest.approx(0.7)
    assert project.plan()["changes"] == []


def test_a_model_deleted_in_the_console_is_created_again(project: AppliedProject) -> None:
    """Its declared version then does not exist, like a new one: this is not drift."""
    project.console("DELETE")
    assert project.plan("--drift-only", "--detailed-exitcode")["changes"] == []
    (change,) = project.plan()["changes"]
    assert (change["action"], change["drift"]) == ("create", False)
    assert change["reason"] == "it does not exist yet"


def test_a_damaged_journal_does_not_affect_a_plan(project: AppliedProject) -> None:
    (journal,) = (project.folder / ".tunedmodels/journal").iterdir()
    journal.write_bytes(b'\xff{"event": "Sent"\n[]\n{"event": "Sent", "time": 1}\n')
    assert project.plan()["changes"] == []
    project.console("DELETE")
    assert project.plan()["changes"][0]["drift"] is False


def test_an_erased_stamp_is_drift_and_adopt_restores_it_as_unverified(
    project: AppliedProject,
) -> None:
    project.console("PATCH", description="friendly or angry")
    (change,) = project.plan("--drift-only", "--detailed-exitcode", expect=2)["changes"]
    assert change["action"] == "conflict"
    assert "Cannot ask for confirmation" in project.run("adopt", "tone", expect=1)
    assert "project=demo" not in project.model()["description"]
    output = project.run("adopt", "tone", "--yes")
    assert "Unverified:" in output
    assert "12 examples" in output
    assert "unverified=true" in project.model()["description"]
    assert [c["action"] for c in project.plan()["changes"]] == ["promote"]
    project.run("apply", "--yes")
    assert "is not verified" in project.run("plan")
    assert "unverified" in project.run("status")
    assert "unverified, since the model was adopted" in project.run("show", "tone")
    write(project.folder, hyperparameters={"epochCount": 3})
    project.run("apply", "--yes")
    assert "unverified" not in project.run("outputs")
    write(project.folder, hyperparameters={"epochCount": 3}, lifecycle={"keep": 0})
    project.run("apply", "--yes")
    output = project.run("plan") + project.run("status")
    assert "unverified" not in output
    assert "not verified" not in output


# fmt: off
REFUSALS = {  # changes of the dataset, arguments, exit code, message
    "already owned": ({}, ["tone"], 4, "already has the stamp of tone of project demo"),
    "unknown name": ({}, ["tonne"], 1, "Did you mean tone?"),
    "unknown model": ({}, ["tone", "nothing"], 1, "has no model nothing"),
    "no unstamped model": ({"preamble": "x"}, ["tone", "x"], 1, "there is nothing to adopt"),
}
# fmt: on


@pytest.mark.parametrize(("spec", "arguments", "code", "message"), REFUSALS.values(), ids=REFUSALS)
def test_a_model_that_cannot_be_adopted_is_refused(
    project: AppliedProject, spec: dict[str, Any], arguments: list[str], code: int, message: str
) -> None:
    dataset = {"path": "data/tone.jsonl", **spec}
    write(project.folder, dataset=dataset)
    assert message in project.run("adopt", *arguments, "--yes", expect=code)


def test_a_model_with_other_values_or_another_owner_is_not_adopted(project: AppliedProject) -> None:
    model = project.model()
    model_id = model["name"].removeprefix("tunedModels/")
    foreign = model["description"].replace("project=demo", "project=theirs")
    project.console("PATCH", description=foreign)
    assert "of project theirs" in project.run("adopt", "tone", "--yes", expect=4)
    project.console("PATCH", description="nothing")
    write(project.folder, hyperparameters={"epochCount": 9, "learningRate": 0.25})
    output = project.run("adopt", "tone", model_id, "--yes", expect=4)
    assert "hyperparameters.epochCount is 2, declared is 9" in output
    assert model_id in project.run("adopt", "tone", "--yes", expect=1)
    assert project.model()["description"] == "nothing"


def remove_manifest(project: AppliedProject) -> None:
    """Remove the manifest and its dataset."""
    for path in ("tone.yaml", "data/tone.jsonl"):
        (project.folder / path).unlink()


def test_a_lost_manifest_is_written_again_and_proved_by_its_fingerprint(
    project: AppliedProject, tmp_path: Path
) -> None:
    examples = (project.folder / "data/tone.jsonl").read_text()
    remove_manifest(project)
    output = project.run("init", ".", "--from-live")
    assert "data/tone.jsonl    for tone-" in output
    text = (project.folder / "tone.yaml").read_text()
    assert "as its fingerprint proves" in text
    rows = [Example(row["text_input"], row["output"]) for row in ROWS]
    assert digest(rows) in text
    assert "data/tone.jsonl" in project.run("validate", expect=1)
    assert "has a manifest" in project.run("init", ".", "--from-live")
    (project.folder / "data/tone.jsonl").write_text(examples)
    assert project.plan()["changes"] == []


def test_the_manifest_of_an_unstamped_model_names_the_unknown_values(
    project: AppliedProject,
) -> None:
    words = 'yes: "no"\n- [x] #1 \\ \u2028 é "'
    project.console("PATCH", description=words, displayName="1e3")
    remove_manifest(project)
    (project.folder / "tunedmodels.yaml").unlink()
    project.run("init", ".", "--from-live", "--name", "demo")
    text = (project.folder / "tone.yaml").read_text()
    assert "tunedmodels adopt tone tone-" in text
    assert "proves" not in text
    (declared,) = load(project.folder).models
    assert (declared.spec.description, declared.spec.display_name) == (words, "1e3")
    assert declared.spec.hyperparameters.learning_rate == 0.25
    assert yaml.safe_load(text)["spec"]["dataset"] == {"path": "data/tone.jsonl"}
    (project.folder / "data/tone.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    model_id = project.model()["name"]
    project.run("adopt", "tone", model_id.removeprefix("tunedModels/"), "--yes")
    assert [c["action"] for c in project.plan()["changes"]] == ["promote"]


@settings(max_examples=30, deadline=None)
@example(description="\x85", display_name="\x85", temperature=0.0)
@given(st.text(), st.text(max_size=40), st.floats(0, 1))
def test_a_draft_loads_as_the_live_model(
    description: str, display_name: str, temperature: float
) -> None:
    model = unowned_model(
        "Strange ID_1", description=description, display_name=display_name, temperature=temperature
    )
    (draft,) = drafts([model], ownership=Ownership("demo"), declared=())
    assert draft.name == "strange-id"
    with TemporaryDirectory() as folder:
        (Path(folder) / "tunedmodels.yaml").write_text(PROJECT)
        (Path(folder) / "x.yaml").write_text(draft.text, encoding="utf-8")
        loaded = load(Path(folder))
    assert loaded.problems == ()
    spec = loaded.models[0].spec
    assert (spec.description, spec.display_name or "") == (description, display_name)
    assert spec.temperature == pytest.approx(temperature, rel=1e-5)


def test_the_names_of_drafts_are_unused_and_valid() -> None:
    models = [unowned_model(f"{name}-0badcafe") for name in ("tone", "Tone", "9", "x" * 31)]
    stamped = [live(desired("ours"), promoted=1), live(desired("theirs", project="theirs"))]
    found = drafts([*models, *stamped], ownership=Ownership("demo"), declared={"tone"})
    assert [draft.name for draft in found] == ["model", "ours", "tone-2", "tone-3", "x" * 31]


def test_existing_manifests_are_never_overwritten(project: AppliedProject) -> None:
    remove_manifest(project)
    (project.folder / "tone.yaml").write_text("# mine")
    assert "already exist" in project.run("init", ".", "--from-live", expect=1)
    assert (project.folder / "tone.yaml").read_text() == "# mine"


def test_a_manual_promotion_is_drift(project: AppliedProject) -> None:
    first = project.model()["name"].removeprefix("tunedModels/")
    write(project.folder, hyperparameters={"epochCount": 3})
    project.run("apply", "--yes")
    project.run("promote", "tone", first)
    (change,) = project.plan("--drift-only", "--detailed-exitcode", expect=2)["changes"]
    assert change["reason"] == f"{first} was promoted manually; return to the declared version"
    project.run("apply", "--yes")
    assert project.plan("--drift-only")["changes"] == []
    write(project.folder)
    assert project.plan()["changes"][0]["drift"] is False, "a revert in git is not drift"
