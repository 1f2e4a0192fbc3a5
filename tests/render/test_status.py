"""The output of status and show for versions with scores, gates and promotions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from tests.support.builders import NOON, desired, evaluation, live, with_decision
from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tests.support.plan_models import CANDIDATES, SWEEP, TRAINING, chosen_by_sweep
from tunedmodels.observed import ModelState, ModelVersions, ObservedModel
from tunedmodels.render.status import show_text, status_text
from tunedmodels.render.status_json import show_json, show_schema, status_json, status_schema
from tunedmodels.stamp import MANUAL, Decision

GOLDEN = GOLDEN_FOLDER / "status"
GATED = desired(evaluation=evaluation(at_least=0.85, not_worse_than_serving_by=0.02))
FORMER = live(desired(data="old"), promoted=1)


def promoted(model: ObservedModel, minute: int, *, by: str = "", head: str = "") -> ObservedModel:
    """Return the version after a promotion."""
    assert model.stamp
    stamp = replace(model.stamp, commit="3c9d2e1").promoted_at(
        NOON + timedelta(minutes=minute), promoted_by=by, promoted_commit=head
    )
    return replace(model, stamp=stamp)


def tried(model: ObservedModel, score: str) -> ObservedModel:
    """Return a candidate with a score, in a sweep that has chosen none yet."""
    assert model.stamp
    stamp = replace(model.stamp, scored_by_sweep=SWEEP.sweep_digest, score=f"exactMatch:{score}")
    return replace(model, stamp=stamp)


def named(*versions: ObservedModel) -> ModelVersions:
    return ModelVersions("tone", versions, is_declared=True)


NAMES = {
    "passed": named(
        promoted(with_decision(live(), GATED, Decision.PASSED, baseline=FORMER), 5, head="9f00aa1"),
        FORMER,
    ),
    "refused": named(FORMER, with_decision(live(), GATED, Decision.REFUSED, baseline=FORMER)),
    "inconclusive": named(with_decision(live(), GATED, Decision.INCONCLUSIVE)),
    "overruled": named(
        FORMER,
        promoted(
            with_decision(live(), GATED, Decision.REFUSED, baseline=FORMER),
            9,
            by=MANUAL,
            head="9f00aa1+",
        ),
    ),
    "rolled-back": named(
        promoted(live(desired(data="old")), 20, head="b0b0b0b"),
        promoted(with_decision(live(), GATED, Decision.PASSED, baseline=FORMER), 5, head="9f00aa1"),
        live(desired(data="next"), state=ModelState.TRAINING),
    ),
    "sweep-half-done": named(
        FORMER,
        tried(live(CANDIDATES[0]), "0.880"),
        live(CANDIDATES[1]),
        live(CANDIDATES[2], state=TRAINING),
    ),
    "sweep-settled": named(promoted(chosen_by_sweep(live(CANDIDATES[1])), 5), FORMER),
}


@pytest.mark.parametrize("name", NAMES)
def test_status_and_show_equal_their_golden_files(
    name: str, golden: Callable[[Path, str], None]
) -> None:
    model = NAMES[name]
    golden(GOLDEN / f"{name}.status.txt", status_text([model]))
    golden(GOLDEN / f"{name}.show.txt", show_text(model))
    golden(GOLDEN / f"{name}.show.json", show_json(model))


def test_every_golden_file_has_a_model() -> None:
    names = {path.name for path in GOLDEN.iterdir()}
    endings = ("status.txt", "show.txt", "show.json")
    assert names == {f"{name}.{ending}" for name in NAMES for ending in endings}


@pytest.mark.parametrize("name", NAMES)
def test_the_documents_are_valid_against_their_schemas(name: str) -> None:
    jsonschema.validate(json.loads(status_json([NAMES[name]])), status_schema())
    jsonschema.validate(json.loads(show_json(NAMES[name])), show_schema())


@pytest.mark.parametrize("score", ["exactMatch:much", "exactMatch", "exactMatch:nan", ":0.5"])
def test_a_score_that_is_not_a_number_is_null(score: str) -> None:
    model = live(promoted=1)
    assert model.stamp
    model = replace(model, stamp=replace(model.stamp, score=score))
    assert show_text(named(model))
    document = json.loads(status_json([named(model)]))
    jsonschema.validate(document, status_schema())
    score_of_version = document["models"][0]["versions"][0]["score"]
    assert score_of_version == (0.5 if score == ":0.5" else None)
