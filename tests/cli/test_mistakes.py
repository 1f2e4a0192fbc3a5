"""What a person gets to hear who makes a mistake: one clear message, the cure, exit 1, no harm."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.project_dir import CACHE, MODEL, PROJECT, Desk, desk
from tunedmodels.cli.main import COMMANDS

__all__ = ["desk"]


def spec(more: str) -> str:
    """The model with more lines in its spec."""
    return MODEL + "".join(f"  {line}\n" for line in more.splitlines())


ROW = json.dumps({"text_input": "thank you", "output": "friendly"})
LONG = json.dumps({"text_input": "x " * 25_000, "output": "angry"})
BOMB = "apiVersion: tunedmodels.dev/v1\nkind: TunedModel\na: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefg", "bcdefgh", strict=True)
)
TABS = "apiVersion: tunedmodels.dev/v1\nkind: TunedModel\nmetadata:\n\tname: tone\n"

MISTAKES = [  # file of the project,  what is in it,     where and what,     the cure
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
        "tone.yaml:8: spec.temperature: is written twice",
        "Keep one",
    ),
    ("tone.yaml", BOMB, "aliases that stand for more than 100,000 values", "Write the values out"),
    (
        "tone.yaml",
        MODEL.replace("baseModel", "baseModle"),
        "tone.yaml:5: spec.baseModle: is no field",
        "Did you mean baseModel?",
    ),
    (
        "tone.yaml",
        MODEL.replace("tone}", "a" * 32 + "}"),
        "has 32 characters; at most 31",
        "hyphen and the version",
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
        "tone.yaml:6: spec.dataset.path: leads out of the project",
        "inside the folder",
    ),
    (
        "tone.yaml",
        MODEL.replace("data/", "/etc/"),
        "is an absolute path (got '/etc/tone.jsonl')",
        "inside the folder",
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
        "two.yaml:3: metadata.name: 'tone' is declared in manifests/tone.yaml:3 too",
        "Rename",
    ),
    ("other.yaml", PROJECT, "is a second Project", "Keep one"),
    ("tunedmodels.yaml", "", "holds no Project", "tunedmodels init"),
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
    ("data/tone.jsonl", b"\x00\xff" * 500, "data/tone.jsonl:1: is no text", "UTF-8"),
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
    ("path", "content", "words", "cure"), MISTAKES, ids=[row[2][:40] for row in MISTAKES]
)
def test_a_mistake_in_a_file_is_said_with_its_place_and_its_cure(
    desk: Desk, path: str, content: str | bytes, words: str, cure: str
) -> None:
    desk.write(f"manifests/{path}", content)
    before = desk.files()
    ended = desk.run("plan")
    assert (ended.code, ended.out) == (1, "")
    assert words in ended.err
    assert cure in ended.err
    assert ended.err.endswith("Nothing was done.\n")
    assert desk.files() - before <= CACHE


ARGUMENTS = [  # what is typed, what is said, the cure
    (["plann"], "There is no command 'plann'. Did you mean plan?", "tunedmodels --help"),
    (["-C", "nowhere", "plan"], "nowhere: there is no such file or folder", "-C DIR"),
    (["-C", "manifests/tone.yaml", "plan"], "is a file, not a folder", "folder of the Project"),
    (["plan", "--env", "nope"], "--env nope: there is no overlay 'nope'", "overlays/nope.yaml"),
    (["plan", "--set", "x"], "--set x: is not NAME.PATH=VALUE", "--set next-number."),
    (["plan", "--set", "tone.foo=1"], "spec.foo: is no field here", "There are: baseModel"),
    (["plan", "--set", "nope.topK=1"], "no TunedModel is called 'nope'", "There are: tone"),
    (
        ["plan", "--out", "no/such/p.json"],
        "no/such/p.json: there is no such folder",
        "mkdir -p no/such",
    ),
    (["plan", "--out", "manifests"], "'manifests' is a directory", "tunedmodels plan --help"),
    (
        ["apply", "--timeout", "abc"],
        "'abc' is no duration; write for example 2h",
        "tunedmodels apply --help",
    ),
    (["apply", "--parallelism", "0"], "0 is not in the range", "tunedmodels apply --help"),
    (["apply", "no.json"], "There is no plan file no.json", "tunedmodels plan --out no.json"),
    (["show", "tonne"], "There is no model 'tonne'", "Did you mean tone?"),
    (["show", "tone", "--png", "x.png"], "tone has no loss curve yet", "first training step"),
    (["generate", "tone", "hello"], "Nothing serves tone yet", "tunedmodels apply"),
    (["generate", "tone", " "], "What should the model be asked?", ""),
    (["promote", "tone"], "tone has no other ready version", "tunedmodels show tone"),
    (["promote", "tone", "12345678"], "tone has no version '12345678'", "Its versions: none"),
    (["cancel", "nope"], "There is no model 'nope'", "tunedmodels status"),
    (["init", "--name", "No Name"], "'No Name' is no name", "lower-case"),
    (["init"], "exist already; nothing was written", "tunedmodels init DIR"),
    (["completion"], "Missing argument 'SHELL'. Choose from: bash, zsh, fish", "completion --help"),
    (["schema", "nope"], "'nope' is not one of", "tunedmodels schema --help"),
    (["serve", "--keys", "no.yaml"], "no.yaml: No such file", "tunedmodels serve --help"),
    (["serve", "--host", "192.0.2.1"], "only this machine may be served", "--host 127.0.0.1"),
]


@pytest.mark.parametrize(
    ("arguments", "words", "cure"), ARGUMENTS, ids=[" ".join(row[0]) for row in ARGUMENTS]
)
def test_a_mistake_in_a_command_is_said_with_its_cure(
    desk: Desk, arguments: list[str], words: str, cure: str
) -> None:
    before = desk.files()
    ended = desk.run(*arguments)
    assert (ended.code, ended.out) == (1, "")
    assert words in ended.err
    assert cure in ended.err
    assert desk.files() - before <= CACHE


def test_a_plan_goes_through_a_link_and_into_a_pipe_and_replaces_neither(desk: Desk) -> None:
    real, link, pipe = (desk.folder / name for name in ("real.json", "link.json", "pipe"))
    real.write_text("old")
    link.symlink_to(real)
    assert desk.run("plan", "--out", "link.json").code == 0
    assert link.is_symlink()
    assert real.read_text().startswith("{")
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_text)
        assert desk.run("plan", "--out", "pipe").code == 0
        assert read.result().startswith("{")
    assert pipe.is_fifo()


def test_what_destroy_asks_for_is_an_option_that_it_has(desk: Desk) -> None:
    assert desk.run("apply", "--yes").code == 0
    ended = desk.run("destroy")
    assert ended.code == 1
    assert ended.err.endswith("    Say it with --yes.\n")


def test_help_keeps_the_lines_of_an_example_and_cuts_no_sentence(desk: Desk) -> None:
    keys = "\n      keys:\n        - key: a-long-random-text       # or sha256:"
    assert keys in desk.run("serve", "--help").out
    for command in COMMANDS:
        out = desk.run(command, "--help").out
        assert not [line for line in out.splitlines()[1:] if line.endswith("...")], command
        assert "\\b" not in out, command


def test_one_example_is_one_and_not_some(desk: Desk) -> None:
    desk.write("manifests/data/tone.jsonl", ROW)
    assert desk.run("validate").out.endswith("in 1 model and 1 dataset (1 example).\n")


def test_no_command_shows_what_there_is(desk: Desk) -> None:
    ended = desk.run()
    assert ended.code == 1
    assert ended.err.startswith("Usage: tunedmodels ")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\x00", b'{"formatVersion": 1}', b"[]"])
def test_what_is_no_plan_is_refused_by_name(desk: Desk, content: bytes) -> None:
    (desk.folder / "p.json").write_bytes(content)
    ended = desk.run("apply", "p.json")
    assert (ended.code, ended.out) == (4, "")
    assert "p.json: this file is not a plan" in ended.err
    assert "tunedmodels plan --out plan.json" in ended.err


def test_a_plan_of_another_project_is_refused(desk: Desk) -> None:
    assert desk.run("plan", "--out", "p.json").code == 0
    desk.write("manifests/tunedmodels.yaml", PROJECT.replace("demo", "other"))
    ended = desk.run("apply", "p.json")
    assert ended.code == 4
    assert "the plan is of project demo, this is other" in ended.err


def test_without_a_terminal_the_error_stands_apart_from_the_plan(desk: Desk) -> None:
    ended = desk.run("apply")
    assert ended.code == 1
    assert ended.out.endswith("free.\n\n")
    assert "There is nobody to ask here" in ended.err
    assert "--yes" in ended.err


@pytest.mark.parametrize("command", ["plan", "status", "outputs", "watch"])
def test_a_damaged_store_is_named_with_what_helps(desk: Desk, command: str) -> None:
    desk.write("manifests/.tunedmodels/embedded.db", "no database, whatever its name says")
    ended = desk.run(command)
    assert ended.code == 1
    assert "embedded.db: file is not a database" in ended.err
    assert "Restore the file from a backup, or move it away" in ended.err


def hosted(desk: Desk, endpoint: str = "") -> None:
    """Let the model live on a hosted provider."""
    address = f", endpoint: '{endpoint}'" if endpoint else ""
    desk.write(
        "manifests/tunedmodels.yaml",
        PROJECT + f"spec: {{provider: g, providers: {{g: {{type: gemini{address}}}}}}}\n",
    )


def test_without_a_key_its_place_is_named(desk: Desk) -> None:
    hosted(desk)
    for command in (["plan"], ["apply", "--yes"], ["status"], ["generate", "tone", "hello"]):
        ended = desk.run(*command)
        assert (ended.code, ended.out) == (1, "")
        assert "needs an API key, and none is set" in ended.err
        assert "export GEMINI_API_KEY=" in ended.err


def test_a_service_that_is_not_running_is_said_with_the_command(desk: Desk) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hosted(desk, f"http://127.0.0.1:{port}")
    ended = desk.run("plan")
    assert (ended.code, ended.out) == (1, "")
    assert f"Nothing answers at 127.0.0.1:{port}" in ended.err
    assert "tunedmodels serve" in ended.err


def test_a_port_in_use_is_said_with_the_flag(desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = desk.run("serve", "--port", str(taken.getsockname()[1]))
    assert ended.code == 1
    assert "the port is in use" in ended.err
    assert "--port" in ended.err


def test_init_where_a_file_is_writes_nothing(desk: Desk) -> None:
    (desk.folder / "new").write_text("mine")
    ended = desk.run("init", "new")
    assert (ended.code, ended.out) == (1, "")
    assert "new is no folder" in ended.err
    assert (desk.folder / "new").read_text() == "mine"


def test_init_on_a_full_disk_leaves_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.suffix == ".jsonl" or ".jsonl." in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    ended = desk.run("init", "new", "--name", "mine")
    assert (ended.code, ended.out) == (1, "")
    assert "new/data/tone.jsonl cannot be written: No space left on device" in ended.err
    assert "Free some space" in ended.err
    assert not (desk.folder / "new").exists()


def test_standard_input_that_is_no_utf8_is_asked_all_the_same(desk: Desk) -> None:
    assert "Nothing serves tone yet" in desk.run("generate", "tone", stdin=b"caf\xe9").err


def test_closed_streams_are_no_traceback(desk: Desk) -> None:
    command = f"'{sys.executable}' -m tunedmodels"
    for line in ("plan >&-", "plan 2>&-", "generate tone <&-", "plan | true"):
        done = subprocess.run(
            ["bash", "-c", f"{command} {line}"], capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr, line
        assert "Exception" not in done.stderr, line
