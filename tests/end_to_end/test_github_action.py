"""The GitHub action, run as workflows run it: real git, real processes, a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.fakes.forges import FORGES, TOKEN, Desk, listening
from tests.support.fakes.runner import Ran, Runner
from tests.support.paths import ROOT
from tests.support.project_dir import Desk as Folder
from tunedmodels.forges.plan_comment import read_marker

ACTION = ROOT / "action.yml"


@dataclass(frozen=True)
class Repository:
    """A git repository with a project in it, its pull requests, and its workflows."""

    folder: Folder
    forge: Desk
    temp: Path
    address: str

    def git(self, *arguments: str) -> str:
        """Run git, as nobody in particular."""
        who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.test"}
        who |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.test"}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder.folder,
            env=self.folder.environ() | who | {"GIT_CONFIG_GLOBAL": "/dev/null"},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def branch(self, name: str) -> None:
        """Begin a branch at main."""
        self.git("switch", "--quiet", "--create", name, "main")

    def commit(self, words: str) -> None:
        """Commit everything."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", words)

    def merge(self, name: str, number: int) -> None:
        """Merge a pull request into main, as its button does."""
        self.git("switch", "--quiet", "main")
        self.git("merge", "--quiet", "--no-ff", "--message", f"Merge {name}", name)
        self.forge.merged[self.git("rev-parse", "HEAD")] = number

    def on_pull_request(self, number: int, **inputs: str) -> Ran:
        """Run the action as a workflow on `pull_request` does."""
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

    def on_push(self, **inputs: str) -> Ran:
        """Run the action as a workflow on `push` to main does."""
        environ = {"GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/main"}
        return self._run(environ, inputs)

    def _run(self, environ: dict[str, str], inputs: dict[str, str]) -> Ran:
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
        runner = Runner(
            ACTION, self.folder.folder, self.temp, self.folder.environ() | given | environ
        )
        ran = runner.run(install="no", **inputs)
        assert TOKEN not in ran.log + ran.summary
        assert "Traceback" not in ran.log
        return ran

    def digest(self, number: int) -> str:
        """The digest that the one comment of a pull request shows."""
        (body,) = self.forge.bodies(number)
        marker = read_marker(body)
        assert marker
        return marker.digest


