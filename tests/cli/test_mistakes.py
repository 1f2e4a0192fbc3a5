"""Errors of the user: one clear message with its cure, exit code 1, and no side effect."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.project_dir import CACHE, MODEL, PROJECT, ProjectDir, project_dir
from tunedmodels.cli.main import COMMANDS

__all__ = ["project_dir"]


def spec(lines: str) -> str:
    """Return the manifest of the model with more lines in its spec."""
    return MODEL + "".join(f"  {line}\n" for line in lines.splitlines())


ROW = json.dumps({"text_input": "thank you", "output": "friendly"})
LONG = json.dumps({"text_input": "x " * 25_000, "output": "angry"})
BOMB = "apiVersion: tunedmodels.dev/v1\nkind: TunedModel\na: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefg", "bcdefgh", strict=True)
)
TABS = "apiVersion: tunedmodels.dev/v1\nkind: TunedModel\nmetadata:\n\tname: tone\n"

MISTAKES = [  # file of the project, its content, location and message, cure
    (
        "tone.yaml",
        spec("temperature: hot"),
        "tone.yaml:7: spec.temperature: must be a number (got 'hot')",
        "",
    ),
    (
        "tone.yaml",
        spec("hyperparameters: {epochCount: a}"),
        "epochCount: must be a whole number (got 'a')",
        "",
    ),
    ("tone.yaml", TABS, "tone.yaml:4: YAML does not allow tabs", "spaces"),
    (
        "tone.yaml",
        spec("temperature: 1\ntemperature: 0"),
        "tone.yaml:8: spec.temperature: is a duplicate key",
        "Keep one",
    ),
    ("tone.yaml", BOMB, "aliases that expand to more than 100,000 values", "Write the values out"),
    (
        "tone.yaml",
        MODEL.replace("baseModel", "baseModle"),
        "tone.yaml:5: spec.baseModle: unknown field",
        "Did you mean baseModel?",
    ),
    (
        "tone.yaml",
        MODEL.replace("tone}", "a" * 32 + "}"),
        "has 32 characters; at most 31",
        "a hyphen and 8 digits",
    ),
    ("tone.yaml", MODEL.encode("utf-16"), "tone.yaml:1: is UTF-16", "UTF-8"),
    (
        "tone.yaml",
        spec("description: caf\xe9").encode("latin1"),
        "tone.yaml:7: is not UTF-8: byte 0xe9",
        "UTF-8",
    ),
    (
        "tone.yaml",
        MODEL.replace("data/", "../../data/"),
        "tone.yaml:6: spec.dataset.path: is outside the project",
        "inside the directory",
    ),
    (
        "tone.yaml",
        MODEL.replace("data/", "/etc/"),
        "is an absolute path (got '/etc/tone.jsonl')",
        "inside the directory",
    ),
    (
        "tone.yaml",
        spec("hyperparameters: {learningRate: 0.1, learningRateMultiplier: 1}"),
        "excludes learningRate",
        "Keep one",
    ),
    ("tone.yaml", spec("provider: nope"), "no provider is called 'nope'", "embedded"),
    (
        "two.yaml",
        MODEL,
        "two.yaml:3: metadata.name: 'tone' is also declared in manifests/tone.yaml:3",
        "Rename",
    ),
    ("other.yaml", PROJECT, "is a second Project", "Keep one"),
    ("tunedmodels.yaml", "", "contains no Project", "tunedmodels init"),
    (
        "tunedmodels.yaml",
        PROJECT + "spec: {providers: {g: {type: gemini, endpoint: 'ftp://x'}}}",
        "endpoint: must begin with http",
        "http://127.0.0.1:8787",
    ),
    (
        "data/tone.jsonl",
        "",
        "tone.yaml:6: spec.dataset.path: manifests/data/tone.jsonl is empty",
        "at least one",
    ),
    ("data/tone.jsonl", b"\x00\xff" * 500, "data/tone.jsonl:1: is not text", "UTF-8"),
    ("data/tone.jsonl", ROW.encode("utf-16"), "data/tone.jsonl is UTF-16", "UTF-8"),
    ("data/tone.jsonl", ROW + "\n{]\n", "data/tone.jsonl:2: ", ""),
    (
        "data/tone.jsonl",
        ROW + '\n{"text": "a"}\n',
        "data/tone.jsonl:2: has no field 'text_input'",
        "inputField",
    ),
    ("data/tone.jsonl", LONG, "data/tone.jsonl:1: text_input: has 50,000 characters", "Shorten"),
]


@pytest.mark.parametrize(
    ("path", "content", "message", "cure"), MISTAKES, ids=[row[2][:40] for row in MISTAKES]
)
def test_a_mistake_in_a_file_is_reported_with_its_location_and_cure(
    project_dir: ProjectDir, path: str, content: str | bytes, message: str, cure: str
) -> None:
    project_dir.write(f"manifests/{path}", content)
    before = project_dir.files()
    ended = project_dir.run("plan")
    assert (ended.code, ended.out) == (1, "")
    assert message in ended.err
    assert cure in ended.err
    assert ended.err.endswith("Nothing was changed.\n")
    assert project_dir.files() - before <= CACHE


ARGUMENTS = [  # arguments, message, cure
    (["plann"], "Unknown command 'plann'. Did you mean plan?", "tunedmodels --help"),
    (["-C", "nowhere", "plan"], "nowhere: the file or directory does not exist", "-C DIR"),
    (
        ["-C", "manifests/tone.yaml", "plan"],
        "is a file, not a directory",
        "directory of the Project",
    ),
    (
        ["plan", "--env", "nope"],
        "--env nope: the overlay 'nope' does not exist",
        "overlays/nope.yaml",
    ),
    (["plan", "--set", "x"], "--set x: must be NAME.PATH=VALUE", "--set next-number."),
    (["plan", "--set", "tone.foo=1"], "spec.foo: unknown field", "There are: baseModel"),
    (["plan", "--set", "nope.topK=1"], "no TunedModel is called 'nope'", "There are: tone"),
    (
        ["plan", "--out", "no/such/p.json"],
        "no/such/p.json: the directory does not exist",
        "mkdir -p no/such",
    ),
    (["plan", "--out", "manifests"], "'manifests' is a directory", "tunedmodels plan --help"),
    (
        ["apply", "--timeout", "abc"],
        "'abc' is not a valid duration; use for example 2h",
        "tunedmodels apply --help",
    ),
    (["apply", "--parallelism", "0"], "0 is not in the range", "tunedmodels apply --help"),
    (
        ["apply", "no.json"],
        "The plan file no.json does not exist",
        "tunedmodels plan --out no.json",
    ),
    (
        ["show", "tonne"],
        "Unknown model 'tonne': it is neither declared nor live",
        "Did you mean tone?",
    ),
    (["show", "tone", "--svg", "x.svg"], "tone has no loss curve yet", "first training step"),
    (["generate", "tone", "hello"], "tone has no serving version yet", "tunedmodels apply"),
    (["generate", "tone", " "], "The prompt is missing", "TEXT or on standard input"),
    (["promote", "tone"], "tone has no other ready version", "tunedmodels show tone"),
    (["promote", "tone", "12345678"], "tone has no version '12345678'", "Existing versions: none"),
    (
        ["cancel", "nope"],
        "Unknown model 'nope': it is neither declared nor live",
        "tunedmodels status",
    ),
    (["init", "--name", "No Name"], "'No Name' is not a valid name", "lower-case"),
    (["init"], "already exist; nothing was written", "tunedmodels init DIR"),
    (["completion"], "Missing argument 'SHELL'. Choose from: bash, zsh, fish", "completion --help"),
    (["schema", "nope"], "'nope' is not one of", "tunedmodels schema --help"),
    (["serve", "--keys", "no.yaml"], "no.yaml: No such file", "tunedmodels serve --help"),
    (["serve", "--host", "192.0.2.1"], "only loopback addresses are allowed", "--host 127.0.0.1"),
]


@pytest.mark.parametrize(
    ("arguments", "message", "cure"), ARGUMENTS, ids=[" ".join(row[0]) for row in ARGUMENTS]
)
def test_a_mistake_in_a_command_is_reported_with_its_cure(
    project_dir: ProjectDir, arguments: list[str], message: str, cure: str
) -> None:
    before = project_dir.files()
    ended = project_dir.run(*arguments)
    assert (ended.code, ended.out) == (1, "")
    assert message in ended.err
    assert cure in ended.err
    assert project_dir.files() - before <= CACHE


def test_a_plan_is_written_through_links_and_into_pipes_without_replacing_them(
    project_dir: ProjectDir,
) -> None:
    real, link, pipe = (project_dir.folder / name for name in ("real.json", "link.json", "pipe"))
    real.write_text("old")
    link.symlink_to(real)
    assert project_dir.run("plan", "--out", "link.json").code == 0
    assert link.is_symlink()
    assert real.read_text().startswith("{")
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        reader = pool.submit(pipe.read_text)
        assert project_dir.run("plan", "--out", "pipe").code == 0
        assert reader.result().startswith("{")
    assert pipe.is_fifo()


def test_the_cure_of_destroy_names_an_option_of_destroy(project_dir: ProjectDir) -> None:
    assert project_dir.run("apply", "--yes").code == 0
    ended = project_dir.run("destroy")
    assert ended.code == 1
    assert ended.err.endswith("    Pass --yes to confirm.\n")


def test_help_keeps_example_lines_and_whole_sentences(project_dir: ProjectDir) -> None:
    keys = "\n      keys:\n        - key: a-long-random-text       # or sha256:"
    assert keys in project_dir.run("serve", "--help").out
    for command in COMMANDS:
        out = project_dir.run(command, "--help").out
        assert not [line for line in out.splitlines()[1:] if line.endswith("...")], command
        assert "\\b" not in out, command


def test_one_example_is_counted_in_the_singular(project_dir: ProjectDir) -> None:
    project_dir.write("manifests/data/tone.jsonl", ROW)
    assert project_dir.run("validate").out.endswith("in 1 model and 1 dataset (1 example).\n")


def test_without_a_command_the_usage_is_shown(project_dir: ProjectDir) -> None:
    ended = project_dir.run()
    assert ended.code == 1
    assert ended.err.startswith("Usage: tunedmodels ")


NOT_A_PLAN = [
    (b"{", "this file is not a plan"),
    (b"", "this file is not a plan"),
    (b'{"formatVersion": 1}', "this file is not a plan"),
    (b"[]", "this file is not a plan"),
    (b"\xff\x00", "the plan file is not text in UTF-8: its byte 0 is wrong"),
]


@pytest.mark.parametrize(("content", "reason"), NOT_A_PLAN)
def test_a_file_that_is_not_a_plan_is_refused_by_name(
    project_dir: ProjectDir, content: bytes, reason: str
) -> None:
    (project_dir.folder / "p.json").write_bytes(content)
    ended = project_dir.run("apply", "p.json")
    assert (ended.code, ended.out) == (4, "")
    assert f"p.json: {reason}" in ended.err
    assert "tunedmodels plan --out plan.json" in ended.err


def test_a_plan_of_another_project_is_refused(project_dir: ProjectDir) -> None:
    assert project_dir.run("plan", "--out", "p.json").code == 0
    project_dir.write("manifests/tunedmodels.yaml", PROJECT.replace("demo", "other"))
    ended = project_dir.run("apply", "p.json")
    assert ended.code == 4
    assert "The plan belongs to project demo, this is project other" in ended.err


def test_without_a_terminal_the_error_is_separate_from_the_plan(project_dir: ProjectDir) -> None:
    ended = project_dir.run("apply")
    assert ended.code == 1
    assert ended.out.endswith("free.\n\n")
    assert "Cannot ask for confirmation: this is not an interactive terminal" in ended.err
    assert "Nothing was changed" in ended.err
    assert "--yes, --digest sha256:... or a PLAN_FILE" in ended.err


@pytest.mark.parametrize("command", ["plan", "status", "outputs", "watch"])
def test_a_damaged_store_is_reported_with_a_cure(project_dir: ProjectDir, command: str) -> None:
    project_dir.write("manifests/.tunedmodels/embedded.db", "not a database")
    ended = project_dir.run(command)
    assert ended.code == 1
    assert "embedded.db: file is not a database" in ended.err
    assert "Restore the file from a backup, or move it away" in ended.err


def use_gemini(project_dir: ProjectDir, endpoint: str = "") -> None:
    """Make the project use a provider of type gemini."""
    address = f", endpoint: '{endpoint}'" if endpoint else ""
    project_dir.write(
        "manifests/tunedmodels.yaml",
        PROJECT.replace("{name: demo}", "{name: demo, lineage: 3f9c1e7a2b04}")
        + f"spec: {{provider: g, providers: {{g: {{type: gemini{address}}}}}}}\n",
    )


def test_a_missing_api_key_is_reported_with_its_variable(project_dir: ProjectDir) -> None:
    use_gemini(project_dir)
    for command in (["plan"], ["apply", "--yes"], ["status"], ["generate", "tone", "hello"]):
        ended = project_dir.run(*command)
        assert (ended.code, ended.out) == (1, "")
        assert "requires an API key, and none is set" in ended.err
        assert "export GEMINI_API_KEY=" in ended.err


def test_a_service_that_is_not_running_is_reported_with_the_command(
    project_dir: ProjectDir,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    use_gemini(project_dir, f"http://127.0.0.1:{port}")
    ended = project_dir.run("plan")
    assert (ended.code, ended.out) == (1, "")
    assert f"Connection refused: no service listens at 127.0.0.1:{port}" in ended.err
    assert "tunedmodels serve" in ended.err


def test_a_port_in_use_is_reported_with_the_option(project_dir: ProjectDir) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = project_dir.run("serve", "--port", str(taken.getsockname()[1]))
    assert ended.code == 1
    assert "the port is in use" in ended.err
    assert "--port" in ended.err


def test_init_in_place_of_a_file_writes_nothing(project_dir: ProjectDir) -> None:
    (project_dir.folder / "new").write_text("mine")
    ended = project_dir.run("init", "new")
    assert (ended.code, ended.out) == (1, "")
    assert "new is not a directory" in ended.err
    assert (project_dir.folder / "new").read_text() == "mine"


def test_init_on_a_full_disk_removes_its_files(
    project_dir: ProjectDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_file = os.open

    def full(path: str, flags: int, mode: int = 0o777) -> int:
        if ".jsonl." in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open_file(path, flags, mode)

    monkeypatch.setattr(os, "open", full)
    ended = project_dir.run("init", "new", "--name", "mine")
    assert (ended.code, ended.out) == (1, "")
    assert "new/data/tone.jsonl cannot be written: No space left on device" in ended.err
    assert "Free some space" in ended.err
    assert not (project_dir.folder / "new").exists()


def test_standard_input_that_is_not_utf8_is_sent_anyway(project_dir: ProjectDir) -> None:
    assert (
        "tone has no serving version yet"
        in project_dir.run("generate", "tone", stdin=b"caf\xe9").err
    )


def test_closed_streams_cause_no_traceback(project_dir: ProjectDir) -> None:
    command = f"'{sys.executable}' -m tunedmodels"
    for line in ("plan >&-", "plan 2>&-", "generate tone <&-", "plan | true"):
        done = subprocess.run(
            ["bash", "-c", f"{command} {line}"], capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr, line
        assert "Exception" not in done.stderr, line
