"""A process that is killed at any request, followed by `apply`: one job per fingerprint.

The ids of jobs are Vertex AI's, so nothing else keeps a create from being paid for twice.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.vertex.asking import REGION
from tests.vertex.cloud import PROJECT, Cloud
from tests.vertex.faults import Fault
from tests.vertex.nursery import Nursery
from tests.vertex.service import loopback


@dataclass
class Shop:
    """A project on Vertex AI at a desk, its cloud, and processes that work on it."""

    cloud: Cloud
    nursery: Nursery
    folder: Path
    environ: dict[str, str]

    def start(self, *arguments: str) -> int:
        """Start a command, and return its process id."""
        return self.nursery.start(self.folder, self.environ, *arguments)

    def end(self, pid: int) -> tuple[int, str]:
        """Wait for a command; returns its exit code and what it said."""
        code = self.nursery.wait(pid)
        return code, (self.folder / f"said-{pid}").read_text(encoding="utf-8")

    def kill(self, name: str, occurrence: int, *, is_done: bool) -> None:
        """Kill the process with its n-th request of a method: before it is done, or after."""
        left = [occurrence]

        def watch(passing: str) -> None:
            if passing == name:
                left[0] -= 1
            if passing == name and left[0] == 0:
                if not is_done:
                    self.cloud.faults.plan(Fault.LOST_BEFORE)
                os.kill(self.pid, signal.SIGKILL)

        if is_done:
            self.cloud.faults.after = watch
        else:
            self.cloud.faults.before = watch
        self.pid = self.start("apply", "--yes")
        code, said = self.end(self.pid)
        assert code == -signal.SIGKILL, said
        self.cloud.faults.before = self.cloud.faults.after = lambda _: None

    def is_as_declared(self) -> None:
        """An apply ends well, and one job was enough."""
        code, said = self.end(self.start("apply", "--yes"))
        assert code == 0, said
        assert len(self.cloud.jobs.jobs) == 1
        assert self.cloud.violations == []


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
    with loopback(cloud) as url:
        provider = {
            "type": "vertex",
            "project": PROJECT,
            "location": REGION,
            "bucket": "data",
            "endpoint": url,
            "storageEndpoint": url,
        }
        head = {"apiVersion": "tunedmodels.dev/v1"}
        project = {"provider": "cloud", "providers": {"cloud": provider}}
        model = {"baseModel": "models/gemini-3.5-flash", "dataset": {"path": "tone.jsonl"}}
        folder = tmp_path / "manifests"
        folder.mkdir()
        for file, manifest in {
            "tunedmodels.yaml": {"kind": "Project", "metadata": {"name": "demo"}, "spec": project},
            "tone.yaml": {"kind": "TunedModel", "metadata": {"name": "tone"}, "spec": model},
        }.items():
            (folder / file).write_text(json.dumps(head | manifest), encoding="utf-8")
        rows = [json.dumps({"text_input": f"q{n}", "output": f"a{n}"}) for n in range(24)]
        (folder / "tone.jsonl").write_text("\n".join(rows), encoding="utf-8")
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "NO_COLOR": "1",
            "NO_PROXY": "127.0.0.1",
            "GOOGLE_OAUTH_ACCESS_TOKEN": cloud.identity.issue(),
        }
        yield Shop(cloud, nursery, tmp_path, environ)


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
    shop.is_as_declared()


def test_a_kill_before_the_create_was_read_and_an_apply_end_with_one_job(shop: Shop) -> None:
    shop.kill("tuningJobs.create", 1, is_done=False)
    assert shop.cloud.jobs.jobs == []
    shop.is_as_declared()
    code, said = shop.end(shop.start("plan", "--detailed-exitcode"))
    assert code == 0, said


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.REFUSED_AFTER, Fault.CUT])
def test_a_create_whose_answer_is_lost_starts_one_job(shop: Shop, fault: Fault) -> None:
    shop.cloud.faults.plan(fault, "tuningJobs.create")
    shop.cloud.jobs.lists_until_shown = 2
    shop.is_as_declared()
    assert shop.cloud.count("tuningJobs.create") == 1


def test_two_applies_at_once_start_one_job(shop: Shop) -> None:
    ended = [shop.end(pid) for pid in [shop.start("apply", "--yes") for _ in range(2)]]
    assert 0 in [code for code, _ in ended], ended
    assert all("Traceback" not in said for _, said in ended)
    shop.is_as_declared()


def test_a_job_that_is_listed_late_is_waited_for(shop: Shop) -> None:
    shop.cloud.jobs.lists_until_shown = 6
    shop.is_as_declared()


def test_a_job_that_is_listed_late_is_not_started_again_after_a_kill(shop: Shop) -> None:
    shop.cloud.jobs.lists_until_shown = 6
    shop.kill("tuningJobs.create", 1, is_done=True)
    shop.end(shop.start("apply", "--yes"))
    assert len(shop.cloud.jobs.jobs) == 1
    shop.is_as_declared()
