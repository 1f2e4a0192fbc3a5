"""Tests of full and read-only disks, kills and stops: no acknowledged request is lost."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.embedded_service import PATH, body, client, create, get, service
from tests.support.serve_process import ServeProcess, create_body, list_models, run_server
from tunedmodels.service.store.database import Database
from tunedmodels.service.store.jobs import JobQueue

_TIMEOUT_S = 30.0
_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def wait_until(condition: Callable[[], Any]) -> Any:
    """Return the value of `condition` as soon as it is true."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.02)
    return value


def check_store(store: Path) -> None:
    """Assert that the database is intact and that every file belongs to one of its models."""
    with sqlite3.connect(store / "embedded.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        stems = {f"{id_}.{seq}" for id_, seq in database.execute("SELECT id, seq FROM models")}
        (owners,) = database.execute("SELECT count(*) FROM permissions WHERE role = 1").fetchone()
        assert owners == len(stems)
    database.close()
    for part in ("adapters", "checkpoints", "leases"):
        for file in (store / part).glob("*"):
            assert file.name.rpartition(".")[0] in stems, file


def unavailable_message(response: httpx.Response) -> str:
    """Return the message of a 503 response in Google's format."""
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["status"]) == (503, 503, "UNAVAILABLE")
    message: str = error["message"]
    return message


def test_a_full_disk_is_reported_and_the_service_recovers(folder: Path) -> None:
    def limit(pid: int, size: tuple[int, int]) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, size)

    with run_server(folder) as server:
        assert server.api.post(f"{PATH}?tunedModelId=a", json=create_body()).status_code == 200
        wait_until(lambda: list_models(server.api)["a"]["state"] == "ACTIVE")
        before = server.api.get(PATH).json()
        # From here on the process cannot write files, as with a full disk or a quota.
        limit(server.process.pid, (0, resource.RLIM_INFINITY))
        message = unavailable_message(server.api.post(f"{PATH}?tunedModelId=b", json=create_body()))
        assert str(folder / "embedded.db") in message
        assert "Check the disk: space" in message
        unavailable_message(server.api.patch(f"{PATH}/a", json={"displayName": "other"}))
        unavailable_message(server.api.delete(f"{PATH}/a"))
        assert server.api.get("/healthz").status_code == 503
        assert server.api.get(PATH).json() == before, "reads continue, and no data is lost"
        limit(server.process.pid, _UNLIMITED)
        assert server.api.post(f"{PATH}?tunedModelId=b", json=create_body()).status_code == 200
        wait_until(lambda: list_models(server.api)["b"]["state"] == "ACTIVE")
        wait_until(lambda: server.api.get("/healthz").status_code == 200)
        server.stop()
    check_store(folder)


