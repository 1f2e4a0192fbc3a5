"""The GitLab template and the pre-commit hook, run as GitLab's shell and pre-commit run them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.fakes.forges import FORGES, TOKEN, Desk, listening
from tests.support.paths import ROOT
from tests.support.project_dir import Desk as Folder
from tunedmodels.forges.plan_comment import APPLIED, STALE, read_marker


@pytest.fixture
def gitlab(desk: Folder) -> Iterator[tuple[Desk, dict[str, str]]]:
    forge = Desk(merged={"abc": 7})
    with listening(FORGES["gitlab"](forge)) as address:
        yield (
            forge,
            desk.environ()
            | {
                "CI": "true",
                "GITLAB_CI": "true",
                "CI_API_V4_URL": f"{address}/api/v4",
                "CI_PROJECT_ID": "42",
                "CI_COMMIT_SHA": "abc",
                "GITLAB_TOKEN": TOKEN,
                "TUNEDMODELS_ENV": "",
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            },
        )


def job(name: str, folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the script of a job, and what comes after it in a shell of its own."""
    template = yaml.safe_load((ROOT / "docs/ci/gitlab-ci.yml").read_text(encoding="utf-8"))

    def shell(lines: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "\n".join(lines)],
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )

    done = shell(template[name]["script"])
    after = shell(template[name].get("after_script", []))
    assert after.returncode == 0, after.stdout
    done.stdout += after.stdout
    return done


def test_a_merge_request_is_planned_and_what_it_showed_is_applied(
    desk: Folder, gitlab: tuple[Desk, dict[str, str]]
) -> None:
    forge, environ = gitlab
    planned = job("tunedmodels-plan", desk.folder, environ | {"CI_MERGE_REQUEST_IID": "7"})
    assert planned.returncode == 0, planned.stdout
    drifted = job("tunedmodels-drift", desk.folder, environ)
    assert drifted.returncode == 2
    applied = job("tunedmodels-apply", desk.folder, environ)
    assert applied.returncode == 0, applied.stdout
    assert desk.status()["serving"]
    assert "· applied\n" in forge.bodies()[0]
    desk.remove("events.jsonl")  # GitLab begins every job with a clean checkout
    refused = job("tunedmodels-apply", desk.folder, environ)
    assert refused.returncode == 4, "it was applied already"
    (body,) = forge.bodies()
    marker = read_marker(body)
    assert marker
    assert marker.level == APPLIED, "what was done stays done"
    assert TOKEN not in planned.stdout + applied.stdout + refused.stdout


def test_a_plan_that_moved_meanwhile_is_marked_and_one_that_its_gate_refuses_says_so(
    desk: Folder, gitlab: tuple[Desk, dict[str, str]]
) -> None:
    forge, environ = gitlab
    review = environ | {"CI_MERGE_REQUEST_IID": "7"}
    assert job("tunedmodels-plan", desk.folder, review).returncode == 0
    desk.dataset(times=7)
    assert job("tunedmodels-apply", desk.folder, environ).returncode == 4
    marker = read_marker(forge.bodies()[0])
    assert marker
    assert marker.level == STALE
    desk.hopeless_gate()
    assert job("tunedmodels-plan", desk.folder, review).returncode == 0
    rejected = job("tunedmodels-apply", desk.folder, environ)
    assert rejected.returncode == 5, rejected.stdout
    assert "A gate kept a version from serving." in rejected.stdout
    assert "· 0 of 1 done, 1 not promoted\n" in forge.bodies()[0]
    assert "exactMatch 0.000" in forge.bodies()[0]


def test_the_pre_commit_hook_stops_a_commit_with_an_error(desk: Folder) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    program, *arguments = shlex.split(hook["entry"])
    assert (program, hook["pass_filenames"]) == ("tunedmodels", False)
    assert desk.run(*arguments).code == 0
    desk.dataset(tail="no json\n")
    assert desk.run(*arguments).code == 1
