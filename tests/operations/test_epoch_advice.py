"""What the plan says of epochs, from the last curve of a name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.support.builders import NOON, desired, live, planned
from tunedmodels.desired import Desired
from tunedmodels.observed import LossPoint, ModelState, ObservedModel, UsedHyperparameters
from tunedmodels.operations.plan import epoch_notes
from tunedmodels.schema.tuned_model import Hyperparameters

FLAT_AFTER_TWO = tuple(
    LossPoint(step, step, loss) for step, loss in enumerate((1.0, 0.1, 0.1, 0.1, 0.1), 1)
)
USED = UsedHyperparameters(epoch_count=5)


def notes(wants: list[Desired], there: list[ObservedModel]) -> list[tuple[str, str]]:
    plan = planned(wants, there)
    found = epoch_notes(plan, {want.name: want for want in wants}, there)
    return [(note.name, note.words) for note in found]


def trained(want: Desired, **others: Any) -> ObservedModel:
    return replace(live(want, promoted=1, curve=FLAT_AFTER_TWO, used=USED), **others)


def with_epochs(count: int | None) -> Desired:
    return desired("tone", hyperparameters=Hyperparameters(epoch_count=count))


def test_other_epochs_than_the_last_curve_recommends_are_worth_a_note() -> None:
    want = with_epochs(5)
    ((name, words),) = notes([want], [trained(want)])
    assert name == "tone"
    assert words == (
        f"5 epochs are declared. In {want.model_id}: The loss levels off after epoch 2, at 0.1 "
        "from 1 untuned. To stop there, set hyperparameters.epochCount: 2."
    )


def test_where_none_are_declared_those_count_that_the_service_took() -> None:
    want = with_epochs(None)
    words = notes([want], [trained(want)])[0][1]
    assert words.startswith("5 epochs are the default. In ")


def test_whoever_took_the_advice_hears_no_more_of_it() -> None:
    assert notes([with_epochs(2)], [trained(with_epochs(5))]) == []


def test_the_curve_of_the_newest_version_counts() -> None:
    steep = tuple(LossPoint(step, step, 1 / step) for step in range(1, 6))
    old = trained(with_epochs(4), completed=NOON)
    new = trained(with_epochs(5), completed=NOON + timedelta(hours=1), curve=steep)
    ((_, words),) = notes([with_epochs(5)], [new, old])
    assert "still falling" in words
    assert new.model_id in words


def test_what_is_not_finished_not_ours_or_has_no_curve_says_nothing() -> None:
    want = with_epochs(5)
    training = trained(want, state=ModelState.TRAINING)
    theirs = trained(desired("tone", project="theirs"))
    for there in (training, theirs, live(want, promoted=1)):
        assert notes([want], [there]) == []


def test_a_curve_that_nobody_can_read_says_nothing() -> None:
    want = with_epochs(5)
    wild = tuple(
        LossPoint(step, step, loss) for step, loss in enumerate((1.6, 1.1, 1.7, 1.1, 1.5, 1.1), 1)
    )
    assert notes([want], [trained(want, curve=wild)]) == []


def test_at_most_a_hundred_curves_are_read_and_first_those_of_what_is_trained() -> None:
    wants = [desired(f"m{n:03}") for n in range(120)]
    there = [trained(want) for want in wants[:-1]] + [trained(desired("m119", data="former"))]
    found = notes(wants, there)
    assert len(found) == 100
    assert found[0][0] == "m119"
