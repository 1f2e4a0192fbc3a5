"""A service that repeats our token in everything it says: no file and no word of ours holds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.forked_cli import Nursery
from tests.support.vertex.cloud import Cloud
from tests.support.vertex.errors import Refused
from tests.support.vertex.project_dir import opened


@pytest.mark.parametrize("call", ["tuningJobs.create", "models.patch"])
def test_a_token_that_the_service_repeats_is_in_no_file_and_no_word(
    call: str, tmp_path: Path
) -> None:
    cloud = Cloud()
    cloud.buckets.make("data")
    cloud.pace_s = 200
    with Nursery() as nursery, opened(cloud, nursery, tmp_path) as shop:
        token = shop.environ["GOOGLE_OAUTH_ACCESS_TOKEN"]
        refusal = Refused(403, f"No, {token} may not do that. Bearer {token}")
        cloud.faults.refuse(refusal, call, times=100)
        code, said = shop.run("apply", "--yes", "--events", "events.jsonl")
        assert code == 1, said
        assert "may not do that" in said
        assert token not in said
        shop.run("doctor")
        shop.run("status")
        files = [path for path in shop.folder.rglob("*") if path.is_file()]
        assert shop.folder / "events.jsonl" in files
        assert any("journal" in path.parts for path in files)
        assert [path for path in files if token.encode() in path.read_bytes()] == []
