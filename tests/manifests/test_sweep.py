"""A sweep as it is declared: its candidates, its digest, and every mistake with its cure."""

# ruff: noqa: E501  # a message that is cut in two cannot be searched for

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.builders import desired, evaluation, sha
from tunedmodels.desired import Desired, DesiredSweep
from tunedmodels.errors import ProblemsFoundError
from tunedmodels.manifests.load import load
from tunedmodels.schema.tuned_model import Hyperparameters, SweptHyperparameters
from tunedmodels.stamp import Stamp, read, write

PROJECT = "apiVersion: tunedmodels.dev/v1\nkind: Project\nmetadata: {name: demo}\n"
HEAD = (
    "apiVersion: tunedmodels.dev/v1\nkind: TunedModel\nmetadata: {name: tone}\nspec:\n"
    "  baseModel: models/x\n  dataset: {path: d.jsonl}\n"
)
SCORED = HEAD + "  evaluation: {path: e.jsonl}\n"
MEASURE = evaluation(metric="chrF")


def swept(*epochs: int, **others: object) -> Desired:
    """A sweep over epochs."""
    sweep = DesiredSweep(tuple(Hyperparameters(epoch_count=n) for n in epochs))
    return replace(desired(evaluation=MEASURE), sweep=sweep, **others)  # type: ignore[arg-type]  # fields of it


def test_a_sweep_is_every_combination_in_the_order_of_the_fields() -> None:
    lists = SweptHyperparameters(learning_rate_multiplier=(0.5, 1), epoch_count=(3, 5))
    shared = Hyperparameters(batch_size=8)
    assert lists.count == 4
    tried = [each.model_dump(exclude_none=True, by_alias=True) for each in lists.settings(shared)]
    assert tried == [
        {"epochCount": epochs, "batchSize": 8, "learningRateMultiplier": factor}
        for epochs in (3, 5)
        for factor in (0.5, 1.0)
    ]


def test_a_candidate_is_the_version_that_its_settings_alone_would_declare() -> None:
    alone = desired(hyperparameters=Hyperparameters(epoch_count=3))
    assert swept(3, 5).candidates[0].fingerprint == alone.fingerprint
    assert swept(3, 5).candidates[0].model_id == alone.model_id


