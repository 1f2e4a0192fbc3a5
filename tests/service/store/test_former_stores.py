"""A store that a former version has made keeps working. `former/store-1.sql` is the dump of one."""

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
from tunedmodels.service.identity import Caller, Keys, digest
from tunedmodels.service.store import database
from tunedmodels.service.store.database import SCHEMA_VERSION, Database

FORMER = ROOT / "tests" / "former" / "store-1.sql"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of the first schema: one model that is done, and one that waits for training."""
    with closing(sqlite3.connect(tmp_path / "embedded.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(FORMER.read_text(encoding="utf-8"))
        connection.execute("PRAGMA user_version = 1")
    return tmp_path


@pytest.fixture
def opened(folder: Path) -> Iterator[EmbeddedService]:
    with service(folder) as one:
        yield one


def version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "embedded.db")) as connection:
        (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


async def test_its_models_are_all_there_and_its_jobs_go_on(
    opened: EmbeddedService, folder: Path
) -> None:
    async with client(opened) as api:
        done, waiting = (await get(api, PATH))["tunedModels"]
        assert (done["displayName"], done["state"]) == ("Done", "ACTIVE")
        assert done["readerProjectNumbers"] == ["12"]
        assert len(done["tuningTask"]["snapshots"]) == 5
        assert (waiting["displayName"], waiting["state"]) == ("Waiting", "CREATING")
        assert version(folder) == SCHEMA_VERSION
        assert train_all(folder) == 1
        question = {"contents": [{"parts": [{"text": "I"}]}]}
        answer = await api.post(f"{PATH}/waiting:generateContent", json=question)
        assert answer.status_code == 200
        await create(api, "new", body())


async def test_its_models_belong_to_the_owner_without_keys_who_may_give_them_away(
    opened: EmbeddedService, folder: Path
) -> None:
    async with client(opened) as api:
        for name in ("done", "waiting"):
            (owner,) = (await get(api, f"{PATH}/{name}/permissions"))["permissions"]
            assert (owner["role"], owner["emailAddress"]) == ("OWNER", "owner@localhost")
        transfer = {"emailAddress": "ana@example.com"}
        await api.post(f"{PATH}/done:transferOwnership", json=transfer)
    callers = {"ana": Caller("ana@example.com", 1), "local": Caller("owner@localhost", 12)}
    keys = Keys({digest(key): caller for key, caller in callers.items()})
    with service(folder, keys=keys) as later:
        for key, shown in (("ana", ["done"]), ("local", ["done", "waiting"])):
            async with client(later, key=key) as api:
                models = (await get(api, f"{PATH}?filter=owner:me")).get("tunedModels", [])
                listed = (await get(api, PATH))["tunedModels"]
            assert [model["name"] for model in listed] == [f"tunedModels/{one}" for one in shown]
            assert len(models) == 1


def test_however_many_come_at_once_it_is_brought_up_to_date_once(folder: Path) -> None:
    def look(_: int) -> int:
        with closing(Database(folder)) as one, one.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM permissions").fetchone()[0])

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(look, range(8))) == {2}


async def test_what_cannot_be_brought_up_to_date_stays_as_it_was(
    opened: EmbeddedService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = database._STEPS
    monkeypatch.setattr(database, "_STEPS", (*steps[:1], f"{steps[1]};\nINSERT INTO nowhere"))
    async with client(opened) as api:
        answer = await api.get(PATH)
    assert (answer.status_code, answer.json()["error"]["status"]) == (503, "UNAVAILABLE")
    assert version(folder) == 1
    with closing(sqlite3.connect(folder / "embedded.db")) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "permissions" not in tables


def test_a_new_store_has_the_schema_of_a_former_one_brought_up_to_date(
    folder: Path, tmp_path: Path
) -> None:
    def schema(of: Path) -> set[str]:
        with closing(Database(of)) as one, one.writing() as connection:
            rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
            return {sql for (sql,) in rows}

    assert schema(folder) == schema(tmp_path / "new")
