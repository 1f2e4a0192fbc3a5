"""`tunedmodels comment` as a process, against a server that behaves like the forges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fakes.forges import FORGES, TOKEN, Desk, listening
from tests.support.project_dir import Desk as Folder
from tunedmodels.forges.plan_comment import STALE, read_marker


@pytest.fixture(params=sorted(FORGES))
def forge(request: pytest.FixtureRequest) -> Iterator[tuple[Desk, dict[str, str]]]:
    desk = Desk()
    with listening(FORGES[request.param](desk)) as address:
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
        yield desk, environs[request.param]


def test_a_plan_is_shown_edited_read_and_marked(
    desk: Folder, forge: tuple[Desk, dict[str, str]]
) -> None:
    there, env = forge
    digest = desk.plan("--out", "plan.json")["digest"]
    first = desk.run("comment", "--plan", "plan.json", env=env)
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith("Comment on pull request 7 created.")
    again = desk.run("comment", "--plan", "plan.json", env=env)
    assert "unchanged" in again.out
    desk.dataset(times=7)
    newer = desk.plan("--out", "plan.json")["digest"]
    assert newer != digest
    assert "edited" in desk.run("comment", "--plan", "plan.json", env=env).out
    assert desk.run("comment", "--read-digest", env=env).out == f"{newer}\n"
    marked = desk.run("comment", "--stale", "main moved on", env=env)
    assert "marked as out of date" in marked.out
    (body,) = there.bodies()
    marker = read_marker(body)
    assert marker
    assert marker.level == STALE
    refused = desk.run("comment", "--read-digest", env=env)
    assert (refused.code, refused.out) == (4, "")
    assert TOKEN not in first.out + again.out + marked.out + refused.err


@pytest.mark.parametrize("forge", ["github"], indirect=True)
def test_a_dry_run_prints_what_would_be_written_and_asks_nobody(
    desk: Folder, forge: tuple[Desk, dict[str, str]]
) -> None:
    there, env = forge
    desk.run("plan", "--out", "plan.json")
    dry = desk.run("comment", "--plan", "plan.json", "--dry-run", env=env)
    assert dry.code == 0
    assert there.asked == []
    assert desk.run("comment", "--plan", "plan.json", env=env).code == 0
    assert there.bodies()[0].rstrip() == dry.out.rstrip()


def test_at_a_desk_a_plan_can_be_looked_at_and_nothing_more(desk: Folder) -> None:
    desk.run("plan", "--out", "plan.json")
    for option in ("--dry-run", "--summary"):
        assert "tunedmodels:plan" in desk.run("comment", "--plan", "plan.json", option).out
    ended = desk.run("comment", "--plan", "plan.json")
    assert ended.code == 1
    assert "--forge" in ended.err


@pytest.mark.parametrize("forge", ["github"], indirect=True)
def test_a_push_is_told_that_there_is_nothing_to_comment_on(
    desk: Folder, forge: tuple[Desk, dict[str, str]]
) -> None:
    _, env = forge
    desk.run("plan", "--out", "plan.json")
    pushed = env | {"GITHUB_REF": "refs/heads/main", "CI_MERGE_REQUEST_IID": ""}
    ended = desk.run("comment", "--plan", "plan.json", env=pushed)
    assert ended.code == 1
    assert "not for a pull request" in ended.err


def test_after_the_merge_the_digest_is_that_of_the_merged_pull_request(
    desk: Folder, forge: tuple[Desk, dict[str, str]]
) -> None:
    there, env = forge
    digest = desk.plan("--out", "plan.json")["digest"]
    assert desk.run("comment", "--plan", "plan.json", env=env).code == 0
    pushed = env | {"GITHUB_REF": "refs/heads/main", "CI_MERGE_REQUEST_IID": ""}
    direct = desk.run("comment", "--read-digest", env=pushed)
    assert direct.code == 1
    assert "No pull request brought" in direct.err
    there.merged["abc"] = 7
    assert desk.run("comment", "--read-digest", env=pushed).out == f"{digest}\n"


def test_after_an_apply_the_comment_says_what_became_of_the_plan(
    desk: Folder, forge: tuple[Desk, dict[str, str]]
) -> None:
    there, env = forge
    absent = desk.run("apply", "--yes", "--no-wait", "--events", "events.jsonl")
    assert absent.code == 3
    none = desk.run("comment", "--events", "events.jsonl", env=env)
    assert (none.code, there.bodies()) == (0, [])
    assert "has no comment that showed a plan" in none.out
    desk.run("plan", "--out", "plan.json")
    assert desk.run("comment", "--plan", "plan.json", env=env).code == 0
    assert desk.run("apply", "plan.json", "--events", "events.jsonl").code == 0
    told = desk.read("events.jsonl").splitlines(keepends=True)
    desk.write("half.jsonl", "".join(told[:-3]))
    desk.run("comment", "--events", "half.jsonl", "--running", env=env)
    assert "applying: 0 of 1 change done" in there.bodies()[0]
    desk.run("comment", "--events", "half.jsonl", env=env)
    assert "0 of 1 done, interrupted" in there.bodies()[0]
    dry = desk.run("comment", "--events", "events.jsonl", "--running", "--dry-run", env=env)
    done = desk.run("comment", "--events", "events.jsonl", env=env)
    assert (done.code, "edited" in done.out) == (0, True)
    (body,) = there.bodies()
    assert body.rstrip() == dry.out.rstrip()
    assert "### tunedmodels · applied\n" in body
    stays = desk.run("comment", "--stale", "main moved on", env=env)
    assert "stays as it is" in stays.out
    assert there.bodies() == [body]
    wrong = desk.run("comment", "--events", "plan.json", env=env)
    assert (wrong.code, "Line 1 is no event of a run" in wrong.err) == (1, True)


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
    ],
)
def test_options_that_make_no_sense_are_usage_errors(
    desk: Folder, options: tuple[str, ...]
) -> None:
    desk.run("plan", "--out", "p.json")
    ended = desk.run("comment", *options, "--forge", "github", "--repo", "o/r", "--pr", "7")
    assert ended.code == 1
    assert "Error:" in ended.err
