"""A project of Google Cloud for one test, whose requests must all be Google's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.vertex.client import Asker, examples
from tests.support.vertex.cloud import Cloud


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A cloud with data in a bucket; whatever no discovery document allows fails the test."""
    cloud = Cloud()
    cloud.buckets.make("data")
    cloud.buckets.put("data", "train.jsonl", examples())
    yield cloud
    assert cloud.violations == []


@pytest.fixture
async def asker(cloud: Cloud) -> AsyncIterator[Asker]:
    """Someone who may do everything there."""
    async with Asker(cloud) as asker:
        yield asker
