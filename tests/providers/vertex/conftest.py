"""A loopback cloud whose requests must all be documented by Google."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.vertex.client import LoopbackClient, examples
from tests.support.vertex.cloud import LoopbackCloud


@pytest.fixture
def cloud() -> Iterator[LoopbackCloud]:
    """A cloud with data in a bucket; a request that no discovery document allows fails the test."""
    cloud = LoopbackCloud()
    cloud.buckets.create_bucket("data")
    cloud.buckets.put("data", "train.jsonl", examples())
    yield cloud
    assert cloud.violations == []


@pytest.fixture
async def client(cloud: LoopbackCloud) -> AsyncIterator[LoopbackClient]:
    """A client with all permissions."""
    async with LoopbackClient(cloud) as client:
        yield client
