"""A gate on Vertex AI: a version with bad data never serves, even when an apply is killed.

The model of the loopback service answers as it was trained, and serves from another location than
that of its training.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.forked_cli import ForkedCli
from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.project_dir import VertexProject, open_project
from tunedmodels import stamp as stamps

QUESTIONS = [f"q{number}" for number in range(20)]
SYSTEM = {"path": "tone.jsonl", "preamble": "Be kind.", "preambleAs": "systemInstruction"}
GATE = {"path": "tone.eval.jsonl", "atLeast": 0.8, "notWorseThanServingBy": 0.3}
ASK = "endpoints.streamGenerateContent"


@pytest.fixture
def cloud() -> LoopbackCloud:
    """A cloud in which a job takes about thirty requests."""
    cloud = LoopbackCloud()
    cloud.buckets.create_bucket("data")
    cloud.seconds_per_request = 30
    return cloud


@pytest.fixture(scope="module")
def forked_cli() -> Iterator[ForkedCli]:
    """The process that starts all others."""
    with ForkedCli() as forked_cli:
        yield forked_cli


@pytest.fixture
def project(cloud: LoopbackCloud, forked_cli: ForkedCli, tmp_path: Path) -> Iterator[VertexProject]:
    """A project with a good version that passed its gate and serves."""
    with open_project(cloud, forked_cli, tmp_path) as project:
        project.declare(dataset=SYSTEM, evaluation=GATE, hyperparameters={"epochCount": 2})
        project.write_dataset({q: f"a{q}" for q in QUESTIONS}, "tone.eval.jsonl")
        write_answers(project, "a")
        code, output = project.run("apply", "--yes")
        assert code == 0, output
        assert "its gate passed: exactMatch 1.000" in output
        yield project
        assert cloud.violations == []


def write_answers(project: VertexProject, letter: str, count: int = 20) -> None:
    """Write a dataset whose answers begin with a letter; the gate expects the letter a."""
    project.write_dataset({q: f"{letter}{q}" for q in [*QUESTIONS, "more", "and more"][:count]})


def status(project: VertexProject) -> dict[str, Any]:
    """The model in the output of `status`."""
    code, output = project.run("status", "--format", "json")
    assert code == 0, output
    (model,) = json.loads(output)["models"]
    return dict(model)


def serving(project: VertexProject) -> str:
    """The serving version, or an empty string."""
    return str(status(project)["serving"] or "")


def outputs(project: VertexProject) -> str:
    code, output = project.run("outputs")
    assert code == 0, output
    return output


def test_a_rejected_version_never_serves_and_is_deleted_with_its_endpoints(
    project: VertexProject, cloud: LoopbackCloud
) -> None:
    before, good = outputs(project), serving(project)
    assert '"costUsd": null' in project.run("show", "tone", "--card", "json")[1], (
        "the service does not report the cost"
    )
    (model,) = cloud.registry.models.values()
    document, endpoints = dict(model.versions["1"]), set(cloud.registry.endpoints)
    write_answers(project, "b")
    code, output = project.run("apply", "--yes")
    assert code == 5, output
    assert "its gate refused it: exactMatch 0.000" in output
    assert (outputs(project), serving(project)) == (before, good)
    assert model.versions["1"] == document, "the serving version is unchanged"

    (bad,) = [other for other in cloud.registry.models.values() if other is not model]
    _, stamp = stamps.parse_description(bad.versions["1"]["description"])
    assert stamp
    assert stamp.is_rejected
    assert stamp.score == "exactMatch:0.000"
    evaluation_requests, created = (
        cloud.request_count(ASK),
        cloud.request_count("tuningJobs.create"),
    )
    patched = cloud.request_count("models.patch")
    code, output = project.run("apply", "--yes")
    assert code == 5, output
    assert "its gate refused it" in output
    assert cloud.request_count(ASK) == evaluation_requests, (
        "the result in its stamp is not evaluated again"
    )
    assert (cloud.request_count("tuningJobs.create"), cloud.request_count("models.patch")) == (
        created,
        patched,
    )

    write_answers(project, "a")
    code, output = project.run("apply", "--yes")
    assert code == 0, output
    assert list(cloud.registry.models.values()) == [model]
    assert set(cloud.registry.endpoints) == endpoints
    assert (outputs(project), serving(project)) == (before, good)
    assert project.run("plan", "--detailed-exitcode")[0] == 0
    assert len(cloud.jobs.jobs) == 2


def test_a_manual_promotion_overrides_the_gate_and_a_revert_needs_no_job(
    project: VertexProject, cloud: LoopbackCloud
) -> None:
    good = serving(project)
    write_answers(project, "b")
    assert project.run("apply", "--yes")[0] == 5
    (bad,) = {version["id"] for version in status(project)["versions"]} - {good}
    code, output = project.run("promote", "tone", bad)
    assert code == 0, output
    assert serving(project) == bad
    assert project.run("apply", "--yes")[0] == 0, "the manual promotion is kept"
    assert serving(project) == bad
    write_answers(project, "a")
    evaluation_requests = cloud.request_count(ASK)
    code, output = project.run("apply", "--yes")
    assert code == 0, output
    assert serving(project) == good
    assert cloud.request_count(ASK) == evaluation_requests, (
        "a version that has served is not evaluated again"
    )
    assert len(cloud.jobs.jobs) == 2


def test_a_baseline_with_a_system_instruction_is_not_evaluated_without_it(
    project: VertexProject,
) -> None:
    """All its answers would be wrong, so that no version would be worse."""
    shutil.rmtree(project.directory / "manifests/.tunedmodels/evaluations")  # on another machine
    project.declare(
        dataset={**SYSTEM, "preambleAs": "input"},
        evaluation=GATE,
        hyperparameters={"epochCount": 2},
    )
    code, output = project.run("apply", "--yes")
    assert code == 5, output
    assert "trained with another preamble" in output


# fmt: off
BAD = [  #           method           n-th    is executed
    pytest.param("models.patch",      1,  False, id="before the result was written"),
    pytest.param("models.patch",      1,  True,  id="after the result was written"),
]
GOOD = [
    pytest.param("models.patch",      1,  False, id="before it was promoted"),
    pytest.param("models.patch",      1,  True,  id="after it was promoted"),
    pytest.param("endpoints.delete",  1,  True,  id="while the former version was deleted"),
]
# fmt: on


@pytest.mark.parametrize(("name", "occurrence", "is_done"), BAD)
def test_a_kill_during_the_gate_of_a_bad_version_leaves_the_good_one_unchanged(
    project: VertexProject, cloud: LoopbackCloud, name: str, occurrence: int, *, is_done: bool
) -> None:
    before = outputs(project)
    write_answers(project, "b")
    project.kill(name, occurrence, is_done=is_done)
    assert outputs(project) == before
    assert project.run("apply", "--yes")[0] == 5
    assert outputs(project) == before
    assert len(cloud.jobs.jobs) == 2


@pytest.mark.parametrize(("name", "occurrence", "is_done"), GOOD)
def test_a_kill_during_a_promotion_never_leaves_the_name_without_a_version(
    project: VertexProject, cloud: LoopbackCloud, name: str, occurrence: int, *, is_done: bool
) -> None:
    former = serving(project)
    project.declare(
        dataset=SYSTEM,
        evaluation=GATE,
        hyperparameters={"epochCount": 2},
        lifecycle={"keep": 0},
    )
    write_answers(project, "a", 22)
    project.kill(name, occurrence, is_done=is_done)
    assert serving(project)
    code, output = project.run("apply", "--yes")
    assert code == 0, output
    assert serving(project) not in ("", former)
    assert (len(cloud.jobs.jobs), len(cloud.registry.models)) == (2, 1)
    assert project.run("plan", "--detailed-exitcode")[0] == 0
