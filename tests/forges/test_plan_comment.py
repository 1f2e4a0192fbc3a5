"""What the CI says of a run, the marker of a comment, and a comment that is out of date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import desired, planned
from tunedmodels.errors import InvalidArgumentError, TunedModelsError
from tunedmodels.forges import github, gitlab
from tunedmodels.forges.client import Token
from tunedmodels.forges.forge import Run
from tunedmodels.forges.plan_comment import STALE, Marker, read_marker
from tunedmodels.forges.registry import find_place
from tunedmodels.render.plan.markdown import plan_markdown
from tunedmodels.render.run_comment import outdated_markdown

HEAD = "3c9d2e1" + "0" * 33
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "o/r",
    "GITHUB_REF": "refs/pull/7/merge",
    "GITHUB_SHA": "f" * 40,
    "GITHUB_SERVER_URL": "https://github.test",
    "GITHUB_RUN_ID": "11",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PROJECT_ID": "42",
    "CI_MERGE_REQUEST_IID": "7",
    "CI_COMMIT_SHA": "f" * 40,
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    "CI_MERGE_REQUEST_DIFF_BASE_SHA": "a81f0c4" + "0" * 33,
    "CI_JOB_URL": "https://gitlab.test/g/p/-/jobs/11",
}


def event(folder: Path, content: object) -> dict[str, str]:
    file = folder / "event.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return {"GITHUB_EVENT_PATH": str(file)}


def test_github_names_the_branch_head_and_not_its_trial_merge(tmp_path: Path) -> None:
    base = {"ref": "main", "sha": "a81f0c4" + "0" * 33}
    pull = {"number": 7, "head": {"sha": HEAD}, "base": base}
    run = github.run_of(GITHUB | event(tmp_path, {"pull_request": pull}))
    assert run == Run(
        repository="o/r",
        number=7,
        commit="f" * 40,
        head=HEAD,
        base="main@a81f0c4",
        url="https://github.test/o/r/actions/runs/11",
    )


@pytest.mark.parametrize("content", ["", "no json", "[]", "{}"])
def test_an_event_that_says_nothing_leaves_the_ref(tmp_path: Path, content: str) -> None:
    assert github.run_of(GITHUB | event(tmp_path, content)).number == 7


def test_a_comment_on_a_pull_request_names_it_and_one_on_an_issue_does_not(tmp_path: Path) -> None:
    environ = GITHUB | {"GITHUB_REF": "refs/heads/main"}
    on_pull = {"issue": {"number": 8, "pull_request": {"url": "x"}}}
    assert github.run_of(environ | event(tmp_path, on_pull)).number == 8
    assert github.run_of(environ | event(tmp_path, {"issue": {"number": 8}})).number is None


def test_gitlab_says_the_same_in_its_own_variables() -> None:
    run = gitlab.run_of(GITLAB)
    assert (run.repository, run.number, run.base) == ("42", 7, "main@a81f0c4")
    assert (run.head, run.url) == ("f" * 40, GITLAB["CI_JOB_URL"])
    assert gitlab.run_of(GITLAB | {"CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": HEAD}).head == HEAD
    assert gitlab.run_of({}) == Run()


def test_flags_go_before_what_the_ci_says() -> None:
    place = find_place(GITHUB, name="gitlab", repository="g/p", number=9)
    assert (place.kind.title, place.run.repository, place.number) == ("GitLab", "g/p", 9)
    assert find_place(GITHUB).kind.title == "GitHub"
    assert find_place(GITLAB).kind.title == "GitLab"


def test_a_desk_is_no_ci_and_says_what_to_name() -> None:
    with pytest.raises(TunedModelsError) as caught:
        find_place({})
    assert "--forge github or gitlab" in caught.value.cure


def test_a_push_is_for_no_pull_request() -> None:
    place = find_place(GITHUB | {"GITHUB_REF": "refs/heads/main"})
    with pytest.raises(TunedModelsError, match="not for a pull request") as caught:
        _ = place.number
    assert "--pr N" in caught.value.cure


def test_a_repository_that_nobody_names_is_asked_for() -> None:
    with pytest.raises(TunedModelsError) as caught:
        find_place({"GITHUB_ACTIONS": "true"}).open()
    assert "GITHUB_REPOSITORY" in caught.value.cure


@pytest.mark.parametrize("endpoint", ["http://gitlab.intern/api/v4", "http://10.0.0.7"])
def test_a_token_never_travels_in_the_clear(endpoint: str) -> None:
    token = Token("t0ken", header="private-token", prefix="", cure="", others={})
    problem = token.problem(endpoint)
    assert isinstance(problem, InvalidArgumentError)
    assert "t0ken" not in repr(token) + problem.message + problem.cure
    assert token.problem("https://gitlab.intern/api/v4") is None
    assert token.problem("http://127.0.0.1:1") is None


# The marker -------------------------------------------------------------------------------------


@given(env=st.text(), head=st.text(), level=st.text(), project=st.text())
def test_a_marker_is_read_as_it_was_written_and_nothing_ends_it_early(
    env: str, head: str, level: str, project: str
) -> None:
    marker = Marker(env, "sha256:0", head, level, project)
    line = marker.line()
    assert read_marker(f"{line}\nbody") == marker
    assert "\n" not in line
    assert "--" not in line.removeprefix("<!--").removesuffix("-->")


def test_the_comment_begins_with_the_marker_of_its_plan() -> None:
    plan = planned([desired("tone")], [])
    body = plan_markdown(plan, head=HEAD)
    marker = read_marker(body)
    assert marker
    assert (marker.env, marker.digest, marker.head) == (plan.environment, plan.digest, HEAD)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "<!-- tunedmodels:plan -->",
        "<!-- tunedmodels:plan {} -->",
        "<!-- tunedmodels:plan {no json} -->",
        '<!-- tunedmodels:plan {"v":2,"env":"prod"} -->',
        '<!-- tunedmodels:plan {"v":1,"env":["prod"]} -->',
        ' <!-- tunedmodels:plan {"v":1,"env":"prod"} -->',
    ],
)
def test_what_is_no_marker_of_ours_is_none(body: str) -> None:
    assert read_marker(body) is None
    assert outdated_markdown(body, "moved") == body


# Out of date ------------------------------------------------------------------------------------


def test_a_comment_that_is_out_of_date_says_so_first_and_keeps_its_plan() -> None:
    body = f"{Marker('prod', 'sha256:1').line()}\n### tunedmodels · prod · 1 change\n\nrows\n"
    stale = outdated_markdown(body, "main moved on")
    assert stale.splitlines()[1] == "### tunedmodels · prod · out of date"
    assert "> main moved on" in stale
    assert "### tunedmodels · prod · 1 change\n\nrows" in stale
    assert read_marker(stale) == Marker("prod", "sha256:1", level=STALE)


def test_marking_it_again_changes_the_reason_alone() -> None:
    body = f"{Marker('prod', 'sha256:1').line()}\nplan\n\n<details>\n\nx\n\n</details>\n"
    once = outdated_markdown(body, "first")
    assert outdated_markdown(once, "first") == once
    assert outdated_markdown(once.rstrip(), "second") == outdated_markdown(body, "second")


def test_a_reason_is_text_whatever_stands_in_it() -> None:
    body = f"{Marker('', 'sha256:1').line()}\nplan\n"
    reason = "@team <img src=x>\n# head `code` --> \x1b[31m " + "long " * 200
    stale = outdated_markdown(body, reason)
    (line,) = (line for line in stale.splitlines() if "team" in line)
    assert "<img" not in stale
    assert "@team" not in stale
    assert "\x1b" not in stale
    assert len(line) < 500
