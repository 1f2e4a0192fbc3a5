"""The limit of what a plan may cost holds for every way in which a plan comes to be applied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forked_cli import Nursery
from tests.support.vertex.cloud import Cloud
from tests.support.vertex.project_dir import Shop, opened


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    cloud = Cloud()
    cloud.buckets.make("data")
    with Nursery() as nursery, opened(cloud, nursery, tmp_path) as shop:
        yield shop


def limit(shop: Shop, usd: float) -> None:
    """Set spec.policy.maxCostUsd of the project."""
    project = json.loads((shop.folder / "manifests/tunedmodels.yaml").read_text(encoding="utf-8"))
    project["spec"]["policy"] = {"maxCostUsd": usd}
    shop.write("tunedmodels.yaml", json.dumps(project))


def test_neither_a_plan_file_nor_a_digest_nor_yes_goes_beyond_the_limit(shop: Shop) -> None:
    shop.declare(hyperparameters={"epochCount": 3})
    assert shop.run("plan", "--out", "plan.json")[0] == 0
    _, said = shop.run("plan", "--format", "json")
    digest = json.loads(said[said.index("{") :])["digest"]
    limit(shop, 0)
    for approval in (["plan.json"], ["plan.json", "--keep-going"], ["--digest", digest], ["--yes"]):
        code, said = shop.run("apply", *approval)
        assert code == 4, said
    assert "limit is $0.00" in said
    assert shop.cloud.jobs.jobs == []


def test_what_nobody_can_count_is_beyond_every_limit(shop: Shop) -> None:
    limit(shop, 1_000_000)
    code, said = shop.run("apply", "--yes")
    assert code == 4
    assert "what tone would cost is unknown" in said
    assert shop.cloud.jobs.jobs == []
