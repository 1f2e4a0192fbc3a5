"""`tunedmodels comment` against a fake server of each forge."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support.fakes.forges import FORGES, TOKEN, ForgeState, listening
from tests.support.project_dir import MODEL, ProjectDir
from tunedmodels.forges.plan_comment import STALE_LEVEL, Marker


@pytest.fixture(params=sorted(FORGES))
def forge(request: pytest.FixtureRequest) -> Iterator[tuple[ForgeState, dict[str, str]]]:
    state = ForgeState()
    with listening(FORGES[request.param](state)) as address:
        environs = {
            "github": {
                "GITHUB_ACTIONS": "true",
                "GITHUB_API_URL": address,
                "GITHUB_REPOSITORY": "o/r",
                "GITHUB_REF": "refs/pull/7/merge",
                "GITHUB_SHA": "abc",
                "GITHUB_TOKEN": TOKEN,
            },
            "gitlab": {
                "GITLAB_CI": "true",
                "CI_API_V4_URL": f"{address}/api/v4",
                "CI_PROJECT_ID": "42",
                "CI_MERGE_REQUEST_IID": "7",
                "CI_COMMIT_SHA": "abc",
                "GITLAB_TOKEN": TOKEN,
            },
        }
        yield state, environs[request.param]


def test_a_plan_is_shown_edited_read_and_marked_as_stale(
    project_dir: ProjectDir, forge: tuple[ForgeState, dict[str, str]]
) -> None:
    state, env = forge
    digest = project_dir.plan("--out", "plan.json")["digest"]
    first = project_dir.run("comment", "plan", "plan.json", env=env)
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith("Comment on pull request 7 created.")
    again = project_dir.run("comment", "plan", "plan.json", env=env)
    assert "unchanged" in again.out
    project_dir.dataset(times=7)
    newer = project_dir.plan("--out", "plan.json")["digest"]
    assert newer != digest
    assert "edited" in project_dir.run("comment", "plan", "plan.json", env=env).out
    assert project_dir.run("comment", "digest", env=env).out == f"{newer}\n"
    marked = project_dir.run("comment", "stale", "main moved on", env=env)
    assert "marked as stale" in marked.out
    (body,) = state.bodies()
    marker = Marker.parse(body)
    assert marker
    assert marker.level == STALE_LEVEL
    refused = project_dir.run("comment", "digest", env=env)
    assert (refused.code, refused.out) == (4, "")
    assert TOKEN not in first.out + again.out + marked.out + refused.err


@pytest.mark.parametrize("forge", ["github"], indirect=True)
def test_a_dry_run_prints_the_comment_and_sends_no_request(
    project_dir: ProjectDir, forge: tuple[ForgeState, dict[str, str]]
) -> None:
    state, env = forge
    project_dir.run("plan", "--out", "plan.json")
    dry = project_dir.run("comment", "plan", "plan.json", "--dry-run", env=env)
    assert dry.code == 0
    assert state.requests == []
    assert project_dir.run("comment", "plan", "plan.json", env=env).code == 0
    assert state.bodies()[0].rstrip() == dry.out.rstrip()


def test_outside_of_ci_a_comment_can_only_be_printed(project_dir: ProjectDir) -> None:
    project_dir.run("plan", "--out", "plan.json")
    for option in ("--dry-run", "--summary"):
        assert "tunedmodels:plan" in project_dir.run("comment", "plan", "plan.json", option).out
    ended = project_dir.run("comment", "plan", "plan.json")
    assert ended.code == 1
    assert "--forge" in ended.err


@pytest.mark.parametrize("forge", ["github"], indirect=True)
def test_a_push_has_no_pull_request_to_comment_on(
    project_dir: ProjectDir, forge: tuple[ForgeState, dict[str, str]]
) -> None:
    _, env = forge
    project_dir.run("plan", "--out", "plan.json")
    pushed = env | {"GITHUB_REF": "refs/heads/main", "CI_MERGE_REQUEST_IID": ""}
    ended = project_dir.run("comment", "plan", "plan.json", env=pushed)
    assert ended.code == 1
    assert "not for a pull request" in ended.err


def test_after_the_merge_the_digest_is_that_of_the_merged_pull_request(
    project_dir: ProjectDir, forge: tuple[ForgeState, dict[str, str]]
) -> None:
    state, env = forge
    digest = project_dir.plan("--out", "plan.json")["digest"]
    assert project_dir.run("comment", "plan", "plan.json", env=env).code == 0
    pushed = env | {"GITHUB_REF": "refs/heads/main", "CI_MERGE_REQUEST_IID": ""}
    direct = project_dir.run("comment", "digest", env=pushed)
    assert direct.code == 1
    assert "No merged pull request contains commit abc" in direct.err
    state.merged["abc"] = 7
    assert project_dir.run("comment", "digest", env=pushed).out == f"{digest}\n"


def test_after_an_apply_the_comment_shows_its_result(
    project_dir: ProjectDir, forge: tuple[ForgeState, dict[str, str]]
) -> None:
    state, env = forge
    absent = project_dir.run("apply", "--yes", "--no-wait", "--events", "events.jsonl")
    assert absent.code == 3
    none = project_dir.run("comment", "result", "events.jsonl", env=env)
    assert (none.code, state.bodies()) == (0, [])
    assert "has no comment that shows a plan" in none.out
    project_dir.run("plan", "--out", "plan.json")
    assert project_dir.run("comment", "plan", "plan.json", env=env).code == 0
    assert project_dir.run("apply", "plan.json", "--events", "events.jsonl").code == 0
    lines = project_dir.read("events.jsonl").splitlines(keepends=True)
    project_dir.write("half.jsonl", "".join(lines[:-3]))
    project_dir.run("comment", "result", "half.jsonl", "--running", env=env)
    assert "applying: 0 of 1 change done" in state.bodies()[0]
    project_dir.run("comment", "result", "half.jsonl", env=env)
    assert "0 of 1 done, interrupted" in state.bodies()[0]
    dry = project_dir.run("comment", "result", "events.jsonl", "--running", "--dry-run", env=env)
    done = project_dir.run("comment", "result", "events.jsonl", env=env)
    assert (done.code, "edited" in done.out) == (0, True)
    (body,) = state.bodies()
    assert body.rstrip() == dry.out.rstrip()
    assert "### tunedmodels · demo · applied\n" in body
    kept = project_dir.run("comment", "stale", "main moved on", env=env)
    assert "unchanged" in kept.out
    assert state.bodies() == [body]
    wrong = project_dir.run("comment", "result", "plan.json", env=env)
    assert wrong.code == 1
    assert "plan.json: line 1 is not an event of a run" in wrong.err.replace("Line 1", "line 1")


@pytest.mark.parametrize("subcommand", [("digest",), ("stale", "main moved on")])
def test_a_saved_plan_names_the_environment_and_the_project_of_its_comment(
    project_dir: ProjectDir, forge: tuple[ForgeState, dict[str, str]], subcommand: tuple[str, ...]
) -> None:
    _, env = forge
    project_dir.write("manifests/overlays/prod.yaml", MODEL)
    digest = project_dir.plan("--env", "prod", "--out", "plan.json")["digest"]
    assert project_dir.run("comment", "plan", "plan.json", env=env).code == 0
    missing = project_dir.run("comment", *subcommand, env=env)
    assert digest not in missing.out
    ended = project_dir.run("comment", *subcommand, "--plan", "plan.json", env=env)
    assert ended.code == 0, ended.err
    assert digest in ended.out or "marked as stale" in ended.out
    other = project_dir.run("comment", *subcommand, "--plan", "plan.json", "--env", "x", env=env)
    assert (other.code, "of another environment" in other.err) == (1, True)


DEPRECATED = [
    (("--plan", "plan.json"), ("plan", "plan.json"), "comment --plan FILE"),
    (
        ("--plan", "plan.json", "--summary"),
        ("plan", "plan.json", "--summary"),
        "comment --plan FILE",
    ),
    (("--read-digest",), ("digest",), "comment --read-digest"),
    (("--env", "", "--read-digest"), ("digest", "--env", ""), "comment --read-digest"),
    (("--plan", "plan.json", "--read-digest"), ("digest",), "comment --read-digest"),
    (("--events", "events.jsonl"), ("result", "events.jsonl"), "comment --events FILE"),
    (
        ("--events", "events.jsonl", "--running", "--dry-run"),
        ("result", "events.jsonl", "--running", "--dry-run"),
        "comment --events FILE",
    ),
    (("--stale", "main moved on"), ("stale", "main moved on"), "comment --stale REASON"),
]


@pytest.mark.parametrize("forge", ["github"], indirect=True)
def test_the_deprecated_options_do_the_same_as_the_subcommands_and_print_a_note(
    project_dir: ProjectDir, forge: tuple[ForgeState, dict[str, str]]
) -> None:
    state, env = forge
    project_dir.run("plan", "--out", "plan.json")
    assert project_dir.run("comment", "plan", "plan.json", env=env).code == 0
    plan_body = state.bodies()
    assert project_dir.run("apply", "plan.json", "--events", "events.jsonl").code == 0
    for old, new, name in DEPRECATED:
        results = []
        for arguments in (old, new):
            state.pull_requests[7].clear()
            state.write(7, plan_body[0])
            ended = project_dir.run("comment", *arguments, env=env)
            assert ended.code == 0, ended.err
            results.append((re.sub(r"\d+\n$", "", ended.out), state.bodies()))
            note = f"Warning: `{name}` is deprecated; use `comment {new[0]}"
            assert ended.err.startswith(note) if arguments is old else ended.err == ""
        assert results[0] == results[1], old


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--dry-run",),
        ("--stale", "x", "--read-digest"),
        ("--plan", "p.json", "--env", "x"),
        ("--running",),
        ("--events", "e.jsonl", "--plan", "p.json"),
        ("--events", "e.jsonl", "--read-digest"),
        ("plan",),
        ("plan", "p.json", "--dry-run", "--summary"),
        ("stale",),
        ("result", "p.json", "--summary"),
    ],
)
def test_invalid_combinations_of_options_are_usage_errors(
    project_dir: ProjectDir, options: tuple[str, ...]
) -> None:
    project_dir.run("plan", "--out", "p.json")
    ended = project_dir.run("comment", *options, "--forge", "github", "--repo", "o/r", "--pr", "7")
    assert ended.code == 1
    assert "Error:" in ended.err


def test_options_before_a_subcommand_are_a_usage_error(project_dir: ProjectDir) -> None:
    project_dir.run("plan", "--out", "p.json")
    ended = project_dir.run("comment", "--dry-run", "plan", "p.json")
    assert (ended.code, ended.out) == (1, "")
    assert "Options come after the subcommand" in ended.err


def test_comment_alone_shows_its_subcommands(project_dir: ProjectDir) -> None:
    ended = project_dir.run("comment")
    assert (ended.code, ended.out) == (1, "")
    assert all(name in ended.err for name in ("plan", "result", "stale", "digest"))
