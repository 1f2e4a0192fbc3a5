"""The GitHub action, run as in a workflow: real git, real processes and a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.fakes.forges import FORGES, TOKEN, ForgeState, listening
from tests.support.fakes.runner import ActionResult, ActionRunner
from tests.support.paths import ROOT
from tests.support.project_dir import ProjectDir
from tunedmodels.forges.plan_comment import Marker

ACTION = ROOT / "action.yml"


@dataclass(frozen=True)
class Repository:
    """A git repository with a project in it, its pull requests, and its workflows."""

    folder: ProjectDir
    forge: ForgeState
    temp: Path
    address: str

    def git(self, *arguments: str) -> str:
        """Run git with a fixed author."""
        author = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.test"}
        author |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.test"}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder.folder,
            env=self.folder.environ() | author | {"GIT_CONFIG_GLOBAL": "/dev/null"},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def branch(self, name: str) -> None:
        """Create a branch at main."""
        self.git("switch", "--quiet", "--create", name, "main")

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def merge(self, name: str, number: int) -> None:
        """Merge a pull request into main with a merge commit."""
        self.git("switch", "--quiet", "main")
        self.git("merge", "--quiet", "--no-ff", "--message", f"Merge {name}", name)
        self.forge.merged[self.git("rev-parse", "HEAD")] = number

    def on_pull_request(self, number: int, **inputs: str) -> ActionResult:
        """Run the action in a workflow on `pull_request`."""
        head, base = self.git("rev-parse", "HEAD"), self.git("rev-parse", "main")
        pull = {"number": number, "head": {"sha": head}, "base": {"ref": "main", "sha": base}}
        event = self.temp / "event.json"
        event.write_text(json.dumps({"pull_request": pull}))
        environ = {
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_REF": f"refs/pull/{number}/merge",
            "GITHUB_EVENT_PATH": str(event),
        }
        return self._run(environ, inputs)

    def on_push(self, **inputs: str) -> ActionResult:
        """Run the action in a workflow on `push` to main."""
        environ = {"GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/main"}
        return self._run(environ, inputs)

    def _run(self, environ: dict[str, str], inputs: dict[str, str]) -> ActionResult:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        given = {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.address,
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_SHA": self.git("rev-parse", "HEAD"),
            "TOKEN_OF_THE_JOB": TOKEN,
            "PATH": path,
        }
        runner = ActionRunner(
            ACTION, self.folder.folder, self.temp, self.folder.environ() | given | environ
        )
        ran = runner.run(install="no", **inputs)
        assert TOKEN not in ran.log + ran.summary
        assert "Traceback" not in ran.log
        return ran

    def digest(self, number: int) -> str:
        """Return the digest in the only comment of a pull request."""
        (body,) = self.forge.bodies(number)
        marker = Marker.parse(body)
        assert marker
        return marker.digest


@pytest.fixture
def repository(
    project_dir: ProjectDir, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Repository]:
    forge = ForgeState(pull_requests={1: [], 2: []})
    with listening(FORGES["github"](forge)) as address:
        github = Repository(project_dir, forge, tmp_path_factory.mktemp("runner"), address)
        github.git("init", "--quiet", "--initial-branch=main")
        project_dir.write(".gitignore", ".tunedmodels/\n")
        github.commit("Begin")
        yield github


def test_an_approved_plan_is_applied_and_a_plan_that_it_made_stale_is_refused(
    repository: Repository,
) -> None:
    assert repository.folder.run("apply", "--yes").code == 0
    served = repository.folder.status()["serving"]

    repository.branch("more-data")
    repository.folder.dataset(times=7)
    repository.commit("Teach it more")
    planned = repository.on_pull_request(1)
    assert planned.code == 0, planned.log
    assert planned.outputs["pending"] == "true"
    assert planned.outputs["digest"] == repository.digest(1)
    assert "to replace" in planned.summary

    repository.branch("longer")
    repository.folder.model(hyperparameters={"epochCount": 7})
    repository.commit("Train it longer")
    assert repository.on_pull_request(2).code == 0
    second_plan = repository.temp / "second.json"
    second_plan.write_text((repository.temp / "tunedmodels-plan.json").read_text())

    repository.merge("more-data", 1)
    applied = repository.on_push(command="apply", digest="approved")
    assert applied.code == 0, applied.log
    assert "serv" in applied.summary
    assert "### tunedmodels · demo (manifests) · applied\n" in repository.forge.bodies(1)[0]
    newer = repository.folder.status()["serving"]
    assert newer != served

    repository.merge("longer", 2)
    refused = repository.on_push(command="apply", digest="approved")
    assert refused.code == 4, refused.log
    assert "The plan is stale" in refused.log
    assert "::error title=tunedmodels::The approved plan is stale." in refused.log
    assert repository.folder.status()["serving"] == newer
    assert "stale" in repository.forge.bodies(2)[0]
    by_file = repository.folder.run("apply", str(second_plan))
    assert by_file.code == 4
    assert "tone: the dataset data/tone.jsonl changed" in by_file.err
    again = repository.on_push(command="apply", digest="approved")
    assert (again.code, "marked as stale" in again.log) == (4, True)


def test_another_push_edits_the_comment_and_a_push_with_errors_marks_it_as_stale(
    repository: Repository,
) -> None:
    repository.branch("work")
    assert repository.on_pull_request(1).code == 0
    first = repository.digest(1)
    repository.folder.dataset(times=7)
    repository.commit("More")
    assert repository.on_pull_request(1).code == 0
    assert repository.digest(1) != first
    repository.folder.dataset(tail="no json\n")
    repository.commit("Break it")
    broken = repository.on_pull_request(1)
    assert broken.code == 1
    assert "::error file=manifests/data/tone.jsonl,line=25" in broken.log
    (body,) = repository.forge.bodies(1)
    assert "stale" in body


def test_drift_fails_only_with_drift_and_shows_it_in_the_summary(repository: Repository) -> None:
    drifted = repository.on_push(command="drift")
    assert drifted.code == 2
    assert "::error title=tunedmodels::The live models differ from the manifests." in drifted.log
    assert "to create" in drifted.summary
    assert repository.folder.run("apply", "--yes").code == 0
    assert repository.on_push(command="drift").code == 0
    assert repository.forge.requests == []


def test_a_refused_plan_is_shown_and_its_option_allows_it(repository: Repository) -> None:
    repository.folder.model("other")
    repository.folder.dataset("other")
    assert repository.folder.run("apply", "--yes").code == 0
    (repository.folder.folder / "manifests/tone.yaml").unlink()
    refused = repository.on_pull_request(1)
    assert refused.code == 4
    assert "--allow-delete 1" in repository.forge.bodies(1)[0]
    allowed = repository.on_pull_request(1, arguments="--allow-delete 1")
    assert (allowed.code, allowed.outputs["pending"]) == (0, "true")


def test_a_refused_version_fails_the_job_and_the_comment_shows_its_score(
    repository: Repository,
) -> None:
    assert repository.folder.run("apply", "--yes").code == 0
    repository.branch("strict")
    repository.folder.declare_failing_gate()
    repository.folder.dataset(times=7)
    repository.commit("Ask for more")
    planned = repository.on_pull_request(1)
    assert planned.code == 0, planned.log
    repository.merge("strict", 1)
    served = repository.folder.status()["serving"]
    rejected = repository.on_push(command="apply", digest="approved")
    assert rejected.code == 5, rejected.log
    assert "::error title=tunedmodels::A version did not pass its gate." in rejected.log
    assert repository.folder.status()["serving"] == served
    (body,) = repository.forge.bodies(1)
    assert "0 of 1 done, 1 not promoted" in body
    assert "exactMatch 0.000" in body
    assert "said 3" not in body, "no text of an example"

    again = repository.on_push(command="apply", digest="approved")
    assert again.code == 4
    assert repository.forge.bodies(1) == [body], "the result of the apply is kept"


def test_running_jobs_are_reported(repository: Repository) -> None:
    repository.branch("work")
    assert repository.on_pull_request(1).code == 0
    repository.merge("work", 1)
    inputs = {"command": "apply", "digest": repository.digest(1), "arguments": "--no-wait"}
    left = repository.on_push(**inputs)
    assert left.code == 3, left.log
    assert "::error title=tunedmodels::Jobs are still running." in left.log
    (body,) = repository.forge.bodies(1)
    assert "0 of 1 done, 1 still running" in body

    repository.branch("later")
    assert repository.on_pull_request(2).code == 0
    repository.merge("later", 2)
    waited = repository.on_push(command="apply", digest=repository.digest(2), comment="false")
    assert waited.code == 0, waited.log
    assert repository.folder.status()["serving"]
    assert "· applied\n" not in repository.forge.bodies(2)[0], "comments are disabled"


@pytest.mark.parametrize("digest", ["", "$(touch owned)"])
def test_nothing_is_applied_without_a_digest(repository: Repository, digest: str) -> None:
    ended = repository.on_push(command="apply", digest=digest)
    assert ended.code == 1
    assert "No approved digest (sha256:... or approved): nothing is applied." in ended.log
    assert not (repository.folder.folder / "owned").exists()


def test_without_a_comment_no_plan_is_approved(repository: Repository) -> None:
    repository.forge.merged[repository.git("rev-parse", "HEAD")] = 1
    ended = repository.on_push(command="apply", digest="approved")
    assert ended.code == 4
    assert "nothing was approved" in ended.log
    assert repository.folder.status()["versions"] == []


def test_text_of_a_plan_is_not_a_command_to_the_runner(repository: Repository) -> None:
    text = "word " * 19 + "::set-output name=x::y"
    repository.folder.model(description=text, displayName="::add-mask::e")
    ran = repository.on_pull_request(1)
    before, _, rest = ran.log.partition("::stop-commands::")
    token, _, quoted = rest.partition("\n")
    inside, found, _ = quoted.partition(f"\n::{token}::\n")
    assert found
    assert "Plan:" in inside
    assert len(token) == 32
    assert "Plan:" not in before
