"""A real server on loopback for Google's own clients, and a trained model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.embedded_service import serve_in_thread
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.server import LoopbackOnly

BASE = "models/embedded-label-001"
PAIRS = [("ja", "JA"), ("nein", "NEIN")] * 3
_TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service, as `tunedmodels serve` runs it without keys."""
    with pytest.MonkeyPatch.context() as patch:
        # The clients would use a proxy.
        patch.setenv("NO_PROXY", "127.0.0.1")
        with (
            EmbeddedService(tmp_path_factory.mktemp("official") / "store") as service,
            serve_in_thread(LoopbackOnly(service.app)) as address,
        ):
            service.start()
            yield address


@pytest.fixture(scope="module")
def http(url: str) -> Iterator[httpx.Client]:
    """An HTTP client for requests that Google's clients cannot send."""
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
    """The name of a model of one test, with a long training."""
    body = document(epochCount=900, batchSize=1)
    response = http.post("/v1beta/tunedModels?tunedModelId=busy", json=body)
    response.raise_for_status()
    yield "tunedModels/busy"
    http.delete("/v1beta/tunedModels/busy")


@pytest.fixture(scope="module")
def tone(http: httpx.Client) -> str:
    """The name of an ACTIVE model that was created with a learning rate multiplier."""
    body = document(learningRateMultiplier=2, epochCount=3, batchSize=2)
    response = http.post("/v1beta/tunedModels?tunedModelId=tone", json=body)
    operation = response.raise_for_status().json()["name"]
    deadline = time.monotonic() + _TIMEOUT_S
    while not http.get(f"/v1beta/{operation}").json().get("done"):
        assert time.monotonic() < deadline, "the model was never trained"
        time.sleep(0.02)
    return "tunedModels/tone"
