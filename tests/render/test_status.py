"""What status and show say of versions with a history: scores, gates, promotions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from tests.support.builders import NOON, desired, evaluation, live, ruled
from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tests.support.plans import SWEEP, TRAINING, TRIED, won
from tunedmodels.observed import ModelState, Named, ObservedModel
from tunedmodels.render.status import (
    STATUS_SCHEMA,
    show_document,
    show_text,
    status_document,
    status_text,
)
from tunedmodels.stamp import HAND, Decision

GOLDEN = GOLDEN_FOLDER / "status"
GATED = desired(evaluation=evaluation(at_least=0.85, not_worse_than_serving_by=0.02))
FORMER = live(desired(data="old"), promoted=1)


def promoted(model: ObservedModel, minute: int, *, by: str = "", head: str = "") -> ObservedModel:
    """The version as a promotion leaves it."""
    assert model.stamp
    stamp = replace(model.stamp, commit="3c9d2e1").promoted_at(
        NOON + timedelta(minutes=minute), by=by, head=head
    )
    return replace(model, stamp=stamp)


def tried(model: ObservedModel, score: str) -> ObservedModel:
    """A candidate that was scored, in a sweep that has chosen nothing yet."""
    assert model.stamp
    mark = replace(model.stamp, tried=SWEEP.sweep_digest, score=f"exactMatch:{score}")
    return replace(model, stamp=mark)


def named(*versions: ObservedModel) -> Named:
    return Named("tone", versions, is_declared=True)


NAMES = {
    "passed": named(
        promoted(ruled(live(), GATED, Decision.PASSED, rival=FORMER), 5, head="9f00aa1"), FORMER
    ),
    "refused": named(FORMER, ruled(live(), GATED, Decision.REFUSED, rival=FORMER)),
    "inconclusive": named(ruled(live(), GATED, Decision.INCONCLUSIVE)),
    "overruled": named(
        FORMER,
        promoted(ruled(live(), GATED, Decision.REFUSED, rival=FORMER), 9, by=HAND, head="9f00aa1+"),
    ),
    "rolled-back": named(
        promoted(live(desired(data="old")), 20, head="b0b0b0b"),
        promoted(ruled(live(), GATED, Decision.PASSED, rival=FORMER), 5, head="9f00aa1"),
        live(desired(data="next"), state=ModelState.TRAINING),
    ),
    "sweep-half-done": named(
        FORMER, tried(live(TRIED[0]), "0.880"), live(TRIED[1]), live(TRIED[2], state=TRAINING)
    ),
    "sweep-settled": named(promoted(won(live(TRIED[1])), 5), FORMER),
}


@pytest.mark.parametrize("name", NAMES)
def test_status_and_show_are_the_golden_files(
    name: str, golden: Callable[[Path, str], None]
) -> None:
    model = NAMES[name]
    golden(GOLDEN / f"{name}.status.txt", status_text([model]))
    golden(GOLDEN / f"{name}.show.txt", show_text(model))
    golden(GOLDEN / f"{name}.show.json", show_document(model))


def test_every_golden_file_has_its_model() -> None:
    there = {path.name for path in GOLDEN.iterdir()}
    endings = ("status.txt", "show.txt", "show.json")
    assert there == {f"{name}.{ending}" for name in NAMES for ending in endings}


@pytest.mark.parametrize("name", NAMES)
def test_the_document_fits_its_schema(name: str) -> None:
    jsonschema.validate(json.loads(status_document([NAMES[name]])), STATUS_SCHEMA)


@pytest.mark.parametrize("score", ["exactMatch:much", "exactMatch", "exactMatch:nan", ":0.5"])
def test_a_score_that_somebody_wrote_by_hand_breaks_nothing(score: str) -> None:
    model = live(promoted=1)
    assert model.stamp
    model = replace(model, stamp=replace(model.stamp, score=score))
    assert show_text(named(model))
    jsonschema.validate(json.loads(status_document([named(model)])), STATUS_SCHEMA)
