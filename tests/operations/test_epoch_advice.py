"""The notes of a plan about epochs, from the last loss curve of a name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.support.builders import NOON, desired, live, plan_for
from tunedmodels.desired import Desired
from tunedmodels.observed import LossPoint, ModelState, ObservedModel, UsedHyperparameters
from tunedmodels.operations.plan import epoch_notes
from tunedmodels.ownership import Ownership
from tunedmodels.schema.tuned_model import Hyperparameters

FLAT_AFTER_TWO = tuple(
    LossPoint(step, step, loss) for step, loss in enumerate((1.0, 0.1, 0.1, 0.1, 0.1), 1)
)
USED = UsedHyperparameters(epoch_count=5)


def notes(desired_models: list[Desired], observed: list[ObservedModel]) -> list[tuple[str, str]]:
    plan = plan_for(desired_models, observed)
    found = epoch_notes(
        plan, {model.name: model for model in desired_models}, observed, Ownership("demo")
    )
    return [(note.name, note.words) for note in found]


def trained(model: Desired, **others: Any) -> ObservedModel:
    return replace(live(model, promoted=1, curve=FLAT_AFTER_TWO, used=USED), **others)


def with_epochs(count: int | None) -> Desired:
    return desired("tone", hyperparameters=Hyperparameters(epoch_count=count))


def test_other_epochs_than_the_last_curve_recommends_cause_a_note() -> None:
    model = with_epochs(5)
    ((name, words),) = notes([model], [trained(model)])
    assert name == "tone"
    assert words == (
        f"5 epochs are declared. In {model.model_id}: The loss levels off after epoch 2, at 0.1 "
        "from 1 untuned. To stop there, set hyperparameters.epochCount: 2."
    )


def test_undeclared_epochs_are_those_that_the_service_used() -> None:
    model = with_epochs(None)
    words = notes([model], [trained(model)])[0][1]
    assert words.startswith("5 epochs are the default. In ")


def test_declared_epochs_that_match_the_advice_cause_no_note() -> None:
    assert notes([with_epochs(2)], [trained(with_epochs(5))]) == []


def test_the_curve_of_the_newest_version_is_used() -> None:
    steep = tuple(LossPoint(step, step, 1 / step) for step in range(1, 6))
    old = trained(with_epochs(4), completed=NOON)
    new = trained(with_epochs(5), completed=NOON + timedelta(hours=1), curve=steep)
    ((_, words),) = notes([with_epochs(5)], [new, old])
    assert "still falling" in words
    assert new.model_id in words


def test_unfinished_foreign_and_curveless_versions_cause_no_note() -> None:
    model = with_epochs(5)
    training = trained(model, state=ModelState.TRAINING)
    foreign = trained(desired("tone", project="theirs"))
    for observed in (training, foreign, live(model, promoted=1)):
        assert notes([model], [observed]) == []


def test_an_erratic_curve_causes_no_note() -> None:
    model = with_epochs(5)
    erratic = tuple(
        LossPoint(step, step, loss) for step, loss in enumerate((1.6, 1.1, 1.7, 1.1, 1.5, 1.1), 1)
    )
    assert notes([model], [trained(model, curve=erratic)]) == []


def test_at_most_a_hundred_curves_are_read_trained_names_first() -> None:
    models = [desired(f"m{n:03}") for n in range(120)]
    observed = [trained(model) for model in models[:-1]] + [trained(desired("m119", data="former"))]
    found = notes(models, observed)
    assert len(found) == 100
    assert found[0][0] == "m119"
