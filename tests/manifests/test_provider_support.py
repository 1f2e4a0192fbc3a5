"""Moving a model to another type of provider reports every unsupported field at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tunedmodels.errors import Problem
from tunedmodels.manifests.load import load
from tunedmodels.manifests.provider_support import SUPPORTED_BY

PROJECT = """\
apiVersion: tunedmodels.dev/v1
kind: Project
metadata: {name: demo, lineage: 3f9c1e7a2b04}
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
  baseModel: models/gemini-3.5-flash
  dataset: {path: tone.jsonl, preambleAs: PREAMBLE}
"""
VERTEX_ONLY = """\
  method: preference
  validation: {path: held-out.jsonl}
  hyperparameters: {adapterSize: 4, beta: 0.1, learningRateMultiplier: 2}
  serviceAccount: tuner@my-proj.iam.gserviceaccount.com
  encryptionSpec: {kmsKeyName: projects/p/locations/l/keyRings/r/cryptoKeys/k}
  exportLastCheckpointOnly: true
"""
NOT_VERTEX = """\
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


def test_fields_that_only_vertex_supports_are_rejected_on_other_providers(tmp_path: Path) -> None:
    reported = problems(tmp_path, "gemini", VERTEX_ONLY, "systemInstruction")
    assert {problem.code for problem in reported} == {"not-honoured"}
    assert {problem.path.removeprefix("spec.") for problem in reported} == {
        path for path, kinds in SUPPORTED_BY.items() if kinds == {"vertex"}
    }
    assert all("vertex" in problem.cure for problem in reported)


def test_fields_that_vertex_does_not_support_are_rejected_on_vertex(tmp_path: Path) -> None:
    reported = problems(tmp_path, "eu", NOT_VERTEX)
    assert {problem.path.removeprefix("spec.") for problem in reported} == {
        path for path, kinds in SUPPORTED_BY.items() if "vertex" not in kinds
    }
    (line,) = {problem.line for problem in reported if problem.path.endswith("temperature")}
    assert line == 8


@pytest.mark.parametrize(
    ("provider", "fields", "preamble"),
    [
        ("eu", VERTEX_ONLY, "systemInstruction"),
        ("gemini", NOT_VERTEX, "input"),
        ("eu", "", "input"),
    ],
)
def test_supported_fields_are_accepted(
    tmp_path: Path, provider: str, fields: str, preamble: str
) -> None:
    assert problems(tmp_path, provider, fields, preamble) == []


def test_fields_for_preferences_require_the_preference_method(tmp_path: Path) -> None:
    (reported,) = problems(tmp_path, "eu", "  hyperparameters: {beta: 0.1}\n")
    assert "method: preference" in reported.message


def test_the_providers_page_has_the_same_table() -> None:
    page = (ROOT / "docs/providers.md").read_text(encoding="utf-8")
    table = page.partition("<!-- provider support -->\n")[2].partition("<!-- end -->")[0]
    kinds = ("embedded", "gemini", "vertex")
    rows = [
        f"| `spec.{path}` |" + "".join(" yes |" if kind in supporting else " |" for kind in kinds)
        for path, supporting in SUPPORTED_BY.items()
    ]
    assert table.splitlines()[2:] == rows


def test_a_model_and_its_parent_must_be_on_the_same_provider(tmp_path: Path) -> None:
    child = MODEL.replace("tone}", "child}").replace(
        "baseModel: models/gemini-3.5-flash", "tunedModel: tone"
    )
    (tmp_path / "child.yaml").write_text(child.replace("PREAMBLE", "input") + "  provider: eu\n")
    (reported,) = problems(tmp_path, "embedded", "")
    assert (reported.code, reported.path) == ("elsewhere", "spec.tunedModel")
    assert problems(tmp_path, "eu", "") == []