@pytest.fixture
def here(desk: Folder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    forge = Desk(pulls={1: [], 2: []})
    with listening(FORGES["github"](forge)) as address:
        repository = Repository(desk, forge, tmp_path_factory.mktemp("runner"), address)
        repository.git("init", "--quiet", "--initial-branch=main")
        desk.write(".gitignore", ".tunedmodels/\n")
        repository.commit("Begin")
        yield repository


def test_a_plan_is_read_approved_and_applied_and_what_it_made_stale_is_refused(
    here: Repository,
) -> None:
    assert here.folder.run("apply", "--yes").code == 0
    served = here.folder.status()["serving"]

    here.branch("more-data")
    here.folder.dataset(times=7)
    here.commit("Teach it more")
    planned = here.on_pull_request(1)
    assert planned.code == 0, planned.log
    assert planned.outputs["pending"] == "true"
    assert planned.outputs["digest"] == here.digest(1)
    assert "to replace" in planned.summary

    here.branch("longer")
    here.folder.model(hyperparameters={"epochCount": 7})
    here.commit("Train it longer")
    assert here.on_pull_request(2).code == 0
    second_plan = here.temp / "second.json"
    second_plan.write_text((here.temp / "tunedmodels-plan.json").read_text())

    here.merge("more-data", 1)
    applied = here.on_push(command="apply", digest="approved")
    assert applied.code == 0, applied.log
    assert "serv" in applied.summary
    assert "### tunedmodels · applied\n" in here.forge.bodies(1)[0]
    newer = here.folder.status()["serving"]
    assert newer != served

    here.merge("longer", 2)
    refused = here.on_push(command="apply", digest="approved")
    assert refused.code == 4, refused.log
    assert "The plan is stale" in refused.log
    assert "::error title=tunedmodels::The approved plan no longer holds." in refused.log
    assert here.folder.status()["serving"] == newer
    assert "out of date" in here.forge.bodies(2)[0]
    by_file = here.folder.run("apply", str(second_plan))
    assert by_file.code == 4
    assert "tone: the dataset data/tone.jsonl changed" in by_file.err
    again = here.on_push(command="apply", digest="approved")
    assert (again.code, "marked as out of date" in again.log) == (4, True)


def test_another_push_edits_the_comment_and_one_with_errors_marks_it(here: Repository) -> None:
    here.branch("work")
    assert here.on_pull_request(1).code == 0
    first = here.digest(1)
    here.folder.dataset(times=7)
    here.commit("More")
    assert here.on_pull_request(1).code == 0
    assert here.digest(1) != first
    here.folder.dataset(tail="no json\n")
    here.commit("Break it")
    broken = here.on_pull_request(1)
    assert broken.code == 1
    assert "::error file=manifests/data/tone.jsonl,line=25" in broken.log
    (body,) = here.forge.bodies(1)
    assert "out of date" in body


def test_drift_fails_only_when_there_is_some_and_says_so_in_the_summary(here: Repository) -> None:
    drifted = here.on_push(command="drift")
    assert drifted.code == 2
    assert "::error title=tunedmodels::The live models are not as declared" in drifted.log
    assert "to create" in drifted.summary
    assert here.folder.run("apply", "--yes").code == 0
    assert here.on_push(command="drift").code == 0
    assert here.forge.asked == []


def test_a_refused_plan_is_still_shown_and_its_flag_goes_through(here: Repository) -> None:
    here.folder.model("other")
    here.folder.dataset("other")
    assert here.folder.run("apply", "--yes").code == 0
    (here.folder.folder / "manifests/tone.yaml").unlink()
    refused = here.on_pull_request(1)
    assert refused.code == 4
    assert "--allow-delete 1" in here.forge.bodies(1)[0]
    allowed = here.on_pull_request(1, arguments="--allow-delete 1")
    assert (allowed.code, allowed.outputs["pending"]) == (0, "true")


def test_a_version_that_its_gate_refuses_fails_the_job_and_the_comment_says_its_score(
    here: Repository,
) -> None:
    assert here.folder.run("apply", "--yes").code == 0
    here.branch("strict")
    here.folder.hopeless_gate()
    here.folder.dataset(times=7)
    here.commit("Ask for more")
    planned = here.on_pull_request(1)
    assert planned.code == 0, planned.log
    here.merge("strict", 1)
    served = here.folder.status()["serving"]
    rejected = here.on_push(command="apply", digest="approved")
    assert rejected.code == 5, rejected.log
    assert "::error title=tunedmodels::A gate kept a version from serving." in rejected.log
    assert here.folder.status()["serving"] == served
    (body,) = here.forge.bodies(1)
    assert "0 of 1 done, 1 not promoted" in body
    assert "exactMatch 0.000" in body
    assert "said 3" not in body, "no text of an example"

    again = here.on_push(command="apply", digest="approved")
    assert again.code == 4
    assert here.forge.bodies(1) == [body], "what was done stays done"


def test_jobs_that_still_run_are_said_as_such(
    here: Repository,
) -> None:
    here.branch("work")
    assert here.on_pull_request(1).code == 0
    here.merge("work", 1)
    asked = {"command": "apply", "digest": here.digest(1), "arguments": "--no-wait"}
    left = here.on_push(**asked)
    assert left.code == 3, left.log
    assert "::error title=tunedmodels::Jobs still run." in left.log
    (told,) = here.forge.bodies(1)
    assert "0 of 1 done, 1 still running" in told

    here.branch("later")
    assert here.on_pull_request(2).code == 0
    here.merge("later", 2)
    waited = here.on_push(command="apply", digest=here.digest(2), comment="false")
    assert waited.code == 0, waited.log
    assert here.folder.status()["serving"]
    assert "· applied\n" not in here.forge.bodies(2)[0], "the comment is not wanted"


@pytest.mark.parametrize("digest", ["", "$(touch owned)"])
def test_nothing_is_applied_without_a_digest(here: Repository, digest: str) -> None:
    ended = here.on_push(command="apply", digest=digest)
    assert ended.code == 1
    assert "Nothing is applied without an approved digest" in ended.log
    assert not (here.folder.folder / "owned").exists()


def test_where_nobody_commented_nothing_was_approved(here: Repository) -> None:
    here.forge.merged[here.git("rev-parse", "HEAD")] = 1
    ended = here.on_push(command="apply", digest="approved")
    assert ended.code == 4
    assert "nothing was approved" in ended.log
    assert here.folder.status()["versions"] == []


def test_what_a_plan_quotes_is_no_command_to_the_runner(here: Repository) -> None:
    text = "word " * 19 + "::set-output name=x::y"
    here.folder.model(description=text, displayName="::add-mask::e")
    ran = here.on_pull_request(1)
    before, _, rest = ran.log.partition("::stop-commands::")
    token, _, quoted = rest.partition("\n")
    inside, found, _ = quoted.partition(f"\n::{token}::\n")
    assert found
    assert "Plan:" in inside
    assert len(token) == 32
    assert "Plan:" not in before
