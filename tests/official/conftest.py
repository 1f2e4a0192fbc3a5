"""A real server on loopback for Google's own clients, and one tuned model that has learned."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.embedded_service import listening
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.server import LoopbackOnly

BASE = "models/embedded-label-001"
PAIRS = [("ja", "JA"), ("nein", "NEIN")] * 3
_PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service, as `tunedmodels serve` runs it without keys."""
    with pytest.MonkeyPatch.context() as patch:
        # Every client here would ask a proxy first.
        patch.setenv("NO_PROXY", "127.0.0.1")
        with (
            EmbeddedService(tmp_path_factory.mktemp("official") / "store") as service,
            listening(LoopbackOnly(service.app)) as address,
        ):
            service.start()
            yield address


@pytest.fixture(scope="module")
def http(url: str) -> Iterator[httpx.Client]:
    """The wire itself."""
    with httpx.Client(base_url=url) as client:
        yield client


def document(**hyperparameters: float) -> dict[str, Any]:
    """The body of a create."""
    examples = [{"textInput": text, "output": output} for text, output in PAIRS]
    return {
        "baseModel": BASE,
        "displayName": "Tone",
        "tuningTask": {
            "hyperparameters": hyperparameters,
            "trainingData": {"examples": {"examples": examples}},
        },
    }


@pytest.fixture
def busy(http: httpx.Client) -> Iterator[str]:
    """The name of a model of this test alone, which has much to learn."""
    asked = document(epochCount=900, batchSize=1)
    answer = http.post("/v1beta/tunedModels?tunedModelId=busy", json=asked)
    answer.raise_for_status()
    yield "tunedModels/busy"
    http.delete("/v1beta/tunedModels/busy")


@pytest.fixture(scope="module")
def tone(http: httpx.Client) -> str:
    """The name of a model that is ACTIVE; it was made with a learning rate multiplier."""
    asked = document(learningRateMultiplier=2, epochCount=3, batchSize=2)
    answer = http.post("/v1beta/tunedModels?tunedModelId=tone", json=asked)
    operation = answer.raise_for_status().json()["name"]
    deadline = time.monotonic() + _PATIENCE_S
    while not http.get(f"/v1beta/{operation}").json().get("done"):
        assert time.monotonic() < deadline, "the model was never trained"
        time.sleep(0.02)
    return "tunedModels/tone"
