"""Tests of the database: creation by the first write, and errors of the disk."""

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
from tunedmodels.service.store.database import SCHEMA_VERSION, Database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def embedded(folder: Path) -> Iterator[EmbeddedService]:
    with service(folder) as instance:
        yield instance


async def check_unavailable(
    embedded: EmbeddedService, message: str, *, method: str = "POST"
) -> None:
    """Assert that a request fails with 503 and a message."""
    async with client(embedded) as api:
        response = await api.request(method, PATH, json=body())
    assert (response.status_code, response.json()["error"]["status"]) == (503, "UNAVAILABLE")
    assert message in response.json()["error"]["message"]


async def test_the_first_write_creates_a_private_directory(
    embedded: EmbeddedService, folder: Path
) -> None:
    embedded.start()
    async with client(embedded) as api:
        await get(api, PATH)
        assert not folder.exists()
        await create(api, "a")
    assert folder.stat().st_mode & 0o777 == 0o700
    with sqlite3.connect(folder / "embedded.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


async def test_a_store_of_a_newer_version_is_rejected(
    embedded: EmbeddedService, folder: Path
) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / "embedded.db") as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    await check_unavailable(
        embedded,
        f"was written by a newer version of tunedmodels (schema {SCHEMA_VERSION + 1}; "
        f"this version supports {SCHEMA_VERSION})",
    )
    with pytest.raises(StoreError) as error:
        embedded.start()
    assert error.value.cure == "Upgrade tunedmodels, or use another directory."


async def test_a_file_that_is_not_a_database_is_rejected_and_unchanged(
    embedded: EmbeddedService, folder: Path
) -> None:
    folder.mkdir()
    (folder / "embedded.db").write_bytes(b"precious" * 1000)
    for method in ("GET", "POST"):
        await check_unavailable(embedded, "file is not a database. Restore the file", method=method)
    with pytest.raises(StoreError):
        embedded.start()
    assert (folder / "embedded.db").read_bytes() == b"precious" * 1000


async def test_a_directory_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with service(tmp_path / "file") as embedded:
        await check_unavailable(embedded, str(tmp_path / "file"))


async def test_a_full_disk_loses_nothing(
    embedded: EmbeddedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client(embedded) as api:
        await create(api, "a")
        before = await get(api, PATH)
        embedded._store.database.close()
        embedded._store.database = full = Database(embedded._store.folder)
        original_open = full._open

        def almost_full() -> sqlite3.Connection:
            connection = original_open()
            connection.execute("PRAGMA max_page_count = 1")  # no more pages than now
            return connection

        monkeypatch.setattr(full, "_open", almost_full)
        large = body("x" * 30_000)
        response = await api.post(PATH, json=large)
        assert response.status_code == 503
        assert "disk is full. Free some disk space" in response.json()["error"]["message"]
        assert await get(api, PATH) == before


async def test_a_store_locked_by_another_process_is_reported(
    embedded: EmbeddedService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    async with client(embedded) as api:
        await create(api, "a")
    with sqlite3.connect(folder / "embedded.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(embedded._store, "database", Database(folder))
        await check_unavailable(embedded, "database is locked. Another process has locked it")
        async with client(embedded) as api:
            assert len((await get(api, PATH))["tunedModels"]) == 1
        embedded._store.database.close()
    other.close()


def test_the_service_does_not_import_heavy_modules() -> None:
    code = (
        "import sys, tunedmodels.service.embedded as e, pathlib;"
        "e.EmbeddedService(pathlib.Path('x')).app;"
        "heavy = {'numpy', 'safetensors', 'uvicorn', 'httpx', 'rich'} | {"
        "'prometheus_client', 'logging.handlers', 'tunedmodels.service.server'};"
        "heavy &= set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
