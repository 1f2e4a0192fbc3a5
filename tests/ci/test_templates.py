"""CI templates: pinned actions, minimal permissions, and shell code that passes shellcheck."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT

ACTION = ROOT / "action.yml"
OURS = sorted((ROOT / ".github/workflows").glob("*.yml"))
EXAMPLES = sorted((ROOT / "docs/ci/workflows").glob("*.yml"))
GITLAB = ROOT / "docs/ci/gitlab-ci.yml"
USES = re.compile(r"uses: (?P<what>[^@\s]+)(?:@(?P<commit>\S+))?(?: # (?P<why>.+))?")


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", [*OURS, *EXAMPLES], ids=lambda file: file.name)
def test_an_action_is_pinned_by_its_full_commit_with_its_version_in_a_comment(file: Path) -> None:
    found = list(USES.finditer(file.read_text(encoding="utf-8")))
    assert found
    for use in found:
        if use["what"] == "./":
            continue
        assert re.fullmatch(r"[0-9a-f]{40}", use["commit"]), use["what"]
        assert use["why"]
        if set(use["commit"]) == {"0"}:
            assert (use["what"], file in EXAMPLES) == ("OWNER/tunedmodels", True)
        else:
            assert re.fullmatch(r"v\d+\.\d+\.\d+", use["why"])


@pytest.mark.parametrize("file", [*OURS, *EXAMPLES], ids=lambda file: file.name)
def test_a_workflow_has_no_permissions_and_its_jobs_have_only_those_that_they_need(
    file: Path,
) -> None:
    workflow = read(file)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"].items() <= {("contents", "read"), ("pull-requests", "write")}
        assert job["timeout-minutes"]
    assert "pull_request_target" not in workflow[True], "`on` is YAML 1.1 for true"


def scripts() -> list[Any]:
    steps = read(ACTION)["runs"]["steps"]
    found = [pytest.param(step["run"], id=step["name"]) for step in steps]
    jobs = read(GITLAB)
    named = sorted(name for name in jobs if "script" in jobs[name])
    return found + [pytest.param("\n".join(jobs[name]["script"]), id=name) for name in named]


@pytest.mark.parametrize("script", scripts())
def test_shellcheck_accepts_every_script(script: str) -> None:
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run(
        [shellcheck, "--shell=bash", "-"],
        input=f"set -eo pipefail\n{script}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""


def test_ci_runs_every_python_version_that_the_package_declares() -> None:
    (workflow,) = OURS
    tested = read(workflow)["jobs"]["test"]["strategy"]["matrix"]["python"]
    declared = re.findall(
        r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )
    assert tested == declared


def test_no_document_installs_our_name_from_an_index_where_it_may_belong_to_others() -> None:
    pages = [ROOT / "README.md", ACTION, *(ROOT / "docs").rglob("*.md"), GITLAB, *EXAMPLES]
    lines = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    installs = [line for line in lines if re.search(r"(pipx?|uv)\b.* install\b|TUNEDMODELS:", line)]
    assert len(installs) >= 4
    for line in installs:
        assert not re.search(r"(install|:)\s+['\"]?tunedmodels(\[\w+\])?['\"]?\s*$", line), line
    variable = read(GITLAB)["variables"]["TUNEDMODELS"]
    assert re.fullmatch(r"git\+https://github\.com/OWNER/tunedmodels@0{40}", variable)
