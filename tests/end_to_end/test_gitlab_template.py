"""The GitLab template and the pre-commit hook, run as in GitLab's shell and by pre-commit."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.fakes.forges import FORGES, TOKEN, ForgeState, listening
from tests.support.paths import ROOT
from tests.support.project_dir import ProjectDir
from tunedmodels.forges.plan_comment import APPLIED_LEVEL, STALE_LEVEL, Marker


@pytest.fixture
def gitlab(project_dir: ProjectDir) -> Iterator[tuple[ForgeState, dict[str, str]]]:
    forge = ForgeState(merged={"abc": 7})
    with listening(FORGES["gitlab"](forge)) as address:
        yield (
            forge,
            project_dir.environ()
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
    """Run the script of a job, and its after_script in another shell."""
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


def test_a_merge_request_is_planned_and_its_plan_is_applied(
    project_dir: ProjectDir, gitlab: tuple[ForgeState, dict[str, str]]
) -> None:
    forge, environ = gitlab
    planned = job("tunedmodels-plan", project_dir.folder, environ | {"CI_MERGE_REQUEST_IID": "7"})
    assert planned.returncode == 0, planned.stdout
    drifted = job("tunedmodels-drift", project_dir.folder, environ)
    assert drifted.returncode == 2
    applied = job("tunedmodels-apply", project_dir.folder, environ)
    assert applied.returncode == 0, applied.stdout
    assert project_dir.status()["serving"]
    assert "· applied\n" in forge.bodies()[0]
    project_dir.remove("events.jsonl")  # GitLab starts every job with a clean checkout
    refused = job("tunedmodels-apply", project_dir.folder, environ)
    assert refused.returncode == 4, "it was applied already"
    (body,) = forge.bodies()
    marker = Marker.parse(body)
    assert marker
    assert marker.level == APPLIED_LEVEL, "the result of the apply is kept"
    assert TOKEN not in planned.stdout + applied.stdout + refused.stdout


def test_a_stale_plan_is_marked_and_a_refused_version_is_reported(
    project_dir: ProjectDir, gitlab: tuple[ForgeState, dict[str, str]]
) -> None:
    forge, environ = gitlab
    review = environ | {"CI_MERGE_REQUEST_IID": "7"}
    assert job("tunedmodels-plan", project_dir.folder, review).returncode == 0
    project_dir.dataset(times=7)
    assert job("tunedmodels-apply", project_dir.folder, environ).returncode == 4
    marker = Marker.parse(forge.bodies()[0])
    assert marker
    assert marker.level == STALE_LEVEL
    project_dir.declare_failing_gate()
    assert job("tunedmodels-plan", project_dir.folder, review).returncode == 0
    rejected = job("tunedmodels-apply", project_dir.folder, environ)
    assert rejected.returncode == 5, rejected.stdout
    assert "A version did not pass its gate." in rejected.stdout
    assert "· 0 of 1 done, 1 not promoted\n" in forge.bodies()[0]
    assert "exactMatch 0.000" in forge.bodies()[0]


def test_the_pre_commit_hook_rejects_a_commit_with_an_error(project_dir: ProjectDir) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    program, *arguments = shlex.split(hook["entry"])
    assert (program, hook["pass_filenames"]) == ("tunedmodels", False)
    assert project_dir.run(*arguments).code == 0
    project_dir.dataset(tail="no json\n")
    assert project_dir.run(*arguments).code == 1
