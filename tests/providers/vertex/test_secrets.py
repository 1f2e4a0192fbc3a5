"""A service that repeats our token in its errors: no file and no output contains it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.forked_cli import ForkedCli
from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.errors import ServiceError
from tests.support.vertex.project_dir import open_project


@pytest.mark.parametrize("method", ["tuningJobs.create", "models.patch"])
def test_a_token_that_the_service_repeats_is_in_no_file_and_no_output(
    method: str, tmp_path: Path
) -> None:
    cloud = LoopbackCloud()
    cloud.buckets.create_bucket("data")
    cloud.seconds_per_request = 200
    with ForkedCli() as forked_cli, open_project(cloud, forked_cli, tmp_path) as project:
        token = project.environ["GOOGLE_OAUTH_ACCESS_TOKEN"]
        error = ServiceError(403, f"No, {token} may not do that. Bearer {token}")
        cloud.faults.reject(error, method, times=100)
        code, output = project.run("apply", "--yes", "--events", "events.jsonl")
        assert code == 1, output
        assert "may not do that" in output
        assert token not in output
        project.run("doctor")
        project.run("status")
        files = [path for path in project.directory.rglob("*") if path.is_file()]
        assert project.directory / "events.jsonl" in files
        assert any("journal" in path.parts for path in files)
        assert [path for path in files if token.encode() in path.read_bytes()] == []
