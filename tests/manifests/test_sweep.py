"""Declared sweeps: their candidates, their digests, and the problems of their manifests."""

# ruff: noqa: E501  # a split message cannot be searched for

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import desired, evaluation, sha, with_sweep
from tunedmodels.desired import Desired
from tunedmodels.errors import ProblemsFoundError
from tunedmodels.manifests.load import load
from tunedmodels.schema.tuned_model import Hyperparameters, SweepValues
from tunedmodels.stamp import Stamp, format_description, parse_description

PROJECT = "apiVersion: tunedmodels.dev/v1\nkind: Project\nmetadata: {name: demo}\n"
HEAD = (
    "apiVersion: tunedmodels.dev/v1\nkind: TunedModel\nmetadata: {name: tone}\nspec:\n"
    "  baseModel: models/x\n  dataset: {path: d.jsonl}\n"
)
SCORED = HEAD + "  evaluation: {path: e.jsonl}\n"
MEASURE = evaluation(metric="chrF")


def swept(*epochs: int, **values: Any) -> Desired:
    """Return a model with a sweep over epochs."""
    values = {"evaluation": MEASURE, **values}
    return with_sweep(desired(**values), *epochs)


def test_a_sweep_is_every_combination_in_the_order_of_the_fields() -> None:
    lists = SweepValues(learning_rate_multiplier=(0.5, 1), epoch_count=(3, 5))
    shared = Hyperparameters(batch_size=8)
    assert lists.candidate_count == 4
    settings = lists.combinations(shared)
    assert [values.model_dump(exclude_none=True, by_alias=True) for values in settings] == [
        {"epochCount": epochs, "batchSize": 8, "learningRateMultiplier": factor}
        for epochs in (3, 5)
        for factor in (0.5, 1.0)
    ]


def test_a_candidate_is_the_same_version_as_a_model_with_its_settings() -> None:
    alone = desired(hyperparameters=Hyperparameters(epoch_count=3))
    assert swept(3, 5).candidates[0].fingerprint == alone.fingerprint
    assert swept(3, 5).candidates[0].model_id == alone.model_id


# fmt: off
CASES = [  # changed model                                            has another digest
    (swept(5, 3),                                                      False),
    (swept(3, 5, description="other words", temperature=0.1),          False),
    (swept(3, 5, evaluation=evaluation(metric="chrF", at_least=0.5)),  False),
    (swept(3, 5, 8),                                                   True),
    (swept(3, 5, evaluation=evaluation(metric="exactMatch")),          True),
    (swept(3, 5, evaluation=replace(MEASURE, digest=sha("others"))),   True),
    (swept(3, 5, provider="other"),                                    True),
]
# fmt: on


@pytest.mark.parametrize(("other", "differs"), CASES)
def test_the_digest_of_a_sweep_changes_if_its_choice_can_change(
    other: Desired, *, differs: bool
) -> None:
    assert (other.sweep_digest != swept(3, 5).sweep_digest) is differs


def test_a_stamp_lists_the_last_eight_sweeps_that_chose_its_version() -> None:
    stamp = Stamp("demo", "tone", sha("x"), sha("data"), 24, scored_by_sweep="a1")
    assert stamp.has_lost_sweep
    for number in range(10):
        stamp = stamp.with_choice_of(f"s{number}")
    stamp = stamp.with_choice_of("s5")
    assert not stamp.has_lost_sweep
    assert stamp.chosen_by_sweeps == "s2,s3,s4,s6,s7,s8,s9,s5"
    assert stamp.was_chosen_by("s9")
    assert not stamp.was_chosen_by("s1")
    assert parse_description(format_description("words", stamp)) == ("words", stamp)


