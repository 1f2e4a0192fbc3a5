"""Full and read-only disks, kills and stops: nothing that was answered is lost."""

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
from tests.support.serve_process import Server, job, models, serving
from tunedmodels.service.store.database import Database
from tunedmodels.service.store.jobs import Jobs

_PATIENCE_S = 30.0
_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def until(condition: Callable[[], Any]) -> Any:
    """What `condition` returns, as soon as it is true."""
    deadline = time.monotonic() + _PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
    return value


def is_sound(store: Path) -> None:
    """Whatever happened: the database is whole, and every file belongs to a model in it."""
    with sqlite3.connect(store / "embedded.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        known = {f"{id_}.{seq}" for id_, seq in database.execute("SELECT id, seq FROM models")}
        (owners,) = database.execute("SELECT count(*) FROM permissions WHERE role = 1").fetchone()
        assert owners == len(known)
    database.close()
    for part in ("adapters", "checkpoints", "leases"):
        for file in (store / part).glob("*"):
            assert file.name.rpartition(".")[0] in known, file


def refused(answer: httpx.Response) -> str:
    """The words of a 503 in Google's shape."""
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (503, 503, "UNAVAILABLE")
    words: str = error["message"]
    return words


def test_a_disk_that_takes_nothing_more_is_said_and_goes_on_when_it_does(folder: Path) -> None:
    def limit(pid: int, most: tuple[int, int]) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, most)

    with serving(folder) as server:
        assert server.api.post(f"{PATH}?tunedModelId=a", json=job()).status_code == 200
        until(lambda: models(server.api)["a"]["state"] == "ACTIVE")
        before = server.api.get(PATH).json()
        # No file of this process may be written from here on: as a full disk, or a quota.
        limit(server.process.pid, (0, resource.RLIM_INFINITY))
        words = refused(server.api.post(f"{PATH}?tunedModelId=b", json=job()))
        assert str(folder / "embedded.db") in words
        assert "Check the disk: space" in words
        refused(server.api.patch(f"{PATH}/a", json={"displayName": "other"}))
        refused(server.api.delete(f"{PATH}/a"))
        assert server.api.get("/healthz").status_code == 503
        assert server.api.get(PATH).json() == before, "reading goes on, and nothing was lost"
        limit(server.process.pid, _UNLIMITED)
        assert server.api.post(f"{PATH}?tunedModelId=b", json=job()).status_code == 200
        until(lambda: models(server.api)["b"]["state"] == "ACTIVE")
        until(lambda: server.api.get("/healthz").status_code == 200)
        server.stop()
    is_sound(folder)


