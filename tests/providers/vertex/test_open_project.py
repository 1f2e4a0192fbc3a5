"""A project with an open model, from `plan` to `destroy`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forked_cli import ForkedCli
from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.project_dir import VertexProject, open_project

BASE = "qwen/qwen3@qwen3-32b"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[VertexProject]:
    cloud = LoopbackCloud()
    cloud.buckets.create_bucket("data")
    cloud.seconds_per_request = 200
    with ForkedCli() as forked_cli, open_project(cloud, forked_cli, tmp_path) as project:
        yield project


def test_an_open_model_is_planned_tuned_and_destroyed(project: VertexProject) -> None:
    parameters = {"epochCount": 3, "learningRate": 0.0002}
    project.declare(baseModel=BASE, hyperparameters=parameters)
    code, output = project.run("validate")
    assert code == 1
    assert "spec.tuningMode: is missing" in output

    project.declare(baseModel=BASE, tuningMode="peft", hyperparameters=parameters)
    code, output = project.run("plan")
    assert code == 0, output
    assert "only after you deploy it; `tunedmodels outputs` prints how" in output
    assert "$6.57 per 1M" in output

    code, output = project.run("apply", "--yes")
    assert code == 0, output
    assert project.cloud.jobs.jobs[0].spec["tuningMode"] == "TUNING_MODE_PEFT_ADAPTER"
    code, output = project.run("plan", "--detailed-exitcode")
    assert code == 0, output

    code, output = project.run("outputs", "--format", "json")
    assert code == 0, output
    serving = json.loads(output)["tone"]
    assert serving["model"].startswith("gs://data/tunedmodels/outputs/")
    assert serving["deployCommand"].startswith("gcloud ai model-garden models deploy --model=gs://")
    code, output = project.run("generate", "tone", "q1")
    assert code == 1
    assert "does not serve until it is deployed" in output

    code, output = project.run("destroy", "--yes")
    assert code == 0, output
    names = [name for _, name in project.cloud.buckets.objects]
    assert not [name for name in names if "/outputs/" in name or "/records/" in name]
    assert project.cloud.violations == []


def test_a_validation_file_is_at_most_a_quarter_of_the_training_file(
    project: VertexProject,
) -> None:
    project.write_dataset({f"v{n}": f"a{n}" for n in range(12)}, "held-out.jsonl")
    project.declare(baseModel=BASE, tuningMode="peft", validation={"path": "held-out.jsonl"})
    code, output = project.run("validate")
    assert code == 1
    assert "at most 25 % of the" in output
