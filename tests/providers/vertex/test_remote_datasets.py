"""Datasets in Cloud Storage: read by what stands in them, from a copy of one generation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.vertex.client import examples, turn
from tests.support.vertex.cloud import PROJECT, Cloud
from tests.support.vertex.service import loopback
from tunedmodels.cli.main import run

URI = "gs://data/train.jsonl"  # which the cloud has


class Desk:
    """A project whose dataset is an object, in front of a loopback cloud."""

    def __init__(self, folder: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        eu = {"type": "vertex", "project": PROJECT, "location": "us-central1", "bucket": "data"}
        self.eu = {**eu, "endpoint": url, "storageEndpoint": url}
        self.write("eu", URI)

    def write(self, provider: str, uri: str, **spec: Any) -> None:
        head = {"apiVersion": "tunedmodels.dev/v1"}
        project = {"provider": provider, "providers": {"eu": self.eu}}
        model = {"baseModel": "models/gemini-3.5-flash", "dataset": {"path": uri}, **spec}
        for name, kind, values in (
            ("demo", "Project", project),
            ("tone", "TunedModel", model),
        ):
            document = {**head, "kind": kind, "metadata": {"name": name}, "spec": values}
            (self.folder / f"{kind}.yaml").write_text(json.dumps(document))

    def says(self, *arguments: str) -> tuple[int, str]:
        code = run(["-C", str(self.folder), *arguments])
        said = self.capsys.readouterr()
        return code, said.out + said.err


@pytest.fixture
def desk(
    cloud: Cloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", cloud.identity.issue())
    with loopback(cloud) as url:
        yield Desk(tmp_path, url, capsys)


def plan(desk: Desk) -> dict[str, Any]:
    code, said = desk.says("plan", "--format", "json")
    assert code == 0, said
    (change,) = json.loads(said[said.index("{") :])["changes"]
    return dict(change)


def test_validate_is_offline_and_says_what_it_did_not_read(desk: Desk, cloud: Cloud) -> None:
    code, said = desk.says("validate")
    assert code == 0
    assert "lies in Cloud Storage and was not read" in said
    assert cloud.seen == []


def test_a_plan_reads_the_object_and_the_next_one_its_copy(desk: Desk, cloud: Cloud) -> None:
    first = plan(desk)
    assert first["after"]["examples"] == 20
    assert plan(desk)["after"] == first["after"]
    downloads = [seen for seen in cloud.seen if seen.query.get("alt") == "media"]
    assert len(downloads) == 1
    code, said = desk.says("validate")
    assert (code, "was not read" in said) == (0, False)


def test_the_same_examples_are_the_same_dataset_wherever_they_lie(desk: Desk, cloud: Cloud) -> None:
    first = plan(desk)
    cloud.buckets.put("data", "train.jsonl", examples())  # written again, as it was
    assert plan(desk)["after"] == first["after"]
    rows = [{"text_input": f"q{n}", "output": f"a{n}"} for n in range(20)]
    (desk.folder / "local.jsonl").write_text("\n".join(map(json.dumps, rows)))
    desk.write("eu", "local.jsonl")
    assert plan(desk)["after"]["fingerprint"] == first["after"]["fingerprint"]


def test_other_examples_under_the_same_path_are_another_version(desk: Desk, cloud: Cloud) -> None:
    first = plan(desk)
    cloud.buckets.put("data", "train.jsonl", examples(21))
    assert plan(desk)["after"]["fingerprint"] != first["after"]["fingerprint"]


def test_what_changed_after_it_was_approved_is_not_applied(desk: Desk, cloud: Cloud) -> None:
    file = str(desk.folder / "plan.out")
    assert desk.says("plan", "--out", file)[0] == 0
    cloud.buckets.put("data", "train.jsonl", examples(21))
    code, said = desk.says("apply", file)
    assert code == 4, said
    assert cloud.jobs.jobs == []


def test_an_object_that_is_not_there_is_told_at_plan(desk: Desk) -> None:
    desk.write("eu", "gs://data/nothing.jsonl")
    code, said = desk.says("plan")
    assert code == 1
    assert "gs://data/nothing.jsonl does not exist" in said


def test_only_vertex_reads_cloud_storage(desk: Desk) -> None:
    desk.write("embedded", URI, baseModel="models/embedded-text-001")
    code, said = desk.says("validate")
    assert code == 1
    assert "a provider of type embedded does not read" in said


def test_mistakes_in_the_object_have_their_line(desk: Desk, cloud: Cloud) -> None:
    broken = {"contents": [turn("user", "q"), turn("model", "")]}
    cloud.buckets.put("data", "train.jsonl", examples() + b"\n" + json.dumps(broken).encode())
    code, said = desk.says("plan")
    assert code == 1
    assert f"{URI}:21" in said
