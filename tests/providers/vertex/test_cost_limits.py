"""The cost limit of a plan applies to every way of applying it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forked_cli import ForkedCli
from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.project_dir import VertexProject, open_project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[VertexProject]:
    cloud = LoopbackCloud()
    cloud.buckets.create_bucket("data")
    with ForkedCli() as forked_cli, open_project(cloud, forked_cli, tmp_path) as project:
        yield project


def set_cost_limit(project: VertexProject, usd: float) -> None:
    """Set spec.policy.maxCostUsd of the project."""
    manifest = json.loads(
        (project.directory / "manifests/tunedmodels.yaml").read_text(encoding="utf-8")
    )
    manifest["spec"]["policy"] = {"maxCostUsd": usd}
    project.write("tunedmodels.yaml", json.dumps(manifest))


def test_the_limit_applies_to_a_plan_file_a_digest_and_yes(project: VertexProject) -> None:
    project.declare(hyperparameters={"epochCount": 3})
    assert project.run("plan", "--out", "plan.json")[0] == 0
    _, output = project.run("plan", "--format", "json")
    digest = json.loads(output[output.index("{") :])["digest"]
    set_cost_limit(project, 0)
    for approval in (["plan.json"], ["plan.json", "--keep-going"], ["--digest", digest], ["--yes"]):
        code, output = project.run("apply", *approval)
        assert code == 4, output
    assert "limit is $0.00" in output
    assert project.cloud.jobs.jobs == []


def test_an_unknown_cost_exceeds_every_limit(project: VertexProject) -> None:
    set_cost_limit(project, 1_000_000)
    code, output = project.run("apply", "--yes")
    assert code == 4
    assert "the cost of tone is unknown" in output
    assert project.cloud.jobs.jobs == []
