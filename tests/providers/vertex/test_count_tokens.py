"""Counting tokens on Vertex AI with the method in the discovery document."""

from __future__ import annotations

import pytest

from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.tuning import loopback_provider
from tunedmodels.providers.gemini import content


async def test_the_service_counts_with_a_base_model(
    cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "BATCH_TEXTS", 2)
    async with loopback_provider(cloud) as vertex:
        # The loopback service counts one token for four characters.
        assert await vertex.count_tokens("models/regional-model", ["four", "eight888", "x"]) == 4
        assert await vertex.count_tokens("models/regional-model", ["", ""]) == 0