async def test_a_disk_that_became_read_only_refuses_changes_and_answers_questions(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service(folder) as opened:
        async with client(opened) as api:
            await create(api, "a")
            before = await get(api, f"{PATH}/a")
            opened.store.database.close()
            opened.store.database = read_only = Database(folder)
            usual = read_only._open

            def cannot_write() -> sqlite3.Connection:
                connection = usual()
                connection.execute("PRAGMA query_only = ON")
                return connection

            monkeypatch.setattr(read_only, "_open", cannot_write)
            for answer in (
                await api.post(f"{PATH}?tunedModelId=b", json=body()),
                await api.patch(f"{PATH}/a", json={"displayName": "other"}),
                await api.delete(f"{PATH}/a"),
            ):
                words = refused(answer)
                assert "readonly database. Make the folder and its files writable" in words
            assert await get(api, f"{PATH}/a") == before


# As nobody in particular: root may write anywhere.
_READ_ONLY = """
import os, sys
from pathlib import Path
import anyio, httpx
from tests.support.embedded_service import PATH, body, client, create, service

async def ask(opened):
    async with client(opened) as api:
        for answer in (await api.post(PATH, json=body()), await api.get(PATH)):
            print(answer.status_code, answer.json()["error"]["message"])

folder = Path(sys.argv[1])
with service(folder) as first, service(folder / "no database") as broken:
    first.store.database.probe()
    (folder / "no database").mkdir()
    (folder / "no database" / "embedded.db").write_bytes(b"x" * 1000)
    anyio.run(ask, broken)  # imports all that nobody in particular may not read any more
(folder / "embedded.db").chmod(0o444)
folder.chmod(0o555)
if os.geteuid() == 0:
    os.setuid(65534)
with service(folder) as opened:
    anyio.run(ask, opened)
"""


def test_a_folder_that_may_not_be_written_is_said_with_the_cure() -> None:
    with tempfile.TemporaryDirectory() as parent:  # pytest's own folders are its owner's alone
        Path(parent).chmod(0o755)
        folder = Path(parent) / "store"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [sys.executable, "-c", _READ_ONLY, str(folder)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines()[2:]:
        status, _, words = line.partition(" ")
        assert status == "503"
        assert "Make the folder and its files" in words
        assert "writable for you" in words
    assert len(done.stdout.splitlines()) == 4


def hammered(server: Server, send: Callable[[int], httpx.Response], *, enough: int) -> list[Any]:
    """Send one request after the other, kill the server in the middle; what it answered."""
    answered: list[Any] = []

    def work() -> None:
        number = 0
        try:
            while True:
                answer = send(number)
                assert answer.status_code == 200, answer.text
                answered.append(answer.json())
                number += 1
        except httpx.TransportError:
            pass  # the kill

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: len(answered) >= enough)
    server.kill()
    thread.join()
    return answered


def test_a_kill_while_models_are_created_loses_none_that_was_answered(folder: Path) -> None:
    with serving(folder) as server:
        answered = hammered(
            server,
            lambda number: server.api.post(f"{PATH}?tunedModelId=m{number}", json=job()),
            enough=6,
        )
    ids = {one["metadata"]["tunedModel"].removeprefix("tunedModels/") for one in answered}
    with serving(folder) as server:
        there = set(models(server.api))
        assert ids <= there
        assert len(there - ids) <= 1, "the one whose answer was on its way"
        server.stop()
    is_sound(folder)


def test_a_kill_while_a_model_is_patched_leaves_the_last_words_or_the_ones_on_their_way(
    folder: Path,
) -> None:
    with serving(folder) as server:
        server.api.post(f"{PATH}?tunedModelId=a", json=job()).raise_for_status()
        until(lambda: models(server.api)["a"]["state"] == "ACTIVE")
        answered = hammered(
            server,
            lambda number: server.api.patch(
                f"{PATH}/a?updateMask=displayName,description",
                json={"displayName": f"name {number}", "description": f"words {number}"},
            ),
            enough=10,
        )
    with serving(folder) as server:
        model = models(server.api)["a"]
        last = len(answered) - 1
        assert model["displayName"] in (f"name {last}", f"name {last + 1}")
        number = model["displayName"].split()[1]
        assert model["description"] == f"words {number}", "all of a patch or none"
        assert model["state"] == "ACTIVE"
        server.stop()
    is_sound(folder)


def test_a_kill_while_models_are_deleted_leaves_no_half_of_one(folder: Path) -> None:
    with serving(folder) as server:
        for number in range(12):
            server.api.post(f"{PATH}?tunedModelId=m{number}", json=job()).raise_for_status()
        answered = hammered(server, lambda number: server.api.delete(f"{PATH}/m{number}"), enough=4)
    with serving(folder) as server:
        there = models(server.api)
        gone = len(answered)
        assert set(there) in (
            {f"m{number}" for number in range(gone, 12)},
            {f"m{number}" for number in range(gone + 1, 12)},
        )
        server.stop()
    is_sound(folder)


def test_a_kill_while_a_model_trains_costs_time_and_nothing_else(folder: Path) -> None:
    with serving(folder) as server:
        long = job(epochs=30, examples=100)
        server.api.post(f"{PATH}?tunedModelId=a", json=long).raise_for_status()
        until(lambda: models(server.api)["a"]["tuningTask"].get("snapshots"))
        assert models(server.api)["a"]["state"] == "CREATING"
        server.kill()
    with serving(folder) as server:
        model = until(lambda: (m := models(server.api)["a"])["state"] == "ACTIVE" and m)
        steps = [one["step"] for one in model["tuningTask"]["snapshots"]]
        assert steps == list(range(1, 3001))
        server.stop()
    is_sound(folder)


def test_a_stop_answers_what_is_under_way_and_writes_checkpoints(folder: Path) -> None:
    content = json.dumps(job()).encode()
    with serving(folder) as server:
        long = job(epochs=200, examples=100)
        server.api.post(f"{PATH}?tunedModelId=long", json=long).raise_for_status()
        until(lambda: models(server.api)["long"]["tuningTask"].get("snapshots"))
        url = httpx.URL(server.url)
        with socket.create_connection((url.host, url.port or 0), timeout=20) as connection:
            head = f"POST {PATH}?tunedModelId=late HTTP/1.1\r\nHost: localhost\r\n"
            connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode())
            # The server has read the head once it has answered what came after it.
            server.api.get(PATH)
            server.process.send_signal(signal.SIGTERM)
            until(lambda: not listens(url))
            connection.sendall(content)
            answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 200 ")
        _, words = server.process.communicate(timeout=30)
        assert (server.process.returncode, words) == (0, "")
    assert (folder / "checkpoints" / "long.1.safetensors").exists()
    is_sound(folder)
    with service(folder) as opened:
        assert opened.store.get("late")
        assert (1, "long") in Jobs(opened.store).unfinished()


def listens(url: httpx.URL) -> bool:
    """Whether a connection can still be had."""
    try:
        socket.create_connection((url.host, url.port or 0), timeout=1).close()
    except OSError:
        return False
    return True
