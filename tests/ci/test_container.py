"""The container image, checked without a container engine; CI builds and runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import yaml

from tests.support.paths import ROOT
from tests.support.serve_process import run_server
from tunedmodels.cli.serve import command
from tunedmodels.service.identity import key_digest

IMAGE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docs/compose.yaml").read_text(encoding="utf-8"))
KEY = "the-key-of-a-container"


def instructions(name: str) -> list[str]:
    """Return the arguments of every instruction of that name, in order."""
    return re.findall(rf"^{name} (.*)$", IMAGE, re.MULTILINE)


def exec_words(name: str) -> list[str]:
    """Return the words of an instruction in its exec form."""
    (text,) = instructions(name)
    found: list[str] = json.loads(text[text.index("[") :])
    return found


def test_both_stages_use_the_same_exact_version_of_python() -> None:
    build, final = (image.split()[0] for image in instructions("FROM"))
    assert build == final
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", final)


def test_the_container_runs_as_an_unprivileged_user_that_owns_the_store_volume() -> None:
    (user,) = instructions("USER")
    assert re.fullmatch(r"[1-9]\d{4}:[1-9]\d{4}", user)
    assert f"--uid {user.split(':')[0]} " in instructions("RUN")[-1]
    (volume,) = instructions("VOLUME")
    assert instructions("RUN")[-1].endswith(f"--mode 0700 --owner tunedmodels --group tunedmodels {volume}")  # fmt: skip  # noqa: E501  # one line of the file
    assert volume in exec_words("CMD")


def test_the_default_command_is_a_valid_tunedmodels_command() -> None:
    assert exec_words("ENTRYPOINT") == ["tunedmodels"]
    name, *options = exec_words("CMD")
    assert name == "serve"
    with command.make_context(name, list(options)) as context:
        found = {key: str(value) for key, value in context.params.items()}
    assert isinstance(command, click.Command)
    assert found["host"] == "0.0.0.0"  # noqa: S104  # the point
    assert found["port"] == "8787" == instructions("EXPOSE")[0]
    assert found["keys"] == "/etc/tunedmodels/keys.yaml"


def test_the_default_command_serves_with_keys_and_passes_its_health_check(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    entry = {"sha256": key_digest(KEY), "user": "ana@example.com", "project": 1}
    keys.write_text(yaml.safe_dump({"keys": [entry]}))
    keys.chmod(0o444)  # as it is mounted
    options = ["--host", "0.0.0.0", "--keys", str(keys)]  # noqa: S104  # the point
    check = exec_words("HEALTHCHECK")
    assert check[:2] == ["python", "-c"]
    with run_server(tmp_path / "store", *options, key=KEY) as server:
        port = server.url.rpartition(":")[2]
        code = check[2].replace("8787", port)
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    failed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert failed.returncode != 0, "nothing listens any more"


def test_the_image_copies_only_files_that_are_not_ignored() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source
        for arguments in instructions("COPY")
        if not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)
    assert not any(fnmatch(name, rule) for name in ("keys.yaml", ".git") for rule in allowed)


def test_the_compose_example_fits_the_image() -> None:
    service = COMPOSE["services"]["tunedmodels"]
    (volume,) = instructions("VOLUME")
    assert service["volumes"] == [f"models:{volume}"]
    assert [one["target"] for one in service["configs"]] == ["/etc/tunedmodels/keys.yaml"]
    assert service["ports"] == ["127.0.0.1:8787:8787"], "plain HTTP stays on this machine"
    assert (ROOT / "docs" / service["build"]).resolve() == ROOT
    assert COMPOSE["configs"]["keys"]["file"] == "./keys.yaml"
