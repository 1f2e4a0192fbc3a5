"""The service on a port of this machine."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.embedded_service import ended
from tunedmodels.errors import TunedModelsError
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.server import LoopbackOnly, serve

SERVE = """
import sys
from pathlib import Path
from tunedmodels.service.server import serve
serve(Path(sys.argv[1]), port=0)
"""
BASE = "models/embedded-label-001"
EXAMPLES = [{"text_input": text, "output": text.upper()} for text in ("ja", "nein")]
CREATE = {
    "base_model": BASE,
    "tuning_task": {"training_data": {"examples": {"examples": EXAMPLES}}},
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, "-c", SERVE, str(tmp_path / "store")]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def address(server: subprocess.Popen[str]) -> str:
    """The URL that the server says it listens on."""
    assert server.stderr is not None
    (url,) = (word for word in server.stderr.readline().split() if word.startswith("http"))
    return url


async def test_a_model_is_trained_and_asked_over_http_and_the_server_stops_in_order(
    server: subprocess.Popen[str],
) -> None:
    async with httpx.AsyncClient(base_url=address(server)) as api:
        answer = await api.post("/v1beta/tunedModels?tunedModelId=a", json=CREATE)
        assert "response" in await ended(api, answer.json())
        question = {"contents": [{"parts": [{"text": "nein"}]}]}
        answer = await api.post("/v1beta/tunedModels/a:generateContent", json=question)
        assert answer.json()["candidates"][0]["content"]["parts"] == [{"text": "NEIN"}]
    server.send_signal(signal.SIGTERM)
    _, words = server.communicate(timeout=20)
    assert (server.returncode, words) == (0, "")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:8787"}, 200),
        ({"host": "[::1]:8787"}, 200),
        ({"origin": "http://localhost:3000"}, 200),
        ({"host": "rebound.example"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
async def test_only_pages_and_programs_of_this_machine_are_answered(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    with EmbeddedService(tmp_path) as service:
        transport = httpx.ASGITransport(LoopbackOnly(service.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as api:
            answer = await api.get("/v1beta/models", headers=headers)
    assert answer.status_code == status
    answer.json()


def test_a_port_that_is_in_use_is_said_with_the_cure(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(TunedModelsError, match="the port is in use") as refused:
            serve(tmp_path / "store", port=taken.getsockname()[1])
    assert "--port" in refused.value.cure
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com"])  # noqa: S104  # refused
def test_only_this_machine_can_be_served(tmp_path: Path, host: str) -> None:
    with pytest.raises(TunedModelsError, match="only this machine may be served"):
        serve(tmp_path / "store", host=host, port=0)
