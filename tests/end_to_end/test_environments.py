"""Environments and owners with real processes on one server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.project_dir import MODEL, TONE_EXAMPLES
from tests.support.serve_process import create_body, run_server

LINEAGE = "3f9c1e7a2b04"
PROJECT = """\
apiVersion: tunedmodels.dev/v1
kind: Project
metadata: {{name: demo, lineage: {lineage}}}
spec:
  provider: here
  providers: {{here: {{type: gemini, endpoint: "{url}"}}}}
  environments: {{staging: {{}}, production: {{promotesFrom: staging}}, qa: {{}}}}
"""


class Checkout:
    """A checkout of the project, whose commands run as processes of their own."""

    def __init__(self, folder: Path, url: str, *, lineage: str = LINEAGE, key: str = "") -> None:
        self.folder = folder
        (folder / "data").mkdir(parents=True)
        (folder / "tunedmodels.yaml").write_text(PROJECT.format(url=url, lineage=lineage))
        rows = [json.dumps({"text_input": i, "output": o}) for i, o in TONE_EXAMPLES * 6]
        (folder / "data" / "tone.jsonl").write_text("\n".join(rows) + "\n")
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_COLOR": "1"}
        self.environ |= {"GEMINI_API_KEY": key} if key else {}
        self.declare(2)

    def declare(self, epochs: int, *, keep: int = 0) -> None:
        spec = f"  hyperparameters: {{epochCount: {epochs}}}\n  lifecycle: {{keep: {keep}}}\n"
        (self.folder / "tone.yaml").write_text(MODEL + spec)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tunedmodels", "-C", str(self.folder), *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environ,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        out, _ = process.communicate(timeout=120)
        return process.returncode, out

    def serving(self, environment: str) -> str:
        code, out = self.run("outputs", "--env", environment, "--format", "json")
        assert code == 0, out
        return str(json.loads(out)["tone"]["model"])


def models(api: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/v1beta/tunedModels").json().get("tunedModels", [])
    return found


def test_environments_that_apply_at_once_keep_what_serves_and_train_once(tmp_path: Path) -> None:
    with run_server(tmp_path / "store") as server:
        one, two = (Checkout(tmp_path / name, server.url) for name in ("one", "two"))
        starts = [c.start("apply", "--env", "staging", "--yes") for c in (one, two)]
        outputs = [process.communicate(timeout=120)[0] for process in starts]
        assert [process.returncode for process in starts] == [0, 0], outputs
        assert len(models(server.api)) == 1, "one job, however many machines apply"
        code, out = one.run("apply", "--env", "production", "--yes")
        assert code == 0, out
        serving = one.serving("production")
        for epochs in (3, 4):
            for checkout in (one, two):
                checkout.declare(epochs)
            processes = [
                one.start("apply", "--env", "staging", "--yes"),
                two.start("apply", "--env", "production", "--yes"),
            ]
            codes = []
            for process in processes:
                process.communicate(timeout=120)
                codes.append(process.returncode)
            assert codes[0] == 0
            assert codes[1] in (0, 3), "it promotes, or waits for staging"
            assert serving in [f"{model['name']}" for model in models(server.api)] or (
                codes[1] == 0
            ), "what production served was deleted before production left it"
            code, out = two.run("apply", "--env", "production", "--yes")
            assert code == 0, out
            serving = two.serving("production")
            assert serving == one.serving("staging")
        assert one.run("apply", "--env", "staging", "--yes")[0] == 0
        assert len(models(server.api)) == 1, "what no environment uses is gone"


def test_environments_and_lineages_share_nothing(tmp_path: Path) -> None:
    with run_server(tmp_path / "store") as server:
        ours = Checkout(tmp_path / "ours", server.url)
        theirs = Checkout(tmp_path / "theirs", server.url, lineage="0123456789ab")
        for checkout, environment in ((ours, "staging"), (ours, "qa"), (theirs, "staging")):
            code, out = checkout.run("apply", "--env", environment, "--yes")
            assert code == 0, out
        assert len({model["name"] for model in models(server.api)}) == 3
        code, out = theirs.run("destroy", "--env", "staging", "--yes")
        assert code == 0, out
        assert len(models(server.api)) == 2
        for environment in ("staging", "qa"):
            code, out = ours.run("plan", "--env", environment, "--detailed-exitcode")
            assert code == 0, out


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys.yaml"
    file.write_text(
        "keys:\n"
        + "".join(
            f"  - {{key: {name}-key-0123456789, user: {name}@example.com, project: {number}}}\n"
            for number, name in ((1, "ana"), (2, "eve"))
        )
    )
    file.chmod(0o600)
    return file


def test_a_forged_stamp_and_a_taken_id_change_nothing_for_the_owner(
    tmp_path: Path, keys: Path
) -> None:
    with run_server(tmp_path / "store", "--keys", str(keys), key="eve-key-0123456789") as server:
        ana = Checkout(tmp_path / "ana", server.url, key="ana-key-0123456789")
        code, out = ana.run("apply", "--env", "staging", "--yes")
        assert code == 0, out
        serving = ana.serving("staging")
        _, before = ana.run("plan", "--env", "staging", "--format", "json")
        stamp = (
            f"[tunedmodels lineage={LINEAGE} project=demo env=staging name=tone"
            f" fingerprint={'0' * 64} dataset={'0' * 64} examples=24"
            " promoted=2126-01-01T00:00:00Z]"
        )
        forge(server.api, "tone-00000000", stamp, role="READER")
        assert ana.serving("staging") == serving
        _, after = ana.run("plan", "--env", "staging", "--format", "json")
        assert json.loads(after)["digest"] == json.loads(before)["digest"]
        assert "belongs to another user; ignored" in after
        ana.declare(3)
        _, out = ana.run("plan", "--env", "staging", "--format", "json")
        (change,) = json.loads(out)["changes"]
        taken, digest = change["after"]["modelId"], change["after"]["fingerprint"]
        forge(server.api, taken, stamp.replace("0" * 64, digest, 1), role="WRITER")
        code, out = ana.run("apply", "--env", "staging", "--yes")
        assert code == 1
        assert "conflict" in out
        assert "transfer it to you" in " ".join(out.split())
        assert ana.serving("staging") == serving


def forge(api: httpx.Client, model_id: str, stamp: str, *, role: str) -> None:
    """Create a model with a stamp, and share it with Ana."""
    body = create_body(description=stamp)
    created = api.post(f"/v1beta/tunedModels?tunedModelId={model_id}", json=body)
    assert created.status_code == 200, created.text
    permission = {"role": role, "granteeType": "USER", "emailAddress": "ana@example.com"}
    shared = api.post(f"/v1beta/tunedModels/{model_id}/permissions", json=permission)
    assert shared.status_code == 200, shared.text
