"""An apply that is killed at any request, followed by another one: one job per fingerprint.

Vertex AI assigns the ids of jobs, so that it would execute a repeated create.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forked_cli import ForkedCli
from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.faults import Fault
from tests.support.vertex.project_dir import VertexProject, open_project


def assert_applied_with_one_job(project: VertexProject) -> None:
    """An apply succeeds, and there is one job."""
    code, output = project.run("apply", "--yes")
    assert code == 0, output
    assert len(project.cloud.jobs.jobs) == 1
    assert project.cloud.violations == []


@pytest.fixture
def cloud() -> LoopbackCloud:
    """A cloud in which each request takes minutes."""
    cloud = LoopbackCloud()
    cloud.buckets.create_bucket("data")
    cloud.seconds_per_request = 200
    return cloud


@pytest.fixture(scope="module")
def forked_cli() -> Iterator[ForkedCli]:
    """The process that starts all others."""
    with ForkedCli() as forked_cli:
        yield forked_cli


@pytest.fixture
def project(cloud: LoopbackCloud, forked_cli: ForkedCli, tmp_path: Path) -> Iterator[VertexProject]:
    """A project with one model that is not applied yet."""
    with open_project(cloud, forked_cli, tmp_path) as project:
        yield project


# fmt: off
POINTS = [  # method                  n-th request
    pytest.param("tuningJobs.list",   1,  id="the jobs were listed for the plan"),
    pytest.param("objects.insert",    1,  id="the first object was written"),
    pytest.param("objects.insert",    2,  id="the second object was written"),
    pytest.param("tuningJobs.list",   3,  id="the labels were searched"),
    pytest.param("tuningJobs.create", 1,  id="the job was created"),
    pytest.param("tuningJobs.get",    1,  id="the job was read"),
    pytest.param("tuningJobs.list",   5,  id="the job was polled"),
    pytest.param("models.patch",      1,  id="the model was promoted"),
    pytest.param("objects.delete",    1,  id="the lock was released"),
]
# fmt: on


@pytest.mark.parametrize(("name", "occurrence"), POINTS)
def test_a_kill_after_any_request_and_an_apply_end_with_one_job(
    project: VertexProject, name: str, occurrence: int
) -> None:
    project.kill(name, occurrence, is_done=True)
    assert_applied_with_one_job(project)


def test_a_kill_before_the_create_is_executed_and_an_apply_end_with_one_job(
    project: VertexProject,
) -> None:
    project.kill("tuningJobs.create", 1, is_done=False)
    assert project.cloud.jobs.jobs == []
    assert_applied_with_one_job(project)
    code, output = project.wait(project.start("plan", "--detailed-exitcode"))
    assert code == 0, output


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.FAILED_AFTER, Fault.TRUNCATED])
def test_a_create_with_a_lost_response_starts_one_job(project: VertexProject, fault: Fault) -> None:
    project.cloud.faults.add(fault, "tuningJobs.create")
    project.cloud.jobs.list_lag = 2
    assert_applied_with_one_job(project)
    assert project.cloud.request_count("tuningJobs.create") == 1


def test_two_simultaneous_applies_start_one_job(project: VertexProject) -> None:
    results = [project.wait(pid) for pid in [project.start("apply", "--yes") for _ in range(2)]]
    assert 0 in [code for code, _ in results], results
    assert all("Traceback" not in output for _, output in results)
    assert_applied_with_one_job(project)


def test_a_job_that_is_listed_late_is_waited_for(project: VertexProject) -> None:
    project.cloud.jobs.list_lag = 6
    assert_applied_with_one_job(project)


def test_a_job_that_is_listed_late_is_not_started_again_after_a_kill(
    project: VertexProject,
) -> None:
    project.cloud.jobs.list_lag = 6
    project.kill("tuningJobs.create", 1, is_done=True)
    project.wait(project.start("apply", "--yes"))
    assert len(project.cloud.jobs.jobs) == 1
    assert_applied_with_one_job(project)


@pytest.mark.parametrize("list_lag", [3, 1000])
def test_a_plan_and_an_apply_find_a_job_that_the_list_does_not_show(
    project: VertexProject, list_lag: int
) -> None:
    project.cloud.jobs.list_lag = list_lag
    project.kill("tuningJobs.get", 1, is_done=True)
    assert len(project.cloud.jobs.jobs) == 1
    code, output = project.run("plan")
    assert code == 0, output
    assert "to create" not in output
    assert "outside" not in output
    assert_applied_with_one_job(project)
