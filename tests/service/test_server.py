"""Tests of the service as a server, and of the options of `tunedmodels serve`."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.embedded_service import PATH, body, client, create, service, wait_done
from tests.support.project_dir import ProjectDir, project_dir
from tests.support.serve_process import create_body, run_server
from tunedmodels.errors import TunedModelsError
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.server import LoopbackOnly, serve

__all__ = ["ProjectDir", "project_dir"]
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


def read_url(server: subprocess.Popen[str]) -> str:
    """Return the URL that the server prints."""
    assert server.stderr is not None
    (url,) = (word for word in server.stderr.readline().split() if word.startswith("http"))
    return url


async def test_a_model_is_trained_and_answers_over_http_and_the_server_stops_in_order(
    server: subprocess.Popen[str],
) -> None:
    async with httpx.AsyncClient(base_url=read_url(server)) as api:
        response = await api.post("/v1beta/tunedModels?tunedModelId=a", json=CREATE)
        assert "response" in await wait_done(api, response.json())
        prompt = {"contents": [{"parts": [{"text": "nein"}]}]}
        response = await api.post("/v1beta/tunedModels/a:generateContent", json=prompt)
        assert response.json()["candidates"][0]["content"]["parts"] == [{"text": "NEIN"}]
    server.send_signal(signal.SIGTERM)
    _, output = server.communicate(timeout=20)
    assert (server.returncode, output) == (0, "")


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
async def test_only_requests_of_this_machine_are_accepted(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    with EmbeddedService(tmp_path) as embedded:
        transport = httpx.ASGITransport(LoopbackOnly(embedded.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as api:
            response = await api.get("/v1beta/models", headers=headers)
    assert response.status_code == status
    response.json()


def test_a_port_in_use_is_reported_with_the_cure(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(TunedModelsError, match="the port is in use") as error:
            serve(tmp_path / "store", port=listener.getsockname()[1])
    assert "--port" in error.value.cure
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com"])  # noqa: S104  # rejected
def test_without_keys_only_loopback_addresses_are_allowed(tmp_path: Path, host: str) -> None:
    with pytest.raises(TunedModelsError, match="only loopback addresses are allowed"):
        serve(tmp_path / "store", host=host, port=0)


def test_serve_accepts_all_of_its_options(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    options = ["--max-concurrent-jobs", "1", "--access-log", str(log), "--retention", "30d"]
    with run_server(tmp_path / "store", *options, "--chaos", "rate=0,seed=1") as server:
        assert server.output.startswith("CHAOS: 0% of the requests")
        assert server.api.get("/healthz").json()["status"] == "ok"
        assert server.api.post(f"{PATH}?tunedModelId=a", json=create_body()).status_code == 200
        assert 'tunedmodels_http_requests_total{code="200"' in server.api.get("/metrics").text
        server.stop()
    assert [json.loads(line)["path"] for line in log.read_text().splitlines()] == [
        "/healthz",
        PATH,
        "/metrics",
    ]


async def test_one_concurrent_job_trains_jobs_in_turn(tmp_path: Path) -> None:
    with service(tmp_path / "store", jobs=1) as embedded:
        embedded.start()
        async with client(embedded) as api:
            first = await create(api, "a", body("pace=0.02"))
            second = await create(api, "b")
            await wait_done(api, second)
            assert (await api.get(f"/v1/{first['name']}")).json()["done"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--retention", "soon"], "'soon' is not a valid duration"),
        (["--retention", "0s"], "'0s' is not a valid duration"),
        (["--chaos", "rate=2"], "rate: must be a number between 0 and 1 (got '2')"),
        (["--max-concurrent-jobs", "0"], "0 is not in the range"),
        (["--jobs", "65"], "65 is not in the range"),
        (["--access-log", "nowhere/x"], "cannot be written as the access log"),
    ],
)
def test_an_invalid_option_is_rejected(
    project_dir: ProjectDir, arguments: list[str], message: str
) -> None:
    result = project_dir.run("serve", "--port", "0", *arguments)
    assert (result.code, message in result.err) == (1, True), result.err


def test_a_damaged_store_is_rejected_with_the_cure_and_unchanged(project_dir: ProjectDir) -> None:
    store = project_dir.folder / "manifests/.tunedmodels"
    with service(store) as embedded:
        embedded.store.database.probe()
    with sqlite3.connect(store / "embedded.db") as connection:
        connection.execute("INSERT INTO datasets VALUES (1, zeroblob(50000))")
    connection.close()
    content = bytearray((store / "embedded.db").read_bytes())
    # Damage the tables after the first page: a check of the header alone does not find it.
    content[4096 : 4096 * 6] = b"\xa5" * 4096 * 5
    (store / "embedded.db").write_bytes(content)
    result = project_dir.run("serve", "--port", "0")
    assert result.code == 1
    assert "manifests/.tunedmodels/embedded.db: is damaged: " in result.err, result.err
    assert "Restore the file from a backup" in result.err
    assert (store / "embedded.db").read_bytes() == content
