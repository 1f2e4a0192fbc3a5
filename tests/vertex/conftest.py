"""A project of Google Cloud for one test, whose requests must all be Google's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vertex.cloud import Cloud


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A cloud with the bucket `data`; whatever no discovery document allows fails the test."""
    cloud = Cloud()
    cloud.buckets.make("data")
    yield cloud
    assert cloud.violations == []