async def test_a_read_only_disk_rejects_changes_and_serves_reads(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service(folder) as embedded:
        async with client(embedded) as api:
            await create(api, "a")
            before = await get(api, f"{PATH}/a")
            embedded.store.database.close()
            embedded.store.database = read_only = Database(folder)
            original_open = read_only._open

            def open_read_only() -> sqlite3.Connection:
                connection = original_open()
                connection.execute("PRAGMA query_only = ON")
                return connection

            monkeypatch.setattr(read_only, "_open", open_read_only)
            for response in (
                await api.post(f"{PATH}?tunedModelId=b", json=body()),
                await api.patch(f"{PATH}/a", json={"displayName": "other"}),
                await api.delete(f"{PATH}/a"),
            ):
                message = unavailable_message(response)
                assert "readonly database. Make the directory and its files writable" in message
            assert await get(api, f"{PATH}/a") == before


# Runs as an unprivileged user, because root can write to read-only files.
_READ_ONLY = """
import os, sys
from pathlib import Path
import anyio, httpx
from tests.support.embedded_service import PATH, body, client, create, service

async def send_requests(embedded):
    async with client(embedded) as api:
        for response in (await api.post(PATH, json=body()), await api.get(PATH)):
            print(response.status_code, response.json().get("error", {}).get("message", "ok"))

folder = Path(sys.argv[1])
with service(folder) as first, service(folder / "no database") as broken:
    first.store.database.probe()
    (folder / "no database").mkdir()
    (folder / "no database" / "embedded.db").write_bytes(b"x" * 1000)
    anyio.run(send_requests, broken)  # imports modules that the other user cannot read
(folder / "embedded.db").chmod(0o444)
folder.chmod(0o555)
if os.geteuid() == 0:
    os.setuid(65534)
with service(folder) as embedded:
    anyio.run(send_requests, embedded)
"""


def test_a_directory_without_write_permission_is_reported_with_the_cure() -> None:
    with tempfile.TemporaryDirectory() as parent:  # pytest's own directories are private
        Path(parent).chmod(0o755)
        folder = Path(parent) / "store"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [sys.executable, "-c", _READ_ONLY, str(folder)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    _, _, created, listed = done.stdout.splitlines()
    status, _, message = created.partition(" ")
    assert status == "503"
    assert "Make the directory and its files" in message
    assert "writable for your user" in message
    assert listed == "200 ok", "reading needs no permission to write"


def kill_during(
    server: ServeProcess, send: Callable[[int], httpx.Response], *, after: int
) -> list[Any]:
    """Send requests, kill the server after some of them, and return its responses."""
    received: list[Any] = []

    def work() -> None:
        number = 0
        try:
            while True:
                response = send(number)
                assert response.status_code == 200, response.text
                received.append(response.json())
                number += 1
        except httpx.TransportError:
            pass  # the server was killed

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: len(received) >= after)
    server.kill()
    thread.join()
    return received


def test_a_kill_during_creates_loses_no_acknowledged_model(folder: Path) -> None:
    with run_server(folder) as server:
        received = kill_during(
            server,
            lambda number: server.api.post(f"{PATH}?tunedModelId=m{number}", json=create_body()),
            after=6,
        )
    ids = {
        operation["metadata"]["tunedModel"].removeprefix("tunedModels/") for operation in received
    }
    with run_server(folder) as server:
        existing = set(list_models(server.api))
        assert ids <= existing
        assert len(existing - ids) <= 1, "the request in progress"
        server.stop()
    check_store(folder)


def test_a_kill_during_patches_leaves_a_complete_patch(
    folder: Path,
) -> None:
    with run_server(folder) as server:
        server.api.post(f"{PATH}?tunedModelId=a", json=create_body()).raise_for_status()
        wait_until(lambda: list_models(server.api)["a"]["state"] == "ACTIVE")
        received = kill_during(
            server,
            lambda number: server.api.patch(
                f"{PATH}/a?updateMask=displayName,description",
                json={"displayName": f"name {number}", "description": f"text {number}"},
            ),
            after=10,
        )
    with run_server(folder) as server:
        model = list_models(server.api)["a"]
        last = len(received) - 1
        assert model["displayName"] in (f"name {last}", f"name {last + 1}")
        number = model["displayName"].split()[1]
        assert model["description"] == f"text {number}", "a patch is atomic"
        assert model["state"] == "ACTIVE"
        server.stop()
    check_store(folder)


def test_a_kill_during_deletes_leaves_no_partial_model(folder: Path) -> None:
    with run_server(folder) as server:
        for number in range(12):
            server.api.post(f"{PATH}?tunedModelId=m{number}", json=create_body()).raise_for_status()
        received = kill_during(
            server, lambda number: server.api.delete(f"{PATH}/m{number}"), after=4
        )
    with run_server(folder) as server:
        existing = list_models(server.api)
        deleted = len(received)
        assert set(existing) in (
            {f"m{number}" for number in range(deleted, 12)},
            {f"m{number}" for number in range(deleted + 1, 12)},
        )
        server.stop()
    check_store(folder)


def test_a_kill_during_training_loses_only_time(folder: Path) -> None:
    with run_server(folder) as server:
        long = create_body(epochs=30, examples=100)
        server.api.post(f"{PATH}?tunedModelId=a", json=long).raise_for_status()
        wait_until(lambda: list_models(server.api)["a"]["tuningTask"].get("snapshots"))
        assert list_models(server.api)["a"]["state"] == "CREATING"
        server.kill()
    with run_server(folder) as server:
        model = wait_until(lambda: (m := list_models(server.api)["a"])["state"] == "ACTIVE" and m)
        steps = [snapshot["step"] for snapshot in model["tuningTask"]["snapshots"]]
        assert steps == list(range(1, 3001))
        server.stop()
    check_store(folder)


def test_a_stop_completes_requests_in_progress_and_saves_checkpoints(folder: Path) -> None:
    content = json.dumps(create_body()).encode()
    with run_server(folder) as server:
        long = create_body(epochs=200, examples=100)
        server.api.post(f"{PATH}?tunedModelId=long", json=long).raise_for_status()
        wait_until(lambda: list_models(server.api)["long"]["tuningTask"].get("snapshots"))
        url = httpx.URL(server.url)
        with socket.create_connection((url.host, url.port or 0), timeout=20) as connection:
            head = f"POST {PATH}?tunedModelId=late HTTP/1.1\r\nHost: localhost\r\n"
            connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode())
            # The server has read the head when it has responded to a later request.
            server.api.get(PATH)
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not accepts_connections(url))
            connection.sendall(content)
            response = connection.recv(65_536)
        assert response.startswith(b"HTTP/1.1 200 ")
        _, message = server.process.communicate(timeout=30)
        assert (server.process.returncode, message) == (0, "")
    assert (folder / "checkpoints" / "long.1.safetensors").exists()
    check_store(folder)
    with service(folder) as embedded:
        assert embedded.store.get("late")
        assert (1, "long") in JobQueue(embedded.store).list_unfinished()


def accepts_connections(url: httpx.URL) -> bool:
    """Return whether the server accepts connections."""
    try:
        socket.create_connection((url.host, url.port or 0), timeout=1).close()
    except OSError:
        return False
    return True
