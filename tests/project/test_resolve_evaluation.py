"""An evaluation as it is declared: its digests, what they are over, and what is checked offline."""

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
from tunedmodels.project.resolve import Surveyed, survey
from tunedmodels.schema.tuned_model import Evaluation, GenerationConfig

GATE = evaluation(at_least=0.8)


def changed(**rules: Any) -> DesiredEvaluation:
    """The gate with other rules."""
    return replace(GATE, rules=Evaluation(**(GATE.rules.model_dump() | rules)))


# fmt: off
CASES = [  # what is different                                  other scores  other gate
    (replace(GATE, digest=sha("others")),                        True,  True),
    (replace(GATE, preamble="Be kind."),                         True,  True),
    (replace(GATE, generation=GenerationConfig(top_k=3)),        True,  True),
    (changed(metric="chrF"),                                     True,  True),
    (changed(at_least=0.81),                                     False, True),
    (changed(not_worse_than_serving_by=0.0),                     False, True),
    (changed(on_inconclusive="promote"),                         False, True),
    (changed(few_shot=7, concurrency=9),                         False, False),
    (replace(GATE, file=Path("/elsewhere"), written="moved"),    False, False),
]
# fmt: on


@pytest.mark.parametrize(("other", "scores", "gate"), CASES)
def test_a_digest_changes_with_what_it_decides_about(
    other: DesiredEvaluation, *, scores: bool, gate: bool
) -> None:
    assert (other.scores != GATE.scores) is scores
    assert (other.gate != GATE.gate) is gate


def test_an_evaluation_without_a_threshold_is_no_gate() -> None:
    assert evaluation().gate == ""
    assert evaluation(not_worse_than_serving_by=0.0).gate
    assert evaluation(at_least=0.0).gate


def test_what_is_asked_of_a_version_is_no_part_of_it() -> None:
    want = desired()
    assert replace(want, evaluation=GATE).fingerprint == want.fingerprint


@pytest.fixture
def surveyed(tmp_path: Path) -> Any:
    def look(spec: str, held_out: str = '{"text_input": "x", "output": "a"}\n') -> Surveyed:
        rows = [f'{{"text_input": "ask {n}", "output": "{"ab"[n % 2]}"}}\n' for n in range(24)]
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data/tone.jsonl").write_text("".join(rows))
        (tmp_path / "data/tone.eval.jsonl").write_text(held_out)
        (tmp_path / "tunedmodels.yaml").write_text(PROJECT)
        (tmp_path / "tone.yaml").write_text(MODEL + spec)
        return survey(Project.open(tmp_path), use_cache=False)

    return look


def test_what_the_evaluation_leaves_open_is_as_the_model_declares_it(surveyed: Any) -> None:
    spec = "  temperature: 0.7\n  topP: 0.9\n  topK: 3\n"
    (want,) = surveyed(f"{spec}  evaluation: {{path: data/tone.eval.jsonl}}\n").checked()
    assert want.evaluation.generation == GenerationConfig(temperature=0, top_p=0.9, top_k=3)
    drawn = "{path: data/tone.eval.jsonl, generationConfig: {temperature: 0.7, topK: 1}}"
    (want,) = surveyed(f"{spec}  evaluation: {drawn}\n").checked()
    assert want.evaluation.generation == GenerationConfig(temperature=0.7, top_p=0.9, top_k=1)


def test_the_examples_of_an_evaluation_are_checked_as_those_of_a_dataset(surveyed: Any) -> None:
    spec = "  evaluation: {path: data/tone.eval.jsonl}\n"
    broken = surveyed(spec, '{"text_input": "x"}\n')
    assert [p.code for p in broken.problems if p.severity is Severity.ERROR] == ["missing-field"]
    leaking = surveyed(spec, '{"text_input": "ask 3", "output": "b"}\n')
    assert "overlap" in {problem.code for problem in leaking.problems}
    (want,) = leaking.checked()
    assert (want.evaluation.examples, want.evaluation.written) == (1, "data/tone.eval.jsonl")
