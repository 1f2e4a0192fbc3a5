"""Tests of the migration of older stores. `former/store-1.sql` is a dump of schema version 1."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.embedded_service import PATH, body, client, create, get, service, train_all
from tests.support.paths import ROOT
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.identity import LOCAL_CALLER, ApiKeys, Caller, key_digest
from tunedmodels.service.list_filter import ModelFilter
from tunedmodels.service.store import database
from tunedmodels.service.store.database import SCHEMA_VERSION, Database
from tunedmodels.stamp import Stamp, format_description

OLD_STORE = ROOT / "tests" / "former" / "store-1.sql"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of schema version 1: one finished model and one with a queued job."""
    with closing(sqlite3.connect(tmp_path / "embedded.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(OLD_STORE.read_text(encoding="utf-8"))
        connection.execute("PRAGMA user_version = 1")
    return tmp_path


@pytest.fixture
def embedded(folder: Path) -> Iterator[EmbeddedService]:
    with service(folder) as instance:
        yield instance


def schema_version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "embedded.db")) as connection:
        (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


async def test_a_migrated_store_has_its_models_and_continues_its_jobs(
    embedded: EmbeddedService, folder: Path
) -> None:
    async with client(embedded) as api:
        done, waiting = (await get(api, PATH))["tunedModels"]
        assert (done["displayName"], done["state"]) == ("Done", "ACTIVE")
        assert done["readerProjectNumbers"] == ["12"]
        assert len(done["tuningTask"]["snapshots"]) == 5
        assert (waiting["displayName"], waiting["state"]) == ("Waiting", "CREATING")
        assert schema_version(folder) == SCHEMA_VERSION
        assert train_all(folder) == 1
        prompt = {"contents": [{"parts": [{"text": "I"}]}]}
        response = await api.post(f"{PATH}/waiting:generateContent", json=prompt)
        assert response.status_code == 200
        await create(api, "new", body())


async def test_models_of_a_migrated_store_belong_to_the_local_owner(
    embedded: EmbeddedService, folder: Path
) -> None:
    async with client(embedded) as api:
        for name in ("done", "waiting"):
            (owner,) = (await get(api, f"{PATH}/{name}/permissions"))["permissions"]
            assert (owner["role"], owner["emailAddress"]) == ("OWNER", "owner@localhost")
        transfer = {"emailAddress": "ana@example.com"}
        await api.post(f"{PATH}/done:transferOwnership", json=transfer)
    callers = {"ana": Caller("ana@example.com", 1), "local": Caller("owner@localhost", 12)}
    keys = ApiKeys({key_digest(key): caller for key, caller in callers.items()})
    with service(folder, keys=keys) as later:
        for key, expected in (("ana", ["done"]), ("local", ["done", "waiting"])):
            async with client(later, key=key) as api:
                models = (await get(api, f"{PATH}?filter=owner:me")).get("tunedModels", [])
                listed = (await get(api, PATH))["tunedModels"]
            assert [model["name"] for model in listed] == [
                f"tunedModels/{name}" for name in expected
            ]
            assert len(models) == 1


def test_concurrent_readers_migrate_a_store_once(folder: Path) -> None:
    def count_permissions(_: int) -> int:
        with closing(Database(folder)) as database, database.read_transaction() as connection:
            return int(connection.execute("SELECT count(*) FROM permissions").fetchone()[0])

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(count_permissions, range(8))) == {2}


async def test_a_failed_migration_leaves_the_store_unchanged(
    embedded: EmbeddedService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations = database._MIGRATIONS
    monkeypatch.setattr(
        database, "_MIGRATIONS", (*migrations[:1], f"{migrations[1]};\nINSERT INTO nowhere")
    )
    async with client(embedded) as api:
        response = await api.get(PATH)
    assert (response.status_code, response.json()["error"]["status"]) == (503, "UNAVAILABLE")
    assert schema_version(folder) == 1
    with closing(sqlite3.connect(folder / "embedded.db")) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "permissions" not in tables


def test_a_new_store_has_the_schema_of_a_migrated_store(folder: Path, tmp_path: Path) -> None:
    def schema(store: Path) -> set[str]:
        with closing(Database(store)) as database, database.write_transaction() as connection:
            rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
            return {sql for (sql,) in rows}

    assert schema(folder) == schema(tmp_path / "new")


async def test_the_names_of_a_migrated_store_are_known(embedded: EmbeddedService) -> None:
    index = embedded.context.names
    states = ("ACTIVE", "CREATING")
    page = index.list_names(ModelFilter(), LOCAL_CALLER, states, start=0, size=10)
    assert page.groups == ['["name", "waiting"]', '["name", "done"]']
    assert (page.names_total, page.models_total) == (2, 2)
    (done,) = index.list_versions(page.groups[1:], ModelFilter(), LOCAL_CALLER)
    assert done.id == "done"


async def test_a_model_moves_to_another_name_with_its_description(
    embedded: EmbeddedService,
) -> None:
    stamp = Stamp("demo", "tone", "f" * 64, "d" * 64, 4)
    async with client(embedded) as api:
        document = {"description": format_description("", stamp)}
        await api.patch(f"{PATH}/done?updateMask=description", json=document)
    (stamped,) = embedded.context.names.list_versions(
        ['["stamp", "demo", "", "default", "tone"]'], ModelFilter(), LOCAL_CALLER
    )
    assert stamped.id == "done"
