"""What applications read: every form says the same, and none of them half of it."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from tests.support.builders import desired, live
from tests.support.fakes.clock import FakeClock
from tunedmodels.apply.wait import HOSTED, Pace
from tunedmodels.observed import Named, missing
from tunedmodels.operations.watch import look_until_served
from tunedmodels.render.outputs import OUTPUTS, OUTPUTS_SCHEMA

SERVED = live(desired("a-b"), promoted=1)
MODELS = [
    Named("a-b", (SERVED, live(desired("a-b", data="old"))), is_declared=True),
    Named("late", (live(desired("late")),), is_declared=True),
    Named("left-over", (live(desired("left-over"), promoted=2),), is_declared=False),
    Named("no-more", (), is_declared=False),
]


def test_only_declared_names_without_a_serving_version_are_missing() -> None:
    assert missing(MODELS) == ["late"]


def test_every_form_says_the_same() -> None:
    document = json.loads(OUTPUTS["json"](MODELS))
    jsonschema.validate(document, OUTPUTS_SCHEMA)
    assert list(document) == ["a-b", "left-over"]
    assert document["a-b"] == {
        "model": SERVED.resource,
        "provider": "embedded",
        "version": SERVED.model_id,
    }
    assert yaml.safe_load(OUTPUTS["yaml"](MODELS)) == document
    assert OUTPUTS["names"](MODELS).split() == list(document)
    resources = [output["model"] for output in document.values()]
    assert [line.split()[1] for line in OUTPUTS["text"](MODELS).splitlines()] == resources
    env = dict(line.split("=") for line in OUTPUTS["env"](MODELS).splitlines())
    assert env == {"TUNEDMODELS_A_B": resources[0], "TUNEDMODELS_LEFT_OVER": resources[1]}


@pytest.mark.parametrize(
    ("after", "timeout_s", "waited_s"), [(0, 60, 0), (3, 60, 15), (99, 12, 12), (99, 0, 0)]
)
async def test_waiting_ends_when_all_are_served_or_the_time_is_over(
    after: int, timeout_s: float, waited_s: float
) -> None:
    clock, looks = FakeClock(), 0

    async def look() -> list[Named]:
        nonlocal looks
        looks += 1
        return MODELS if looks <= after else MODELS[:1]

    pace = Pace(first_s=HOSTED.first_s, most_s=HOSTED.most_s)
    models = await look_until_served(look, pace=pace, clock=clock, timeout_s=timeout_s)
    assert bool(missing(models)) is (after == 99)
    assert clock.elapsed() == waited_s