# fmt: off
CASES = [  # what is different                                        another sweep
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
def test_a_sweep_is_another_one_when_its_choice_could_be(other: Desired, *, differs: bool) -> None:
    assert (other.sweep_digest != swept(3, 5).sweep_digest) is differs


def test_a_stamp_remembers_the_last_eight_sweeps_that_chose_its_version() -> None:
    stamp = Stamp("demo", "tone", sha("x"), sha("data"), 24, tried="a1")
    assert stamp.has_lost
    for number in range(10):
        stamp = stamp.chosen_by(f"s{number}")
    stamp = stamp.chosen_by("s5")
    assert not stamp.has_lost
    assert stamp.sweep == "s2,s3,s4,s6,s7,s8,s9,s5"
    assert stamp.was_chosen_by("s9")
    assert not stamp.was_chosen_by("s1")
    assert read(write("words", stamp)) == ("words", stamp)


# fmt: off
MISTAKES = [  # manifest   line, path below spec, message, cure
    (HEAD + "  sweep: {hyperparameters: {epochCount: [3, 5]}}",
     (7, "sweep", "needs spec.evaluation, whose metric chooses the best",
      "Add evaluation: {path: FILE, metric: NAME} with examples that are not trained on")),
    (SCORED + "  sweep:\n    hyperparameters: {epochCount: [3]}",
     (9, "sweep.hyperparameters", "leaves nothing to choose: it has 1 candidate",
      "List at least two values, or write the one into spec.hyperparameters")),
    (SCORED + "  sweep:\n    hyperparameters: {}",
     (9, "sweep.hyperparameters", "leaves nothing to choose: it has 1 candidate",
      "List at least two values, or write the one into spec.hyperparameters")),
    (SCORED + f"  sweep:\n    hyperparameters: {{epochCount: {list(range(1, 14))}, batchSize: [1, 2, 4, 8, 16]}}",
     (9, "sweep.hyperparameters", "makes 65 candidates; at most 64 are allowed",
      "Try fewer values at once: the coarse ones first, then those around the best")),
    (SCORED + "  sweep:\n    hyperparameters:\n      epochCount: [3, 5, 3]",
     (10, "sweep.hyperparameters.epochCount", "lists 3 twice, which would be one candidate", "Keep one of the two")),
    (SCORED + "  sweep:\n    hyperparameters:\n      learningRateMultiplier: [1, 1.0]",
     (10, "sweep.hyperparameters.learningRateMultiplier", "lists 1 twice, which would be one candidate", "Keep one of the two")),
    (SCORED + "  hyperparameters: {epochCount: 4}\n  sweep:\n    hyperparameters:\n      epochCount: [3, 5]",
     (11, "sweep.hyperparameters.epochCount", "is in spec.hyperparameters too, with one value", "Keep one of the two")),
    (SCORED + "  sweep:\n    hyperparameters:\n      learningRate: [0.1, 0.2]\n      learningRateMultiplier: [1, 2]",
     (11, "sweep.hyperparameters.learningRateMultiplier", "excludes learningRate, which is swept too", "Keep one of the two")),
    (SCORED + "  hyperparameters: {learningRate: 0.1}\n  sweep:\n    hyperparameters:\n      learningRateMultiplier: [1, 2]",
     (11, "sweep.hyperparameters.learningRateMultiplier", "excludes learningRate, which is in spec.hyperparameters", "Keep one of the two")),
    (SCORED + "  sweep:\n    hyperparameters:\n      epochCount: []",
     (10, "sweep.hyperparameters.epochCount", "must not be empty", "List the values to try, such as [3, 5, 8]")),
    (SCORED + "  sweep:\n    hyperparameters:\n      epochCount: 3",
     (10, "sweep.hyperparameters.epochCount", "must be a list (got 3)", "Write [3]")),
    (SCORED + "  sweep:\n    hyperparameters:\n      epochCount: [3, 0]",
     (10, "sweep.hyperparameters.epochCount.1", "must be at least 1 (got 0)", "")),
    (SCORED + "  sweep:\n    hyperparameters:\n      epochs: [3, 5]",
     (10, "sweep.hyperparameters.epochs", "is no field here", "Did you mean epochCount?")),
    (SCORED + "  sweep:\n    pick: worst\n    hyperparameters: {epochCount: [3, 5]}",
     (9, "sweep.pick", "must be 'best' (got 'worst')", "")),
    (SCORED + "  sweep:\n    maxCostUsd: -1\n    hyperparameters: {epochCount: [3, 5]}",
     (9, "sweep.maxCostUsd", "must be at least 0 (got -1)", "")),
    (SCORED + "  sweep:\n    pick: best",
     (8, "sweep.hyperparameters", "is missing", "Add it")),
    (SCORED + "  sweep:\n    hyperparameters: {epochCount: [3, 5]}\n---\n"
     + HEAD.replace("tone", "ant").replace("baseModel: models/x", "tunedModel: tone"),
     (15, "tunedModel", "continues from 'tone', whose sweep may choose another version",
      "Pin the version: give tone hyperparameters in place of its sweep")),
]
# fmt: on


@pytest.mark.parametrize(("manifest", "expected"), MISTAKES)
def test_a_mistake_in_a_sweep_is_told_at_its_line_with_its_cure(
    manifest: str,
    expected: tuple[int, str, str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("project.yaml").write_text(PROJECT, encoding="utf-8")
    Path("tone.yaml").write_text(manifest + "\n", encoding="utf-8")
    try:
        (found,) = load(Path()).problems
    except ProblemsFoundError as error:
        (found,) = error.problems
    assert (found.line, found.path.removeprefix("spec."), found.message, found.cure) == expected
