"""A process that is killed at any request, followed by `apply`: one job per fingerprint.

The ids of jobs are Vertex AI's, so nothing else keeps a create from being paid for twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forked_cli import Nursery
from tests.support.vertex.cloud import Cloud
from tests.support.vertex.faults import Fault
from tests.support.vertex.project_dir import Shop, opened


def is_as_declared(shop: Shop) -> None:
    """An apply ends well, and one job was enough."""
    code, said = shop.run("apply", "--yes")
    assert code == 0, said
    assert len(shop.cloud.jobs.jobs) == 1
    assert shop.cloud.violations == []


@pytest.fixture
def cloud() -> Cloud:
    """A cloud in which every request takes minutes."""
    cloud = Cloud()
    cloud.buckets.make("data")
    cloud.pace_s = 200
    return cloud


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Where all processes come from."""
    with Nursery() as nursery:
        yield nursery


@pytest.fixture
def shop(cloud: Cloud, nursery: Nursery, tmp_path: Path) -> Iterator[Shop]:
    """A project with one model, not applied yet."""
    with opened(cloud, nursery, tmp_path) as shop:
        yield shop


# fmt: off
POINTS = [  # method                  its n-th request     what that is
    pytest.param("tuningJobs.list",   1,  id="the jobs were listed for the plan"),
    pytest.param("objects.insert",    1,  id="something was written"),
    pytest.param("objects.insert",    2,  id="something else was written"),
    pytest.param("tuningJobs.list",   3,  id="the labels were searched"),
    pytest.param("tuningJobs.create", 1,  id="the job was created"),
    pytest.param("tuningJobs.get",    1,  id="the job was looked at"),
    pytest.param("tuningJobs.list",   5,  id="it was waited for"),
    pytest.param("models.patch",      1,  id="the model was promoted"),
    pytest.param("objects.delete",    1,  id="the lock was opened"),
]
# fmt: on


@pytest.mark.parametrize(("name", "occurrence"), POINTS)
def test_a_kill_after_any_request_and_an_apply_end_with_one_job(
    shop: Shop, name: str, occurrence: int
) -> None:
    shop.kill(name, occurrence, is_done=True)
    is_as_declared(shop)


def test_a_kill_before_the_create_was_read_and_an_apply_end_with_one_job(shop: Shop) -> None:
    shop.kill("tuningJobs.create", 1, is_done=False)
    assert shop.cloud.jobs.jobs == []
    is_as_declared(shop)
    code, said = shop.end(shop.start("plan", "--detailed-exitcode"))
    assert code == 0, said


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.REFUSED_AFTER, Fault.CUT])
def test_a_create_whose_answer_is_lost_starts_one_job(shop: Shop, fault: Fault) -> None:
    shop.cloud.faults.plan(fault, "tuningJobs.create")
    shop.cloud.jobs.lists_until_shown = 2
    is_as_declared(shop)
    assert shop.cloud.count("tuningJobs.create") == 1


def test_two_applies_at_once_start_one_job(shop: Shop) -> None:
    ended = [shop.end(pid) for pid in [shop.start("apply", "--yes") for _ in range(2)]]
    assert 0 in [code for code, _ in ended], ended
    assert all("Traceback" not in said for _, said in ended)
    is_as_declared(shop)


def test_a_job_that_is_listed_late_is_waited_for(shop: Shop) -> None:
    shop.cloud.jobs.lists_until_shown = 6
    is_as_declared(shop)


def test_a_job_that_is_listed_late_is_not_started_again_after_a_kill(shop: Shop) -> None:
    shop.cloud.jobs.lists_until_shown = 6
    shop.kill("tuningJobs.create", 1, is_done=True)
    shop.end(shop.start("apply", "--yes"))
    assert len(shop.cloud.jobs.jobs) == 1
    is_as_declared(shop)
