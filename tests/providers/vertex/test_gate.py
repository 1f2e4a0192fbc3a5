"""A good dataset and a bad one at Vertex AI, with a gate: the bad one never serves, kills included.

The model of the loopback service answers what it was trained on, and serves from another location
than the one that it was trained in.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.forked_cli import Nursery
from tests.support.vertex.cloud import Cloud
from tests.support.vertex.project_dir import Shop, opened
from tunedmodels import stamp as stamps

QUESTIONS = [f"q{number}" for number in range(20)]
SYSTEM = {"path": "tone.jsonl", "preamble": "Be kind.", "preambleAs": "systemInstruction"}
GATE = {"path": "tone.eval.jsonl", "atLeast": 0.8, "notWorseThanServingBy": 0.3}
ASK = "endpoints.streamGenerateContent"


@pytest.fixture
def cloud() -> Cloud:
    """A cloud in which a job takes some thirty requests."""
    cloud = Cloud()
    cloud.buckets.make("data")
    cloud.pace_s = 30
    return cloud


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Where all processes come from."""
    with Nursery() as nursery:
        yield nursery


@pytest.fixture
def shop(cloud: Cloud, nursery: Nursery, tmp_path: Path) -> Iterator[Shop]:
    """A good version that passed its gate and serves."""
    with opened(cloud, nursery, tmp_path) as shop:
        shop.declare(dataset=SYSTEM, evaluation=GATE, hyperparameters={"epochCount": 2})
        shop.teach({q: f"a{q}" for q in QUESTIONS}, "tone.eval.jsonl")
        teach(shop, "a")
        code, said = shop.run("apply", "--yes")
        assert code == 0, said
        assert "its gate passed: exactMatch 1.000" in said
        yield shop
        assert cloud.violations == []


def teach(shop: Shop, letter: str, count: int = 20) -> None:
    """Teach all answers that are asked for to begin with a letter; they should with an a."""
    shop.teach({q: f"{letter}{q}" for q in [*QUESTIONS, "more", "and more"][:count]})


def status(shop: Shop) -> dict[str, Any]:
    """What `status` says of the model."""
    code, said = shop.run("status", "--format", "json")
    assert code == 0, said
    (model,) = json.loads(said)["models"]
    return dict(model)


def serving(shop: Shop) -> str:
    """The version that answers for the name, or nothing."""
    return str(status(shop)["serving"] or "")


def outputs(shop: Shop) -> str:
    code, said = shop.run("outputs")
    assert code == 0, said
    return said


def test_a_bad_version_is_marked_never_serves_and_goes_with_all_that_its_job_made(
    shop: Shop, cloud: Cloud
) -> None:
    before, good = outputs(shop), serving(shop)
    assert '"costUsd": null' in shop.run("show", "tone", "--card", "json")[1], "nobody tells it"
    (model,) = cloud.registry.models.values()
    document, endpoints = dict(model.versions["1"]), set(cloud.registry.endpoints)
    teach(shop, "b")
    code, said = shop.run("apply", "--yes")
    assert code == 5, said
    assert "its gate refused it: exactMatch 0.000" in said
    assert (outputs(shop), serving(shop)) == (before, good)
    assert model.versions["1"] == document, "nobody wrote on what serves"

    (bad,) = [each for each in cloud.registry.models.values() if each is not model]
    _, stamp = stamps.read(bad.versions["1"]["description"])
    assert stamp
    assert stamp.is_rejected
    assert stamp.score == "exactMatch:0.000"
    asked, created = cloud.count(ASK), cloud.count("tuningJobs.create")
    patched = cloud.count("models.patch")
    code, said = shop.run("apply", "--yes")
    assert code == 5, said
    assert "its gate refused it" in said
    assert cloud.count(ASK) == asked, "what its stamp says is not asked again"
    assert (cloud.count("tuningJobs.create"), cloud.count("models.patch")) == (created, patched)

    teach(shop, "a")
    code, said = shop.run("apply", "--yes")
    assert code == 0, said
    assert list(cloud.registry.models.values()) == [model]
    assert set(cloud.registry.endpoints) == endpoints
    assert (outputs(shop), serving(shop)) == (before, good)
    assert shop.run("plan", "--detailed-exitcode")[0] == 0
    assert len(cloud.jobs.jobs) == 2


def test_a_person_overrules_the_gate_and_a_revert_goes_back_without_a_job(
    shop: Shop, cloud: Cloud
) -> None:
    good = serving(shop)
    teach(shop, "b")
    assert shop.run("apply", "--yes")[0] == 5
    (bad,) = {version["id"] for version in status(shop)["versions"]} - {good}
    code, said = shop.run("promote", "tone", bad)
    assert code == 0, said
    assert serving(shop) == bad
    assert shop.run("apply", "--yes")[0] == 0, "a person's word holds"
    assert serving(shop) == bad
    teach(shop, "a")
    asked = cloud.count(ASK)
    code, said = shop.run("apply", "--yes")
    assert code == 0, said
    assert serving(shop) == good
    assert cloud.count(ASK) == asked, "what served before is past its gate"
    assert len(cloud.jobs.jobs) == 2


def test_a_rival_that_learned_its_system_instruction_is_not_asked_without_it(shop: Shop) -> None:
    """It would answer nothing right, and whatever is beside it would not be worse."""
    shutil.rmtree(shop.folder / "manifests/.tunedmodels/evaluations")  # on another machine
    shop.declare(
        dataset={**SYSTEM, "preambleAs": "input"},
        evaluation=GATE,
        hyperparameters={"epochCount": 2},
    )
    code, said = shop.run("apply", "--yes")
    assert code == 5, said
    assert "trained with another preamble" in said


# fmt: off
BAD = [  #           method           n-th    is done
    pytest.param("models.patch",      1,  False, id="before the judgement was written"),
    pytest.param("models.patch",      1,  True,  id="after the judgement was written"),
]
GOOD = [
    pytest.param("models.patch",      1,  False, id="before it was promoted"),
    pytest.param("models.patch",      1,  True,  id="after it was promoted"),
    pytest.param("endpoints.delete",  1,  True,  id="while the former one was deleted"),
]
# fmt: on


@pytest.mark.parametrize(("name", "occurrence", "is_done"), BAD)
def test_a_kill_while_a_bad_version_is_judged_leaves_the_good_one_alone(
    shop: Shop, cloud: Cloud, name: str, occurrence: int, *, is_done: bool
) -> None:
    before = outputs(shop)
    teach(shop, "b")
    shop.kill(name, occurrence, is_done=is_done)
    assert outputs(shop) == before
    assert shop.run("apply", "--yes")[0] == 5
    assert outputs(shop) == before
    assert len(cloud.jobs.jobs) == 2


@pytest.mark.parametrize(("name", "occurrence", "is_done"), GOOD)
def test_a_kill_while_a_good_version_takes_over_never_leaves_the_name_without_one(
    shop: Shop, cloud: Cloud, name: str, occurrence: int, *, is_done: bool
) -> None:
    former = serving(shop)
    shop.declare(
        dataset=SYSTEM,
        evaluation=GATE,
        hyperparameters={"epochCount": 2},
        lifecycle={"keep": 0},
    )
    teach(shop, "a", 22)
    shop.kill(name, occurrence, is_done=is_done)
    assert serving(shop)
    code, said = shop.run("apply", "--yes")
    assert code == 0, said
    assert serving(shop) not in ("", former)
    assert (len(cloud.jobs.jobs), len(cloud.registry.models)) == (2, 1)
    assert shop.run("plan", "--detailed-exitcode")[0] == 0
