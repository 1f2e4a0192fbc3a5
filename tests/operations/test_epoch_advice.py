"""The notes of a plan about epochs, from the last loss curve of a name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import NOON, desired, live, plan_for
from tests.support.paths import ROOT
from tunedmodels.cli.main import run
from tunedmodels.desired import Desired
from tunedmodels.observed import LossPoint, ModelState, ObservedModel, UsedHyperparameters
from tunedmodels.operations.plan import epoch_notes
from tunedmodels.ownership import Ownership
from tunedmodels.schema.tuned_model import Hyperparameters

STEPS = 5  # per epoch
FLAT = (0.5, 0.05, *(0.05,) * 8)  # ten epochs, of which two are enough
STEEP = (0.95, 0.8, 0.65, 0.5, 0.35)
ERRATIC = (1.6, 1.1, 1.7, 1.1, 1.5, 1.1)


def curve(epochs: Sequence[float]) -> tuple[LossPoint, ...]:
    losses = [1.0, *(loss for loss in epochs for _ in range(STEPS))]
    del losses[1]  # the first step has the loss of the untuned model
    return tuple(LossPoint(step, step // STEPS, loss) for step, loss in enumerate(losses, 1))


def notes(desired_models: list[Desired], observed: list[ObservedModel]) -> list[tuple[str, str]]:
    plan = plan_for(desired_models, observed)
    found = epoch_notes(
        plan, {model.name: model for model in desired_models}, observed, Ownership("demo")
    )
    return [(note.name, note.words) for note in found]


def trained(model: Desired, epochs: Sequence[float] = FLAT, **others: Any) -> ObservedModel:
    used = UsedHyperparameters(epoch_count=len(epochs), batch_size=4, learning_rate=0.001)
    return replace(live(model, promoted=1, curve=curve(epochs), used=used), **others)


def with_epochs(count: int | None, **others: Any) -> Desired:
    return desired("tone", hyperparameters=Hyperparameters(epoch_count=count, **others))


def test_other_epochs_than_the_last_curve_recommends_cause_a_note() -> None:
    model = with_epochs(10)
    ((name, words),) = notes([model], [trained(model)])
    assert name == "tone"
    assert words == (
        f"10 epochs are declared. In {model.model_id}: The loss levels off after epoch 2, at 0.05 "
        "from 1 untuned. 3 epochs would reach that loss and save 70% of the cost. Set "
        "hyperparameters.epochCount: 3."
    )


def test_undeclared_epochs_are_those_that_the_service_used() -> None:
    model = with_epochs(None)
    words = notes([model], [trained(model)])[0][1]
    assert words.startswith("10 epochs are the default. In ")


def test_a_new_dataset_keeps_the_note() -> None:
    former = trained(desired("tone", data="former"))
    assert len(notes([with_epochs(None)], [former])) == 1


@pytest.mark.parametrize(
    "declared",
    [
        with_epochs(3),
        with_epochs(7),
        with_epochs(10, batch_size=8),
        with_epochs(10, learning_rate=0.01),
        desired("tone", source="models/another"),
    ],
    ids=["as recommended", "other epochs", "other batches", "another rate", "another base model"],
)
def test_a_curve_of_other_settings_causes_no_note(declared: Desired) -> None:
    assert notes([declared], [trained(with_epochs(10))]) == []


def test_a_rate_that_the_service_rounds_to_32_bits_is_the_same_rate() -> None:
    used = UsedHyperparameters(epoch_count=10, learning_rate=0.0010000000474974513)
    model = with_epochs(10, learning_rate=0.001)
    assert len(notes([model], [trained(model, used=used)])) == 1


def test_the_curve_of_the_newest_version_is_used() -> None:
    old = trained(with_epochs(4), FLAT[:4], completed=NOON)
    new = trained(with_epochs(5), STEEP, completed=NOON + timedelta(hours=1))
    ((_, words),) = notes([with_epochs(5)], [new, old])
    assert "still falling" in words
    assert new.model_id in words


@pytest.mark.parametrize(("tried", "count"), [(3, 0), (2, 0), (5, 1)])
def test_what_a_former_version_has_tried_causes_no_note(tried: int, count: int) -> None:
    used = UsedHyperparameters(epoch_count=tried)
    former = trained(with_epochs(tried), used=used, completed=NOON)
    model = with_epochs(10)
    last = trained(model, completed=NOON + timedelta(hours=1))
    assert len(notes([model], [former, last])) == count
    elsewhere = replace(former, source="models/another")
    assert len(notes([model], [elsewhere, last])) == 1


def test_unfinished_foreign_and_curveless_versions_cause_no_note() -> None:
    model = with_epochs(10)
    training = trained(model, state=ModelState.TRAINING)
    foreign = trained(desired("tone", project="theirs"))
    for observed in (training, foreign, live(model, promoted=1)):
        assert notes([model], [observed]) == []


@pytest.mark.parametrize("epochs", [ERRATIC, FLAT[:4], STEEP[:4]])
def test_an_erratic_or_short_curve_causes_no_note(epochs: Sequence[float]) -> None:
    model = with_epochs(len(epochs))
    assert notes([model], [trained(model, epochs)]) == []


def test_at_most_a_hundred_curves_are_read_trained_names_first() -> None:
    ten = Hyperparameters(epoch_count=10)
    models = [desired(f"m{n:03}", hyperparameters=ten) for n in range(120)]
    observed = [trained(model) for model in models[:-1]] + [
        trained(desired("m119", data="former", hyperparameters=ten))
    ]
    found = notes(models, observed)
    assert len(found) == 100
    assert found[0][0] == "m119"


@pytest.mark.parametrize("folder", ["manifests", "tunedmodels/cli/starter"])
def test_our_own_examples_cause_no_note(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ignored = shutil.ignore_patterns(".tunedmodels")
    shutil.copytree(ROOT / folder, tmp_path / "manifests", ignore=ignored)
    assert run(["apply", "--yes"]) == 0
    capsys.readouterr()
    assert run(["plan", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out).get("notes", []) == []
