"""`tunedmodels lock`: showing and breaking the lock of another process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.vertex.cloud import PROJECT, LoopbackCloud
from tests.support.vertex.service import loopback
from tunedmodels.cli.main import run

LOCK = "tunedmodels/locks/demo@proj-1.us-central1"


def write_project(folder: Path, url: str) -> Path:
    eu = {
        "type": "vertex",
        "project": PROJECT,
        "location": "us-central1",
        "bucket": "data",
        "endpoint": url,
        "storageEndpoint": url,
    }
    project = {
        "apiVersion": "tunedmodels.dev/v1",
        "kind": "Project",
        "metadata": {"name": "demo"},
        "spec": {"providers": {"eu": eu}},
    }
    (folder / "tunedmodels.yaml").write_text(json.dumps(project))
    return folder


def test_a_lock_is_shown_and_broken(
    cloud: LoopbackCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", cloud.identity.issue())
    metadata = {"owner": "x", "who": "ann", "host": "ci-7", "pid": "12", "lifeS": "60"}
    with loopback(cloud) as url:
        command = ["-C", str(write_project(tmp_path, url)), "lock"]
        assert run([*command, "show"]) == 0
        assert capsys.readouterr().out == "No lock is held.\n"
        cloud.buckets.put("data", LOCK, b"", **metadata)
        assert run([*command, "show"]) == 0
        assert capsys.readouterr().out == (
            "eu: held by ann on ci-7, process 12\n"
            f"    gs://data/{LOCK}, renewed 2026-11-22 12:00:00 UTC; expires "
            "1 min 00 s after that\n"
        )
        assert run([*command, "break"]) == 1  # no terminal for the confirmation
        assert ("data", LOCK) in cloud.buckets.objects
        assert run([*command, "break", "--yes"]) == 0
        assert "eu: broke the lock of ann on ci-7" in capsys.readouterr().out
        assert ("data", LOCK) not in cloud.buckets.objects
        assert run([*command, "break", "--yes"]) == 0
        assert capsys.readouterr().out == "No lock is held.\n"
