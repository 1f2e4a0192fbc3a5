"""Several projects in one repository, and commands in a subdirectory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fakes.forges import FORGES, TOKEN, ForgeState, listening
from tests.support.project_dir import MODEL, PROJECT, ProjectDir

TEAMS = ("team-a", "team-b")


@pytest.fixture
def repository(project_dir: ProjectDir) -> ProjectDir:
    """Two projects of one name in a repository."""
    (project_dir.folder / ".git").mkdir()
    rows = "".join(
        f'{{"text_input": "example {n}", "output": "{"yes" if n % 2 else "no"}"}}\n'
        for n in range(24)
    )
    for team in TEAMS:
        project_dir.write(f"{team}/tunedmodels.yaml", PROJECT)
        project_dir.write(f"{team}/tone.yaml", MODEL.replace("tone", f"m-{team}"))
        project_dir.write(f"{team}/data/m-{team}.jsonl", rows)
    for path in ("tunedmodels.yaml", "tone.yaml", "data/tone.jsonl"):
        project_dir.remove(f"manifests/{path}")
    return project_dir


@pytest.fixture
def forge() -> Iterator[tuple[ForgeState, dict[str, str]]]:
    state = ForgeState()
    with listening(FORGES["github"](state)) as address:
        yield (
            state,
            {
                "GITHUB_ACTIONS": "true",
                "GITHUB_API_URL": address,
                "GITHUB_REPOSITORY": "o/r",
                "GITHUB_REF": "refs/pull/7/merge",
                "GITHUB_SHA": "abc",
                "GITHUB_TOKEN": TOKEN,
            },
        )


def test_two_projects_of_one_name_have_two_comments_and_their_own_digests(
    repository: ProjectDir, forge: tuple[ForgeState, dict[str, str]]
) -> None:
    state, env = forge
    digests = {}
    for team in TEAMS:
        out = f"{team}.json"
        repository.run("-C", team, "plan", "--out", out)
        digests[team] = json.loads(repository.read(out))["digest"]
        assert repository.run("comment", "plan", out, env=env).code == 0
    headings = sorted(body.split("\n")[1] for body in state.bodies())
    assert [h.partition(" · 1")[0] for h in headings] == [
        "### tunedmodels · demo (team-a)",
        "### tunedmodels · demo (team-b)",
    ]
    for team in TEAMS:
        read = repository.run("-C", team, "comment", "digest", env=env)
        assert read.out == f"{digests[team]}\n"
    unclear = repository.run("comment", "digest", env=env)
    assert (unclear.code, unclear.out) == (4, "")
    assert "comments for several projects" in unclear.err
    # A project with errors has the same name and directory.
    repository.write("team-a/tone.yaml", MODEL.replace("baseModel", "bseModel"))
    read = repository.run("-C", "team-a", "comment", "digest", env=env)
    assert read.out == f"{digests['team-a']}\n"
    failed = repository.run("-C", "team-a", "plan", "--format", "markdown")
    assert "### tunedmodels · demo (team-a) · " in failed.out


def test_all_runs_for_every_project_and_returns_the_worst_code(repository: ProjectDir) -> None:
    planned = repository.run("plan", "--all", "--detailed-exitcode")
    assert planned.code == 2
    assert [line for line in planned.out.splitlines() if line.startswith("==")] == [
        "== team-a",
        "== team-b",
    ]
    assert repository.run("status", "--all").out.count("m-team-") == 2
    assert repository.run("validate", "--all").code == 0
    repository.write("team-a/tone.yaml", "kind: TunedModel\n")
    checked = repository.run("validate", "--all")
    assert (checked.code, "team-a/tone.yaml:1" in checked.out) == (1, True)
    planned = repository.run("plan", "--all")
    assert planned.code == 1
    assert "m-team-b" in planned.out  # an error in one project does not stop the others


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--all", "tone"),
        ("plan", "--all", "--out", "x.json"),
        ("plan", "--all", "--format", "json"),
        ("status", "--all", "--format", "json"),
    ],
)
def test_all_does_not_support_everything(
    repository: ProjectDir, arguments: tuple[str, ...]
) -> None:
    refused = repository.run(*arguments)
    assert (refused.code, refused.out) == (1, "")
    assert "--all" in refused.err


def test_all_without_a_project_is_an_error(project_dir: ProjectDir) -> None:
    project_dir.write("empty/notes.txt", "")
    refused = project_dir.run("-C", "empty", "validate", "--all")
    assert (refused.code, "There is no Project file in empty" in refused.err) == (1, True)


def test_the_project_is_found_upward(
    repository: ProjectDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = repository.run("-C", "team-a/data", "plan")
    assert (named.code, "m-team-a" in named.out) == (0, True)
    monkeypatch.chdir(repository.folder / "team-a" / "data")
    found = repository.run("validate")
    assert (found.code, "1 model" in found.out) == (0, True)
    # The search ends at the top of the repository.
    monkeypatch.chdir(repository.folder)
    Path(repository.folder.parent / "tunedmodels.yaml").write_text(PROJECT)
    try:
        assert repository.run("validate").code == 1
    finally:
        Path(repository.folder.parent / "tunedmodels.yaml").unlink()
