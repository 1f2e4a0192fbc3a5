"""The one SQLite file of the service: its schema, its connections, and its failures in words.

Nothing is created before the first write: an absent store is read as an empty one. WAL lets the API
read while workers write. `synchronous=NORMAL` may lose the last instants in a power cut, never the
file: what is lost is asked for again, because every id is chosen by its owner.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from tunedmodels.errors import StoreError

BUSY_S = 5.0  # how long a writer waits for the others, each of which takes milliseconds

# `curves.snapshots` holds the snapshots of a stretch of steps as the API sends them, `{..},{..}`:
# they are written once and read with every look at a model.
_MODELS = """
CREATE TABLE models (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    operation TEXT NOT NULL,
    base_model TEXT NOT NULL,
    source TEXT NOT NULL,
    source_seq INTEGER,
    display_name TEXT NOT NULL,
    description TEXT NOT NULL,
    temperature REAL NOT NULL,
    top_p REAL NOT NULL,
    top_k INTEGER,
    readers TEXT NOT NULL,
    epoch_count INTEGER NOT NULL,
    batch_size INTEGER NOT NULL,
    learning_rate REAL NOT NULL,
    total_steps INTEGER NOT NULL,
    create_time TEXT NOT NULL,
    update_time TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'CREATING',
    start_time TEXT NOT NULL DEFAULT '',
    complete_time TEXT NOT NULL DEFAULT '',
    completed_steps INTEGER NOT NULL DEFAULT 0,
    error_code INTEGER NOT NULL DEFAULT 0,
    error_message TEXT NOT NULL DEFAULT '',
    deaths INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX unfinished ON models(seq) WHERE state = 'CREATING';
CREATE TABLE datasets (
    seq INTEGER PRIMARY KEY REFERENCES models(seq) ON DELETE CASCADE,
    examples BLOB NOT NULL
) STRICT;
CREATE TABLE curves (
    seq INTEGER NOT NULL REFERENCES models(seq) ON DELETE CASCADE,
    last_step INTEGER NOT NULL,
    snapshots TEXT NOT NULL,
    PRIMARY KEY (seq, last_step)
) STRICT;
"""

# `grantee` is `USER:address`, `GROUP:address` or `EVERYONE:`; role 1 owns, 2 writes, 3 reads. What
# was made before there were permissions belongs to the one who may do everything without keys.
_PERMISSIONS = """
CREATE TABLE permissions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL REFERENCES models(seq) ON DELETE CASCADE,
    id TEXT NOT NULL,
    grantee TEXT NOT NULL,
    role INTEGER NOT NULL,
    UNIQUE (seq, grantee),
    UNIQUE (seq, id)
) STRICT;
CREATE UNIQUE INDEX one_owner ON permissions(seq) WHERE role = 1;
INSERT INTO permissions (seq, id, grantee, role)
    SELECT seq, lower(hex(randomblob(6))), 'USER:owner@localhost', 1 FROM models;
"""

# A store of version N has had the first N of these; a new one gets them all.
_STEPS = (_MODELS, _PERMISSIONS)
SCHEMA_VERSION = len(_STEPS)

_CURES = {  # by the beginning of SQLite's name for the failure
    "SQLITE_BUSY": "Another process holds it; try again when that one has ended.",
    "SQLITE_FULL": "Free some disk space; nothing that was written before is lost.",
    "SQLITE_IOERR": "Check the disk: space, quota, cable or mount.",
    "SQLITE_READONLY": "Make the folder and its files writable for you.",
    "SQLITE_CANTOPEN": "Make the folder and its files readable and writable for you.",
    "SQLITE_CORRUPT": "Restore the file from a backup, or move it away and run apply again.",
    "SQLITE_NOTADB": "Restore the file from a backup, or move it away and run apply again.",
}


class Database:
    """Connections to `embedded.db` in a folder, for any number of threads at once."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "embedded.db"
        # Appending to and popping from a list are atomic: no lock is needed.
        self._idle: list[sqlite3.Connection] = []
        self._is_closed = False

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection that sees one state of the store until the end of the block.

        Raises StoreError when the store cannot be read.
        """
        with self._in_words():
            if self.path.exists():
                with self._transaction("BEGIN") as connection:
                    yield connection
            else:
                with _closing(":memory:") as connection:
                    _upgrade(connection)
                    yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection whose changes hold at the end of the block, all or none.

        Raises StoreError when the store cannot be written; IntegrityError passes through.
        """
        with self._in_words():
            if not self.path.exists():
                self._create()
            with self._transaction("BEGIN IMMEDIATE") as connection:
                yield connection

    def probe(self) -> None:
        """Raise StoreError unless the store takes what is written."""
        with self.writing() as connection:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def verify(self) -> None:
        """Raise StoreError when the file is damaged in any place; reads all of it."""
        with self.reading() as connection:
            ((found,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
        if found != "ok":
            words = f"{self.path}: is damaged: {' '.join(found.split())}"
            raise StoreError(words, cure=_CURES["SQLITE_CORRUPT"])

    def close(self) -> None:
        """Close every connection, those on loan when they come back."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        connection = self._idle.pop() if self._idle else self._open()
        try:
            connection.execute(begin)
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.rollback()
            raise
        finally:
            if self._is_closed:
                connection.close()
            else:
                self._idle.append(connection)

    def _open(self) -> sqlite3.Connection:
        connection = _connect(str(self.path))
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            if 0 < version < SCHEMA_VERSION:
                _upgrade(connection)
        except BaseException:
            connection.close()
            raise
        if version > SCHEMA_VERSION:
            connection.close()
            raise StoreError(
                f"{self.path} was written by a newer tunedmodels (schema {version}; "
                f"this one knows {SCHEMA_VERSION})",
                cure="Upgrade tunedmodels, or work in another folder.",
            )
        return connection

    def _create(self) -> None:
        """Create the folder and the file, once, however many processes come at the same time."""
        folder = self.path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        gate = folder / "embedded.db.lock"
        with FileLock(gate):
            if not self.path.exists():
                with TemporaryDirectory(dir=folder, prefix=".new-") as scratch:
                    fresh = Path(scratch) / self.path.name
                    with _closing(str(fresh)) as connection:
                        connection.execute("PRAGMA journal_mode = WAL")
                        _upgrade(connection)
                    # Whoever sees the file sees it whole: a crash before this leaves no store.
                    fresh.rename(self.path)
            # Whoever still waits finds the store there, behind this gate or behind another.
            gate.unlink(missing_ok=True)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise
        except sqlite3.DatabaseError as error:
            kind = getattr(error, "sqlite_errorname", "")
            cure = next((words for name, words in _CURES.items() if kind.startswith(name)), "")
            raise StoreError(f"{self.path}: {error}", cure=cure) from error
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise StoreError(
                f"{error.filename or self.path}: {error.strerror or error}",
                cure=_CURES["SQLITE_FULL"] if is_full else _CURES["SQLITE_CANTOPEN"],
            ) from error


def _connect(target: str) -> sqlite3.Connection:
    # Threads take turns on a connection, they never share one; transactions are begun by hand.
    connection = sqlite3.connect(
        target, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    connection.create_function("folded", 1, str.casefold, deterministic=True)
    return connection


def _upgrade(connection: sqlite3.Connection) -> None:
    """Bring a store to the present schema, all at once: other processes see either of the two."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have done it while this one waited.
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for step in _STEPS[version:]:
            for statement in step.split(";\n"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(version, SCHEMA_VERSION)}")


@contextmanager
def _closing(target: str) -> Iterator[sqlite3.Connection]:
    connection = _connect(target)
    try:
        yield connection
    finally:
        connection.close()
