"""Counting tokens on Vertex AI: the method that the discovery document names, and no other."""

from __future__ import annotations

import pytest

from tests.support.vertex.cloud import Cloud
from tests.support.vertex.tuning import opened
from tunedmodels.providers.gemini import content


async def test_the_service_counts_with_a_base_model(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "BATCH_TEXTS", 2)
    async with opened(cloud) as vertex:
        # The loopback counts one token for four characters.
        assert await vertex.count_tokens("models/gemini-2.5-flash", ["four", "eight888", "x"]) == 4
        assert await vertex.count_tokens("models/gemini-2.5-flash", ["", ""]) == 0