# fmt: off
PROBLEMS = [  # manifest   line, path below spec, message, cure
    (HEAD + "  sweep: {hyperparameters: {epochCount: [3, 5]}}",
     (7, "sweep", "requires spec.evaluation, whose metric chooses the best candidate",
      "Add evaluation: {path: FILE, metric: NAME} with examples that are not in training")),
    (SCORED + "  sweep:\n    hyperparameters: {epochCount: [3]}",
     (9, "sweep.hyperparameters", "has only 1 candidate",
      "List at least two values, or set the one in spec.hyperparameters")),
    (SCORED + "  sweep:\n    hyperparameters: {}",
     (9, "sweep.hyperparameters", "has only 1 candidate",
      "List at least two values, or set the one in spec.hyperparameters")),
    (SCORED + f"  sweep:\n    hyperparameters: {{epochCount: {list(range(1, 14))}, batchSize: [1, 2, 4, 8, 16]}}",
     (9, "sweep.hyperparameters", "has 65 candidates; at most 64 are allowed",
      "List fewer values: first coarse ones, then values around the best")),
    (SCORED + "  sweep:\n    hyperparameters:\n      epochCount: [3, 5, 3]",
     (10, "sweep.hyperparameters.epochCount", "lists 3 twice, which is one candidate", "Keep one of the two")),
    (SCORED + "  sweep:\n    hyperparameters:\n      learningRateMultiplier: [1, 1.0]",
     (10, "sweep.hyperparameters.learningRateMultiplier", "lists 1 twice, which is one candidate", "Keep one of the two")),
    (SCORED + "  hyperparameters: {epochCount: 4}\n  sweep:\n    hyperparameters:\n      epochCount: [3, 5]",
     (11, "sweep.hyperparameters.epochCount", "is also in spec.hyperparameters, with one value", "Keep one of the two")),
    (SCORED + "  sweep:\n    hyperparameters:\n      learningRate: [0.1, 0.2]\n      learningRateMultiplier: [1, 2]",
     (11, "sweep.hyperparameters.learningRateMultiplier", "excludes learningRate, which is also swept", "Keep one of the two")),
    (SCORED + "  hyperparameters: {learningRate: 0.1}\n  sweep:\n    hyperparameters:\n      learningRateMultiplier: [1, 2]",
     (11, "sweep.hyperparameters.learningRateMultiplier", "excludes learningRate, which is in spec.hyperparameters", "Keep one of the two")),
    (SCORED + "  sweep:\n    hyperparameters:\n      epochCount: []",
     (10, "sweep.hyperparameters.epochCount", "must not be empty", "List the values to try, such as [3, 5, 8]")),
    (SCORED + "  sweep:\n    hyperparameters:\n      epochCount: 3",
     (10, "sweep.hyperparameters.epochCount", "must be a list (got 3)", "Write [3]")),
    (SCORED + "  sweep:\n    hyperparameters:\n      epochCount: [3, 0]",
     (10, "sweep.hyperparameters.epochCount.1", "must be at least 1 (got 0)", "")),
    (SCORED + "  sweep:\n    hyperparameters:\n      epochs: [3, 5]",
     (10, "sweep.hyperparameters.epochs", "unknown field", "Did you mean epochCount?")),
    (SCORED + "  sweep:\n    pick: worst\n    hyperparameters: {epochCount: [3, 5]}",
     (9, "sweep.pick", "must be 'best' (got 'worst')", "")),
    (SCORED + "  sweep:\n    maxCostUsd: -1\n    hyperparameters: {epochCount: [3, 5]}",
     (9, "sweep.maxCostUsd", "must be at least 0 (got -1)", "")),
    (SCORED + "  sweep:\n    pick: best",
     (8, "sweep.hyperparameters", "is missing", "Add it")),
    (SCORED + "  sweep:\n    hyperparameters: {epochCount: [3, 5]}\n---\n"
     + HEAD.replace("tone", "ant").replace("baseModel: models/x", "tunedModel: tone"),
     (15, "tunedModel", "continues from 'tone', whose sweep can change its version",
      "Pin the version: give tone hyperparameters in place of its sweep")),
]
# fmt: on


@pytest.mark.parametrize(("manifest", "expected"), PROBLEMS)
def test_a_problem_of_a_sweep_has_a_line_and_a_cure(
    manifest: str,
    expected: tuple[int, str, str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("project.yaml").write_text(PROJECT, encoding="utf-8")
    Path("tone.yaml").write_text(manifest + "\n", encoding="utf-8")
    try:
        (problem,) = load(Path()).problems
    except ProblemsFoundError as error:
        (problem,) = error.problems
    path = problem.path.removeprefix("spec.")
    assert (problem.line, path, problem.message, problem.cure) == expected
