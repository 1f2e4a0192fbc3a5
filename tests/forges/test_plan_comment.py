"""The variables of a CI, the marker of a comment, and a stale comment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import desired, plan_for
from tunedmodels.errors import InvalidArgumentError, TunedModelsError
from tunedmodels.forges import github, gitlab
from tunedmodels.forges.client import Token
from tunedmodels.forges.forge import CiRun
from tunedmodels.forges.plan_comment import STALE_LEVEL, Marker
from tunedmodels.forges.registry import detect_forge
from tunedmodels.render.options import RenderOptions
from tunedmodels.render.plan.markdown import plan_markdown
from tunedmodels.render.run_comment import stale_comment

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


def test_github_gives_the_head_of_the_branch_and_not_the_temporary_merge(tmp_path: Path) -> None:
    base = {"ref": "main", "sha": "a81f0c4" + "0" * 33}
    pull = {"number": 7, "head": {"sha": HEAD}, "base": base}
    run = github.read_ci_run(GITHUB | event(tmp_path, {"pull_request": pull}))
    assert run == CiRun(
        repository="o/r",
        number=7,
        commit="f" * 40,
        head=HEAD,
        base="main@a81f0c4",
        url="https://github.test/o/r/actions/runs/11",
    )


@pytest.mark.parametrize("content", ["", "not json", "[]", "{}"])
def test_without_a_number_in_the_event_the_ref_is_used(tmp_path: Path, content: str) -> None:
    assert github.read_ci_run(GITHUB | event(tmp_path, content)).number == 7


def test_a_comment_on_a_pull_request_has_its_number_and_one_on_an_issue_has_none(
    tmp_path: Path,
) -> None:
    environ = GITHUB | {"GITHUB_REF": "refs/heads/main"}
    on_pull = {"issue": {"number": 8, "pull_request": {"url": "x"}}}
    assert github.read_ci_run(environ | event(tmp_path, on_pull)).number == 8
    assert github.read_ci_run(environ | event(tmp_path, {"issue": {"number": 8}})).number is None


def test_gitlab_gives_the_same_values() -> None:
    run = gitlab.read_ci_run(GITLAB)
    assert (run.repository, run.number, run.base) == ("42", 7, "main@a81f0c4")
    assert (run.head, run.url) == ("f" * 40, GITLAB["CI_JOB_URL"])
    assert gitlab.read_ci_run(GITLAB | {"CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": HEAD}).head == HEAD
    assert gitlab.read_ci_run({}) == CiRun()


def test_options_take_precedence_over_the_environment() -> None:
    detected = detect_forge(GITHUB, name="gitlab", repository="g/p", number=9)
    assert (detected.forge_type.title, detected.run.repository, detected.number) == (
        "GitLab",
        "g/p",
        9,
    )
    assert detect_forge(GITHUB).forge_type.title == "GitHub"
    assert detect_forge(GITLAB).forge_type.title == "GitLab"


def test_outside_a_ci_the_error_names_the_options() -> None:
    with pytest.raises(TunedModelsError) as caught:
        detect_forge({})
    assert "--forge github or gitlab" in caught.value.cure


def test_a_push_has_no_pull_request() -> None:
    detected = detect_forge(GITHUB | {"GITHUB_REF": "refs/heads/main"})
    with pytest.raises(TunedModelsError, match="not for a pull request") as caught:
        _ = detected.number
    assert "--pr N" in caught.value.cure


def test_an_unknown_repository_is_an_error() -> None:
    with pytest.raises(TunedModelsError) as caught:
        detect_forge({"GITHUB_ACTIONS": "true"}).open()
    assert "GITHUB_REPOSITORY" in caught.value.cure


@pytest.mark.parametrize("endpoint", ["http://gitlab.intern/api/v4", "http://10.0.0.7"])
def test_a_token_is_never_sent_unencrypted(endpoint: str) -> None:
    token = Token("t0ken", header="private-token", prefix="", cure="", extra_headers={})
    problem = token.problem(endpoint)
    assert isinstance(problem, InvalidArgumentError)
    assert "t0ken" not in repr(token) + problem.message + problem.cure
    assert token.problem("https://gitlab.intern/api/v4") is None
    assert token.problem("http://127.0.0.1:1") is None


# The marker -------------------------------------------------------------------------------------


@given(*[st.text()] * 5)
def test_a_marker_is_read_as_it_was_written_and_is_one_comment(
    environment: str, digest: str, head: str, level: str, project: str
) -> None:
    marker = Marker(environment, digest, head, level, project)
    line = marker.format()
    assert Marker.parse(f"{line}\n### body") == marker
    assert line.isascii()
    assert line.isprintable()
    assert line.count("-->") == line.count("<") == line.count(">") == 1
    assert "--" not in line.removeprefix("<!--").removesuffix("-->")


def test_an_environment_with_a_double_hyphen_does_not_end_the_comment() -> None:
    marker = Marker("prod--eu", "sha256:0", "3c9d2e1", project="demo")
    line = marker.format()
    assert line == (
        '<!-- tunedmodels:plan {"v":1,"env":"prod-\\u002deu","digest":"sha256:0",'
        '"head":"3c9d2e1","level":"full","project":"demo"} -->'
    )
    assert Marker.parse(line) == marker


def test_the_comment_begins_with_the_marker_of_its_plan() -> None:
    plan = plan_for([desired("tone")])
    body = plan_markdown(plan, RenderOptions(head=HEAD))
    marker = Marker.parse(body)
    assert marker == Marker(plan.environment, plan.digest, HEAD, "full", plan.project)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "### hello",
        "<!-- tunedmodels:plan -->",
        "<!-- tunedmodels:plan nonsense -->",
        "<!-- tunedmodels:plan {} -->",
        "<!-- tunedmodels:plan {not json} -->",
        "<!-- tunedmodels:plan [1] -->",
        '<!-- tunedmodels:plan {"v":1} -->',
        '<!-- tunedmodels:plan {"v":2} -->',
        '<!-- tunedmodels:plan {"v":2,"env":"prod"} -->',
        '<!-- tunedmodels:plan {"v":1,"env":7} -->',
        '<!-- tunedmodels:plan {"v":1,"env":null} -->',
        '<!-- tunedmodels:plan {"v":1,"env":["prod"]} -->',
        '<!-- tunedmodels:plan {"v":1,"env":"prod","digest":7} -->',
        '<!-- tunedmodels:plan {"v":1,"env":"prod"} {"v":1} -->',
        '<!-- tunedmodels:plan {"v":1,"env":"prod"',
        ' <!-- tunedmodels:plan {"v":1,"env":"prod"} -->',
        f"\n{Marker('prod').format()}",
        f"<!-- tunedmodels:plan {'[' * 100_000} -->",
        f'<!-- tunedmodels:plan {{"v":{"[" * 100_000}}} -->',
    ],
    ids=lambda body: body[:60],
)
def test_a_comment_without_a_valid_marker_is_not_ours(body: str) -> None:
    assert Marker.parse(body) is None
    assert stale_comment(body, "moved") == body


# Out of date ------------------------------------------------------------------------------------


def test_a_comment_that_is_out_of_date_begins_with_the_reason_and_keeps_its_plan() -> None:
    body = f"{Marker('prod', 'sha256:1').format()}\n### tunedmodels · prod · 1 change\n\nrows\n"
    stale = stale_comment(body, "main moved on")
    assert stale.splitlines()[1] == "### tunedmodels · prod · stale"
    assert "> main moved on" in stale
    assert "### tunedmodels · prod · 1 change\n\nrows" in stale
    assert Marker.parse(stale) == Marker("prod", "sha256:1", level=STALE_LEVEL)


def test_marking_a_stale_comment_again_changes_only_the_reason() -> None:
    body = f"{Marker('prod', 'sha256:1').format()}\nplan\n\n<details>\n\nx\n\n</details>\n"
    once = stale_comment(body, "first")
    assert stale_comment(once, "first") == once
    assert stale_comment(once.rstrip(), "second") == stale_comment(body, "second")


def test_a_reason_is_escaped() -> None:
    body = f"{Marker('', 'sha256:1').format()}\nplan\n"
    reason = "@team <img src=x>\n# head `code` --> \x1b[31m " + "long " * 200
    stale = stale_comment(body, reason)
    (line,) = (line for line in stale.splitlines() if "team" in line)
    assert "<img" not in stale
    assert "@team" not in stale
    assert "\x1b" not in stale
    assert len(line) < 500
