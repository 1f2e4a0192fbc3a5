"""The store: nothing before the first write, and every failure of the disk in words."""

# ruff: noqa: ASYNC240  # nothing else runs in these tests

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.embedded_service import PATH, body, client, create, get, service
from tunedmodels.errors import StoreError
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.store import database
from tunedmodels.service.store.database import Database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def opened(folder: Path) -> Iterator[EmbeddedService]:
    with service(folder) as one:
        yield one


async def says(opened: EmbeddedService, words: str, *, method: str = "POST") -> None:
    """The store cannot be used, and whoever asks is told why."""
    async with client(opened) as api:
        answer = await api.request(method, PATH, json=body())
    assert (answer.status_code, answer.json()["error"]["status"]) == (503, "UNAVAILABLE")
    assert words in answer.json()["error"]["message"]


async def test_the_first_write_creates_a_folder_that_is_its_owners_alone(
    opened: EmbeddedService, folder: Path
) -> None:
    opened.start()
    async with client(opened) as api:
        await get(api, PATH)
        assert not folder.exists()
        await create(api, "a")
    assert folder.stat().st_mode & 0o777 == 0o700
    with sqlite3.connect(folder / "embedded.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


async def test_a_store_of_a_newer_version_is_refused(opened: EmbeddedService, folder: Path) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / "embedded.db") as connection:
        connection.execute("PRAGMA user_version = 3")
    connection.close()
    await says(opened, "was written by a newer tunedmodels (schema 3; this one knows 2)")
    with pytest.raises(StoreError) as refused:
        opened.start()
    assert refused.value.cure == "Upgrade tunedmodels, or work in another folder."


async def test_a_file_that_is_no_database_is_refused_and_left_alone(
    opened: EmbeddedService, folder: Path
) -> None:
    folder.mkdir()
    (folder / "embedded.db").write_bytes(b"precious" * 1000)
    for method in ("GET", "POST"):
        await says(opened, "file is not a database. Restore the file", method=method)
    with pytest.raises(StoreError):
        opened.start()
    assert (folder / "embedded.db").read_bytes() == b"precious" * 1000


async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with service(tmp_path / "file") as opened:
        await says(opened, str(tmp_path / "file"))


async def test_a_full_disk_loses_nothing(
    opened: EmbeddedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client(opened) as api:
        await create(api, "a")
        before = await get(api, PATH)
        opened._store.database.close()
        opened._store.database = full = Database(opened._store.folder)
        usual = full._open

        def almost_full() -> sqlite3.Connection:
            connection = usual()
            connection.execute("PRAGMA max_page_count = 1")  # as many as there are, and no more
            return connection

        monkeypatch.setattr(full, "_open", almost_full)
        large = body("x" * 30_000)
        answer = await api.post(PATH, json=large)
        assert answer.status_code == 503
        assert "disk is full. Free some disk space" in answer.json()["error"]["message"]
        assert await get(api, PATH) == before


async def test_a_store_that_somebody_else_holds_is_said(
    opened: EmbeddedService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    async with client(opened) as api:
        await create(api, "a")
    with sqlite3.connect(folder / "embedded.db", isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(opened._store, "database", Database(folder))
        await says(opened, "database is locked. Another process holds it")
        async with client(opened) as api:
            assert len((await get(api, PATH))["tunedModels"]) == 1
        opened._store.database.close()
    holder.close()


def test_importing_the_service_brings_nothing_heavy_along() -> None:
    words = (
        "import sys, tunedmodels.service.embedded as e, pathlib;"
        "e.EmbeddedService(pathlib.Path('x')).app;"
        "heavy = {'numpy', 'safetensors', 'uvicorn', 'httpx', 'rich'} | {"
        "'prometheus_client', 'logging.handlers', 'tunedmodels.service.server'};"
        "heavy &= set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", words], check=True)
