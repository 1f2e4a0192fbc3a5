"""Moving a model to another kind of provider: every field that is lost is named, in one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tunedmodels.errors import Problem
from tunedmodels.manifests.load import load
from tunedmodels.manifests.provider_support import HONOURED_BY

PROJECT = """\
apiVersion: tunedmodels.dev/v1
kind: Project
metadata: {name: demo}
spec:
  provider: PROVIDER
  providers:
    eu: {type: vertex, project: my-proj, location: europe-west4, bucket: my-bucket}
"""
MODEL = """\
apiVersion: tunedmodels.dev/v1
kind: TunedModel
metadata: {name: tone}
spec:
  baseModel: models/gemini-2.5-flash
  dataset: {path: tone.jsonl, preambleAs: PREAMBLE}
"""
OF_VERTEX = """\
  method: preference
  validation: {path: held-out.jsonl}
  hyperparameters: {adapterSize: 4, beta: 0.1, learningRateMultiplier: 2}
  serviceAccount: tuner@my-proj.iam.gserviceaccount.com
  encryptionSpec: {kmsKeyName: projects/p/locations/l/keyRings/r/cryptoKeys/k}
  exportLastCheckpointOnly: true
"""
OF_GEMINI = """\
  hyperparameters: {batchSize: 4, learningRate: 0.001}
  temperature: 0.5
  topP: 0.5
  topK: 5
  readerProjectNumbers: [12]
"""


def problems(folder: Path, provider: str, fields: str, preamble: str = "input") -> list[Problem]:
    (folder / "tunedmodels.yaml").write_text(PROJECT.replace("PROVIDER", provider))
    (folder / "tone.yaml").write_text(MODEL.replace("PREAMBLE", preamble) + fields)
    return list(load(folder).problems)


def test_what_only_vertex_honours_is_refused_elsewhere_all_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "gemini", OF_VERTEX, "systemInstruction")
    assert {problem.code for problem in found} == {"not-honoured"}
    assert {problem.path.removeprefix("spec.") for problem in found} == {
        path for path, kinds in HONOURED_BY.items() if kinds == {"vertex"}
    }
    assert all("vertex" in problem.cure for problem in found)


def test_what_vertex_does_not_honour_is_refused_there_all_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "eu", OF_GEMINI)
    assert {problem.path.removeprefix("spec.") for problem in found} == {
        path for path, kinds in HONOURED_BY.items() if "vertex" not in kinds
    }
    (line,) = {problem.line for problem in found if problem.path.endswith("temperature")}
    assert line == 8


@pytest.mark.parametrize(
    ("provider", "fields", "preamble"),
    [("eu", OF_VERTEX, "systemInstruction"), ("gemini", OF_GEMINI, "input"), ("eu", "", "input")],
)
def test_what_a_provider_honours_is_no_problem(
    tmp_path: Path, provider: str, fields: str, preamble: str
) -> None:
    assert problems(tmp_path, provider, fields, preamble) == []


def test_what_belongs_to_preferences_needs_them(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "eu", "  hyperparameters: {beta: 0.1}\n")
    assert "method: preference" in found.message


def test_the_page_of_the_providers_has_the_same_table() -> None:
    page = (ROOT / "docs/providers.md").read_text(encoding="utf-8")
    table = page.partition("<!-- honoured -->\n")[2].partition("<!-- end -->")[0]
    kinds = ("embedded", "gemini", "vertex")
    rows = [
        f"| `spec.{path}` |" + "".join(" yes |" if kind in honours else " |" for kind in kinds)
        for path, honours in HONOURED_BY.items()
    ]
    assert table.splitlines()[2:] == rows


def test_a_model_and_its_parent_live_in_one_place(tmp_path: Path) -> None:
    child = MODEL.replace("tone}", "child}").replace(
        "baseModel: models/gemini-2.5-flash", "tunedModel: tone"
    )
    (tmp_path / "child.yaml").write_text(child.replace("PREAMBLE", "input") + "  provider: eu\n")
    (found,) = problems(tmp_path, "embedded", "")
    assert (found.code, found.path) == ("elsewhere", "spec.tunedModel")
    assert problems(tmp_path, "eu", "") == []
