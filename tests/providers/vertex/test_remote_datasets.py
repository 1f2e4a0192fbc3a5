"""Datasets in Cloud Storage: their digest is over the examples of a downloaded generation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.vertex.client import examples, turn
from tests.support.vertex.cloud import PROJECT, LoopbackCloud
from tests.support.vertex.service import loopback
from tunedmodels.cli.main import run as run_command

URI = "gs://data/train.jsonl"  # exists in the cloud fixture


class RemoteProject:
    """A project directory with a dataset in a loopback cloud."""

    def __init__(self, folder: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        eu = {"type": "vertex", "project": PROJECT, "location": "us-central1", "bucket": "data"}
        self.eu = {**eu, "endpoint": url, "storageEndpoint": url}
        self.write_manifests("eu", URI)

    def write_manifests(self, provider: str, uri: str, **spec: Any) -> None:
        head = {"apiVersion": "tunedmodels.dev/v1"}
        settings = {"provider": provider, "providers": {"eu": self.eu}}
        model = {"baseModel": "models/gemini-3.5-flash", "dataset": {"path": uri}, **spec}
        for name, kind, values in (
            ("demo", "Project", settings),
            ("tone", "TunedModel", model),
        ):
            document = {**head, "kind": kind, "metadata": {"name": name}, "spec": values}
            (self.folder / f"{kind}.yaml").write_text(json.dumps(document))

    def run(self, *arguments: str) -> tuple[int, str]:
        code = run_command(["-C", str(self.folder), *arguments])
        captured = self.capsys.readouterr()
        return code, captured.out + captured.err


@pytest.fixture
def project(
    cloud: LoopbackCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", cloud.identity.issue())
    with loopback(cloud) as url:
        yield RemoteProject(tmp_path, url, capsys)


def plan(project: RemoteProject) -> dict[str, Any]:
    code, output = project.run("plan", "--format", "json")
    assert code == 0, output
    (change,) = json.loads(output[output.index("{") :])["changes"]
    return dict(change)


def test_validate_is_offline_and_reports_a_dataset_that_it_did_not_read(
    project: RemoteProject, cloud: LoopbackCloud
) -> None:
    code, output = project.run("validate")
    assert code == 0
    assert "is in Cloud Storage and was not read" in output
    assert cloud.requests == []


def test_a_plan_downloads_the_object_and_the_next_one_reads_the_copy(
    project: RemoteProject, cloud: LoopbackCloud
) -> None:
    first = plan(project)
    assert first["after"]["examples"] == 20
    assert plan(project)["after"] == first["after"]
    downloads = [request for request in cloud.requests if request.query.get("alt") == "media"]
    assert len(downloads) == 1
    code, output = project.run("validate")
    assert (code, "was not read" in output) == (0, False)


def test_the_same_examples_are_the_same_dataset_in_every_location(
    project: RemoteProject, cloud: LoopbackCloud
) -> None:
    first = plan(project)
    cloud.buckets.put("data", "train.jsonl", examples())  # the same content
    assert plan(project)["after"] == first["after"]
    rows = [{"text_input": f"q{n}", "output": f"a{n}"} for n in range(20)]
    (project.folder / "local.jsonl").write_text("\n".join(map(json.dumps, rows)))
    project.write_manifests("eu", "local.jsonl")
    assert plan(project)["after"]["fingerprint"] == first["after"]["fingerprint"]


def test_other_examples_with_the_same_path_are_another_version(
    project: RemoteProject, cloud: LoopbackCloud
) -> None:
    first = plan(project)
    cloud.buckets.put("data", "train.jsonl", examples(21))
    assert plan(project)["after"]["fingerprint"] != first["after"]["fingerprint"]


def test_a_dataset_that_changed_after_approval_is_not_applied(
    project: RemoteProject, cloud: LoopbackCloud
) -> None:
    file = str(project.folder / "plan.out")
    assert project.run("plan", "--out", file)[0] == 0
    cloud.buckets.put("data", "train.jsonl", examples(21))
    code, output = project.run("apply", file)
    assert code == 4, output
    assert cloud.jobs.jobs == []


def test_a_missing_object_is_reported_by_plan(project: RemoteProject) -> None:
    project.write_manifests("eu", "gs://data/nothing.jsonl")
    code, output = project.run("plan")
    assert code == 1
    assert "gs://data/nothing.jsonl does not exist" in output


def test_only_vertex_reads_cloud_storage(project: RemoteProject) -> None:
    project.write_manifests("embedded", URI, baseModel="models/embedded-text-001")
    code, output = project.run("validate")
    assert code == 1
    assert "a provider of type embedded does not read" in output


def test_errors_in_the_object_have_a_line(project: RemoteProject, cloud: LoopbackCloud) -> None:
    broken = {"contents": [turn("user", "q"), turn("model", "")]}
    cloud.buckets.put("data", "train.jsonl", examples() + b"\n" + json.dumps(broken).encode())
    code, output = project.run("plan")
    assert code == 1
    assert f"{URI}:21" in output
