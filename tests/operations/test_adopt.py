"""Drift, adoption and drafts on the embedded service: what people do behind our back, for real."""

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

from tests.support.builders import desired, foreign, live
from tunedmodels.cli.main import run
from tunedmodels.datasets.examples import Example, digest
from tunedmodels.manifests.load import load
from tunedmodels.operations.import_live import drafts
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
    """A project that was applied once; not to be changed."""
    folder = tmp_path_factory.mktemp("applied")
    write(folder)
    assert run(["-C", str(folder), "apply", "--yes"]) == 0
    return folder


class Desk:
    """A copy of the project, the command line, and the console of the service."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture
        self.code = 0

    def run(self, *arguments: str, expect: int = 0) -> str:
        self._capture.readouterr()
        self.code = run(["-C", str(self.folder), *arguments])
        said = self._capture.readouterr()
        assert self.code == expect, said
        return said.out + said.err

    def plan(self, *arguments: str, expect: int = 0) -> dict[str, Any]:
        said = self.run("plan", "--format", "json", *arguments, expect=expect)
        document: dict[str, Any] = json.loads(said)
        return document

    def model(self) -> dict[str, Any]:
        return self.console("GET")

    def console(self, method: str, **fields: Any) -> dict[str, Any]:
        """Do something to the only model, as a person does in a console."""
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
def desk(applied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    folder = tmp_path / "project"
    shutil.copytree(applied, folder)
    return Desk(folder, capsys)


def test_a_value_edited_by_hand_is_drift_and_one_edited_in_the_manifest_is_not(desk: Desk) -> None:
    assert "Nothing was changed outside" in desk.run("plan", "--drift-only", "--detailed-exitcode")
    write(desk.folder, description="other words")
    said = desk.run("plan", "--drift-only", "--detailed-exitcode")
    assert "1 other change waits that the manifests ask for" in said
    desk.console("PATCH", temperature=0.2)
    said = desk.run("plan", "--drift-only", "--detailed-exitcode", expect=2)
    assert "temperature was changed outside" in said
    assert desk.plan("--drift-only")["changes"][0]["drift"] is True
    desk.run("apply", "--yes")
    assert desk.model()["temperature"] == pytest.approx(0.7)
    assert desk.plan()["changes"] == []


def test_a_model_deleted_in_the_console_is_drift_where_its_promotion_is_remembered(
    desk: Desk,
) -> None:
    desk.console("DELETE")
    (change,) = desk.plan("--drift-only", "--detailed-exitcode", expect=2)["changes"]
    assert (change["action"], change["drift"]) == ("create", True)
    shutil.rmtree(desk.folder / ".tunedmodels/journal")
    assert desk.plan("--drift-only", "--detailed-exitcode")["changes"] == []
    assert desk.plan()["changes"][0]["reason"] == "it does not exist yet"


def test_a_journal_that_is_damaged_is_only_forgotten(desk: Desk) -> None:
    (journal,) = (desk.folder / ".tunedmodels/journal").iterdir()
    journal.write_bytes(b'\xff{"event": "Sent"\n[]\n{"event": "Sent", "time": 1}\n')
    desk.console("DELETE")
    assert desk.plan()["changes"][0]["drift"] is False


def test_an_erased_stamp_is_drift_and_adopt_puts_it_back_with_a_doubt(desk: Desk) -> None:
    desk.console("PATCH", description="friendly or angry")
    (change,) = desk.plan("--drift-only", "--detailed-exitcode", expect=2)["changes"]
    assert change["action"] == "conflict"
    assert "nobody to ask" in desk.run("adopt", "tone", expect=1)
    assert "project=demo" not in desk.model()["description"]
    said = desk.run("adopt", "tone", "--yes")
    assert "Unverified:" in said
    assert "12 examples" in said
    assert "unverified=true" in desk.model()["description"]
    assert [c["action"] for c in desk.plan()["changes"]] == ["promote"]
    desk.run("apply", "--yes")
    assert "unverified" in desk.run("plan")
    assert "unverified" in desk.run("status")
    assert "declared only, as it was adopted" in desk.run("show", "tone")
    write(desk.folder, hyperparameters={"epochCount": 3})
    desk.run("apply", "--yes")
    assert "unverified" not in desk.run("outputs")
    write(desk.folder, hyperparameters={"epochCount": 3}, lifecycle={"keep": 0})
    desk.run("apply", "--yes")
    assert "unverified" not in desk.run("plan") + desk.run("status")


# fmt: off
REFUSALS = {  # what the manifest says, what is adopted, the exit code and what is said
    "ours already": ({}, ["tone"], 4, "bears the stamp of tone of project demo already"),
    "nobody's name": ({}, ["tonne"], 1, "Did you mean tone?"),
    "no such model": ({}, ["tone", "nothing"], 1, "has no model nothing"),
    "nothing there": ({"preamble": "x"}, ["tone", "x"], 1, "nothing to adopt"),
}
# fmt: on


@pytest.mark.parametrize(("spec", "names", "code", "words"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_adopted_is_refused(
    desk: Desk, spec: dict[str, Any], names: list[str], code: int, words: str
) -> None:
    dataset = {"path": "data/tone.jsonl", **spec}
    write(desk.folder, dataset=dataset)
    assert words in desk.run("adopt", *names, "--yes", expect=code)


def test_what_was_trained_otherwise_or_is_somebodys_is_not_adopted(desk: Desk) -> None:
    model = desk.model()
    model_id = model["name"].removeprefix("tunedModels/")
    theirs = model["description"].replace("project=demo", "project=theirs")
    desk.console("PATCH", description=theirs)
    assert "of project theirs" in desk.run("adopt", "tone", "--yes", expect=4)
    desk.console("PATCH", description="nothing")
    write(desk.folder, hyperparameters={"epochCount": 9, "learningRate": 0.25})
    said = desk.run("adopt", "tone", model_id, "--yes", expect=4)
    assert "hyperparameters.epochCount is 2, declared is 9" in said
    assert model_id in desk.run("adopt", "tone", "--yes", expect=1)
    assert desk.model()["description"] == "nothing"


def lose(desk: Desk) -> None:
    for path in ("tone.yaml", "data/tone.jsonl"):
        (desk.folder / path).unlink()


def test_a_lost_manifest_is_written_again_and_its_fingerprint_proves_it(
    desk: Desk, tmp_path: Path
) -> None:
    examples = (desk.folder / "data/tone.jsonl").read_text()
    lose(desk)
    said = desk.run("init", ".", "--from-live")
    assert "data/tone.jsonl    for tone-" in said
    text = (desk.folder / "tone.yaml").read_text()
    assert "its fingerprint proves it" in text
    rows = [Example(row["text_input"], row["output"]) for row in ROWS]
    assert digest(rows) in text
    assert "data/tone.jsonl" in desk.run("validate", expect=1)
    assert "has a manifest" in desk.run("init", ".", "--from-live")
    (desk.folder / "data/tone.jsonl").write_text(examples)
    assert desk.plan()["changes"] == []


def test_a_model_without_a_stamp_gets_a_manifest_that_says_what_is_not_known(desk: Desk) -> None:
    words = 'yes: "no"\n- [x] #1 \\ \u2028 é "'
    desk.console("PATCH", description=words, displayName="1e3")
    lose(desk)
    (desk.folder / "tunedmodels.yaml").unlink()
    desk.run("init", ".", "--from-live", "--name", "demo")
    text = (desk.folder / "tone.yaml").read_text()
    assert "tunedmodels adopt tone tone-" in text
    assert "proves" not in text
    (declared,) = load(desk.folder).models
    assert (declared.spec.description, declared.spec.display_name) == (words, "1e3")
    assert declared.spec.hyperparameters.learning_rate == 0.25
    assert yaml.safe_load(text)["spec"]["dataset"] == {"path": "data/tone.jsonl"}
    (desk.folder / "data/tone.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    model_id = desk.model()["name"]
    desk.run("adopt", "tone", model_id.removeprefix("tunedModels/"), "--yes")
    assert [c["action"] for c in desk.plan()["changes"]] == ["promote"]


@settings(max_examples=30, deadline=None)
@example(words="\x85", shown="\x85", temperature=0.0)
@given(st.text(), st.text(max_size=40), st.floats(0, 1))
def test_a_draft_is_read_back_as_what_is_live(words: str, shown: str, temperature: float) -> None:
    model = foreign("Strange ID_1", description=words, display_name=shown, temperature=temperature)
    (draft,) = drafts([model], project="demo", declared=())
    assert draft.name == "strange-id"
    with TemporaryDirectory() as folder:
        (Path(folder) / "tunedmodels.yaml").write_text(PROJECT)
        (Path(folder) / "x.yaml").write_text(draft.text, encoding="utf-8")
        loaded = load(Path(folder))
    assert loaded.problems == ()
    spec = loaded.models[0].spec
    assert (spec.description, spec.display_name or "") == (words, shown)
    assert spec.temperature == pytest.approx(temperature, rel=1e-5)


def test_names_of_drafts_are_free_and_valid() -> None:
    models = [foreign(f"{name}-0badcafe") for name in ("tone", "Tone", "9", "x" * 31)]
    there = [live(desired("ours"), promoted=1), live(desired("theirs", project="theirs"))]
    found = drafts([*models, *there], project="demo", declared={"tone"})
    assert [draft.name for draft in found] == ["model", "ours", "tone-2", "tone-3", "x" * 31]


def test_existing_manifests_are_never_written_over(desk: Desk) -> None:
    lose(desk)
    (desk.folder / "tone.yaml").write_text("# mine")
    assert "exist already" in desk.run("init", ".", "--from-live", expect=1)
    assert (desk.folder / "tone.yaml").read_text() == "# mine"


def test_a_version_promoted_by_hand_is_drift(desk: Desk) -> None:
    first = desk.model()["name"].removeprefix("tunedModels/")
    write(desk.folder, hyperparameters={"epochCount": 3})
    desk.run("apply", "--yes")
    desk.run("promote", "tone", first)
    (change,) = desk.plan("--drift-only", "--detailed-exitcode", expect=2)["changes"]
    assert change["reason"] == f"{first} was promoted by hand; go back to what is declared"
    desk.run("apply", "--yes")
    assert desk.plan("--drift-only")["changes"] == []
    write(desk.folder)
    assert desk.plan()["changes"][0]["drift"] is False, "a revert in git is no drift"
