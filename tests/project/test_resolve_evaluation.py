"""A declared evaluation: its digests, its resolved values, and the checks of its examples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import desired, evaluation, sha
from tests.support.project_dir import MODEL, PROJECT
from tunedmodels.desired import DesiredEvaluation
from tunedmodels.errors import Severity
from tunedmodels.project import Project
from tunedmodels.project.resolve import Resolution, resolve
from tunedmodels.schema.tuned_model import Evaluation, GenerationConfig

GATE = evaluation(at_least=0.8)


def with_spec(**values: Any) -> DesiredEvaluation:
    """Return the gate with other values in its spec."""
    return replace(GATE, spec=Evaluation(**(GATE.spec.model_dump() | values)))


# fmt: off
CASES = [  # what differs                               other scoring digest, other gate digest
    (replace(GATE, digest=sha("others")),                        True,  True),
    (replace(GATE, preamble="Be kind."),                         True,  True),
    (replace(GATE, generation=GenerationConfig(top_k=3)),        True,  True),
    (with_spec(metric="chrF"),                                     True,  True),
    (with_spec(at_least=0.81),                                     False, True),
    (with_spec(not_worse_than_serving_by=0.0),                     False, True),
    (with_spec(on_inconclusive="promote"),                         False, True),
    (with_spec(few_shot=7, concurrency=9),                         False, False),
    (replace(GATE, file=Path("/x"), declared_path="moved"),      False, False),
]
# fmt: on


@pytest.mark.parametrize(("other", "scores", "gate"), CASES)
def test_each_digest_changes_with_the_values_that_it_covers(
    other: DesiredEvaluation, *, scores: bool, gate: bool
) -> None:
    assert (other.scoring_digest != GATE.scoring_digest) is scores
    assert (other.gate_digest != GATE.gate_digest) is gate


def test_an_evaluation_without_a_threshold_is_not_a_gate() -> None:
    assert evaluation().gate_digest == ""
    assert evaluation(not_worse_than_serving_by=0.0).gate_digest
    assert evaluation(at_least=0.0).gate_digest


def test_an_evaluation_is_not_part_of_the_fingerprint() -> None:
    assert desired(evaluation=GATE).fingerprint == desired().fingerprint


@pytest.fixture
def resolve_project(tmp_path: Path) -> Any:
    """Return a function that resolves a project with one model."""

    def resolve_model(
        spec: str, held_out: str = '{"text_input": "x", "output": "a"}\n'
    ) -> Resolution:
        rows = [f'{{"text_input": "ask {n}", "output": "{"ab"[n % 2]}"}}\n' for n in range(24)]
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data/tone.jsonl").write_text("".join(rows))
        (tmp_path / "data/tone.eval.jsonl").write_text(held_out)
        (tmp_path / "tunedmodels.yaml").write_text(PROJECT)
        (tmp_path / "tone.yaml").write_text(MODEL + spec)
        return resolve(Project.open(tmp_path), use_cache=False)

    return resolve_model


def test_values_without_a_setting_in_the_evaluation_are_those_of_the_model(
    resolve_project: Any,
) -> None:
    spec = "  temperature: 0.7\n  topP: 0.9\n  topK: 3\n"
    resolution = resolve_project(f"{spec}  evaluation: {{path: data/tone.eval.jsonl}}\n")
    (model,) = resolution.desired_or_raise()
    assert model.evaluation.generation == GenerationConfig(temperature=0, top_p=0.9, top_k=3)
    settings = "{path: data/tone.eval.jsonl, generationConfig: {temperature: 0.7, topK: 1}}"
    (model,) = resolve_project(f"{spec}  evaluation: {settings}\n").desired_or_raise()
    assert model.evaluation.generation == GenerationConfig(temperature=0.7, top_p=0.9, top_k=1)


def test_the_examples_of_an_evaluation_are_checked_like_those_of_a_dataset(
    resolve_project: Any,
) -> None:
    spec = "  evaluation: {path: data/tone.eval.jsonl}\n"
    broken = resolve_project(spec, '{"text_input": "x"}\n')
    assert [p.code for p in broken.problems if p.severity is Severity.ERROR] == ["missing-field"]
    leaking = resolve_project(spec, '{"text_input": "ask 3", "output": "b"}\n')
    assert "overlap" in {problem.code for problem in leaking.problems}
    (model,) = leaking.desired_or_raise()
    evaluation = model.evaluation
    assert (evaluation.examples, evaluation.declared_path) == (1, "data/tone.eval.jsonl")
