"""The outputs that applications read: every form has the same content."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from tests.support.builders import desired, live
from tests.support.fakes.clock import FakeClock
from tunedmodels.apply.wait import HOSTED_INTERVAL, PollInterval
from tunedmodels.observed import ModelVersions, unserved_names
from tunedmodels.operations.watch import poll_until_served
from tunedmodels.render.outputs import OUTPUT_RENDERERS, outputs_schema

SERVED = live(desired("a-b"), promoted=1)
MODELS = [
    ModelVersions("a-b", (SERVED, live(desired("a-b", data="old"))), is_declared=True),
    ModelVersions("late", (live(desired("late")),), is_declared=True),
    ModelVersions("left-over", (live(desired("left-over"), promoted=2),), is_declared=False),
    ModelVersions("no-more", (), is_declared=False),
]


def test_only_declared_names_without_a_serving_version_are_unserved() -> None:
    assert unserved_names(MODELS) == ["late"]


def test_every_form_has_the_same_content() -> None:
    document = json.loads(OUTPUT_RENDERERS["json"](MODELS))
    jsonschema.validate(document, outputs_schema())
    assert list(document) == ["a-b", "left-over"]
    assert document["a-b"] == {
        "model": SERVED.resource,
        "provider": "embedded",
        "version": SERVED.model_id,
    }
    assert yaml.safe_load(OUTPUT_RENDERERS["yaml"](MODELS)) == document
    assert OUTPUT_RENDERERS["names"](MODELS).split() == list(document)
    resources = [output["model"] for output in document.values()]
    assert [line.split()[1] for line in OUTPUT_RENDERERS["text"](MODELS).splitlines()] == resources
    env = dict(line.split("=") for line in OUTPUT_RENDERERS["env"](MODELS).splitlines())
    assert env == {"TUNEDMODELS_A_B": resources[0], "TUNEDMODELS_LEFT_OVER": resources[1]}


@pytest.mark.parametrize(
    ("after", "timeout_s", "waited_s"), [(0, 60, 0), (3, 60, 15), (99, 12, 12), (99, 0, 0)]
)
async def test_waiting_ends_when_all_names_are_served_or_time_is_up(
    after: int, timeout_s: float, waited_s: float
) -> None:
    clock, reads = FakeClock(), 0

    async def read_models() -> list[ModelVersions]:
        nonlocal reads
        reads += 1
        return MODELS if reads <= after else MODELS[:1]

    interval = PollInterval(min_s=HOSTED_INTERVAL.min_s, max_s=HOSTED_INTERVAL.max_s)
    models = await poll_until_served(
        read_models, interval=interval, clock=clock, timeout_s=timeout_s
    )
    assert bool(unserved_names(models)) is (after == 99)
    assert clock.elapsed() == waited_s
