"""A store that is damaged, foreign or cannot be written: reads work, or an error names the cure."""

# ruff: noqa: ASYNC240  # nothing else runs in these tests

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.embedded_service import PATH, client, create, get, service
from tunedmodels.errors import StoreError
from tunedmodels.service.store.database import Database
from tunedmodels.service.store.models import ModelStore

FLIPS = 300


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store with a model."""
    import anyio  # noqa: PLC0415  # only here

    folder = tmp_path_factory.mktemp("store") / "store"

    async def fill() -> None:
        with service(folder) as embedded:
            async with client(embedded) as api:
                await create(api, "a")

    anyio.run(fill)
    return folder / "embedded.db"


def read_all(folder: Path) -> str:
    """Read everything that a list reads; return the error, which must be ours."""
    store = ModelStore(folder)
    try:
        store.get("a")
        store.get_with_curve("a")
        store.examples("a")
        store.database.verify()
    except StoreError as error:
        reported = error
    else:
        return ""
    finally:
        store.database.close()
    assert reported.cure, reported.message
    assert str(folder) in reported.message
    assert reported.message.isprintable()
    return reported.message


def test_a_flipped_byte_never_raises_an_unexpected_error(original: Path, tmp_path: Path) -> None:
    content = original.read_bytes()
    source = random.Random(7)  # noqa: S311  # not for security
    positions = [*range(120), *source.sample(range(len(content)), FLIPS)]
    errors = 0
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= source.choice((0x01, 0x20, 0x80, 0xFF))
        (tmp_path / "embedded.db").write_bytes(damaged)
        errors += bool(read_all(tmp_path))
        for extra in ("-wal", "-shm"):
            tmp_path.joinpath(f"embedded.db{extra}").unlink(missing_ok=True)
    assert errors > 20


def test_every_part_of_the_schema_can_be_damaged(original: Path, tmp_path: Path) -> None:
    content = original.read_bytes()
    start = content.index(b"CREATE TABLE models")
    for position in range(start - 40, start + 120):
        damaged = bytearray(content)
        damaged[position] ^= 0x15
        (tmp_path / "embedded.db").write_bytes(damaged)
        read_all(tmp_path)


def other_database(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (a)")
        connection.execute(f"PRAGMA user_version = {version}")


FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.touch(), "it is empty"),
    "another database": (lambda path: other_database(path, 0), "another database"),
    "with a version": (lambda path: other_database(path, 2), "another database"),
    "newer than ours": (lambda path: other_database(path, 99), "another database"),
    "text": (lambda path: path.write_text("no database at all\n" * 100), "not a database"),
    "a directory": (lambda path: path.mkdir(), ""),
}


@pytest.mark.parametrize(("make", "reason"), FOREIGN.values(), ids=FOREIGN)
def test_a_file_that_is_not_a_store_is_named_with_a_cure(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    make(tmp_path / "embedded.db")
    assert reason in read_all(tmp_path)
    with pytest.raises(StoreError) as error:
        Database(tmp_path).probe()
    assert error.value.cure


SNAPSHOT = """
import sqlite3, sys
from pathlib import Path
from tunedmodels.service.store.models import ModelStore
from tunedmodels.errors import StoreError
store = ModelStore(Path(sys.argv[1]))
assert store.get("a").id == "a"
store.database.verify()
try:
    store.database.probe()
except StoreError as error:
    assert error.cure and not error.is_transient
else:
    sys.exit("it can be written")
"""


@pytest.mark.parametrize("has_log", [False, True])
def test_a_store_of_another_user_can_be_read(
    original: Path, tmp_path: Path, *, has_log: bool
) -> None:
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can become another user")
    folder = tmp_path / "store"
    folder.mkdir()
    shutil.copy(original, folder)
    with closing(sqlite3.connect(folder / "embedded.db", isolation_level=None)) as connection:
        if has_log:  # a process that ended without closing the store
            connection.execute("UPDATE models SET description = 'in the log'")
            shutil.copytree(folder, tmp_path / "copy")
            folder = tmp_path / "copy"
            (folder / "embedded.db-shm").unlink(missing_ok=True)
    for path in (tmp_path, folder, *tmp_path.parents):
        if path != Path("/") and path.stat().st_uid == os.geteuid() and "pytest" in str(path):
            path.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    ended = subprocess.run(
        [*user, sys.executable, "-c", SNAPSHOT, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert ended.returncode == 0, ended.stderr
    assert {file.name for file in folder.iterdir()} <= {"embedded.db", "embedded.db-wal"}


async def test_a_request_that_waiting_cannot_help_is_answered_with_the_reason(
    original: Path, tmp_path: Path
) -> None:
    (tmp_path / "embedded.db").write_bytes(original.read_bytes()[:5000])
    with service(tmp_path) as embedded:
        async with client(embedded) as api:
            response = await api.get(PATH)
            assert response.status_code == 503
            assert response.json()["error"]["details"][0]["reason"] == "STORE_UNUSABLE"
    with service(original.parent) as embedded:
        async with client(embedded) as api:
            assert await get(api, PATH)
