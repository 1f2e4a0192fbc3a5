"""The SQLite file of the service: schema, connections, and conversion of its errors.

The first write creates the file: until then the store reads as an empty one. WAL mode lets the API
read while workers write. With `synchronous=NORMAL`, a power failure can lose the last transactions
but does not damage the file. Clients can repeat lost requests, because they choose the ids.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from tunedmodels.errors import StoreError
from tunedmodels.service.records import group_key
from tunedmodels.text import printable

#: How long a writer waits for other writers, each of which takes milliseconds.
BUSY_TIMEOUT_S = 5.0

# `curves.snapshots` contains the snapshots of consecutive steps in the format of the API,
# `{..},{..}`: they are written once and read in every request for a model.
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

# `grantee` is `USER:address`, `GROUP:address` or `EVERYONE:`. `role` is 1 (owner), 2 (writer) or
# 3 (reader). Models from before this migration belong to the caller of a service without keys.
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

# The library groups models by the name in their stamps; see `records.group_key`.
_NAMES = """
ALTER TABLE models ADD COLUMN group_key TEXT NOT NULL DEFAULT '';
UPDATE models SET group_key = group_key(id, display_name, description);
CREATE INDEX names ON models(group_key, state)
"""

# A store of schema version N had the first N migrations; a new store gets all of them.
_MIGRATIONS = (_MODELS, _PERMISSIONS, _NAMES)
SCHEMA_VERSION = len(_MIGRATIONS)

_REPLACE_CURE = "Restore the file from a backup, or move it away and run apply again."
#: The beginnings of the names of SQLite's errors when a directory or a disk cannot be written.
_NOT_IN_PLACE = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_FULL", "SQLITE_IOERR")
_CURES = {  # by the beginning of SQLite's name of the error
    "SQLITE_BUSY": "Another process has locked it; try again after that process has ended.",
    "SQLITE_FULL": "Free some disk space; no data is lost.",
    "SQLITE_IOERR": "Check the disk: space, quota, cable or mount.",
    "SQLITE_READONLY": "Make the directory and its files writable for your user.",
    "SQLITE_CANTOPEN": "Make the directory and its files readable and writable for your user.",
    "SQLITE_CORRUPT": _REPLACE_CURE,
    "SQLITE_NOTADB": _REPLACE_CURE,
}


class Database:
    """A pool of connections to `embedded.db` in a directory, for any number of threads."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "embedded.db"
        # Appending to and popping from a list are atomic, so the pool needs no lock.
        self._idle: list[sqlite3.Connection] = []
        self._is_closed = False

    @contextmanager
    def read_transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that reads one consistent state of the store.

        Raises StoreError if the store cannot be read.
        """
        with self._converted_errors():
            if not self.path.exists():
                with _open_connection(":memory:") as connection:
                    _migrate(connection)
                    yield connection
            elif self._can_read_in_place():
                with self._transaction("BEGIN") as connection:
                    yield connection
            else:
                with closing(open_snapshot(self.path)) as connection:
                    yield self._prepared(connection)

    @contextmanager
    def write_transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection whose changes are committed at the end of the block, all or none.

        Raises StoreError if the store cannot be written, and sqlite3.IntegrityError unchanged.
        """
        with self._converted_errors():
            if not self.path.exists():
                self._create()
            with self._transaction("BEGIN IMMEDIATE") as connection:
                yield connection

    def probe(self) -> None:
        """Raise StoreError unless the store can be written."""
        with self.write_transaction() as connection:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def verify(self) -> None:
        """Raise StoreError if the file is damaged. Reads the whole file."""
        with self.read_transaction() as connection:
            ((result,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
        if result != "ok":
            message = f"{self.path}: is damaged: {' '.join(result.split())}"
            raise StoreError(message, cure=_CURES["SQLITE_CORRUPT"])

    def _can_read_in_place(self) -> bool:
        """Whether SQLite can create the files next to the database that it needs in WAL mode.

        It cannot on a full disk, in a read-only mount, and in the directory of another user.
        """
        if self._idle:
            return True
        try:
            self._idle.append(self._open())
        except sqlite3.DatabaseError as error:
            if not getattr(error, "sqlite_errorname", "").startswith(_NOT_IN_PLACE):
                raise
            return False
        return True

    def close(self) -> None:
        """Close every connection; those in use, at the end of their blocks."""
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
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            return self._prepared(connection)
        except BaseException:
            connection.close()
            raise

    def _prepared(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Return the connection, after a migration to the current schema.

        Raises StoreError when the file is not a store, or of a newer version.
        """
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if version > SCHEMA_VERSION and ("models" in names or not names):
            raise StoreError(
                f"{self.path} was written by a newer version of tunedmodels (schema {version}; "
                f"this version supports {SCHEMA_VERSION})",
                cure="Upgrade tunedmodels, or use another directory.",
            )
        if "models" not in names or version == 0:
            content = "another database" if names else "empty"
            raise StoreError(
                f"{self.path} is not a store of tunedmodels: it is {content}", cure=_REPLACE_CURE
            )
        if version < SCHEMA_VERSION:
            _migrate(connection)
        return connection

    def _create(self) -> None:
        """Create the directory and the file once, also if several processes try concurrently."""
        folder = self.path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_path = folder / "embedded.db.lock"
        with FileLock(lock_path):
            if not self.path.exists():
                with TemporaryDirectory(dir=folder, prefix=".new-") as temporary:
                    new_path = Path(temporary) / self.path.name
                    with _open_connection(str(new_path)) as connection:
                        connection.execute("PRAGMA journal_mode = WAL")
                        _migrate(connection)
                    # Other processes see a complete file or none; a crash before leaves none.
                    new_path.rename(self.path)
            # A process that waits for this lock file, or that creates a new one, finds the store.
            lock_path.unlink(missing_ok=True)

    @contextmanager
    def _converted_errors(self) -> Iterator[None]:
        """Convert SQLite and file errors to StoreError."""
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise
        except sqlite3.DatabaseError as error:
            kind = getattr(error, "sqlite_errorname", "")
            # Other errors are those of our statements in a file with another schema: a damaged one.
            cures = (text for name, text in _CURES.items() if kind.startswith(name))
            raise StoreError(
                f"{self.path}: {printable(str(error))}",
                cure=next(cures, _REPLACE_CURE),
                is_transient=kind.startswith("SQLITE_BUSY"),
            ) from error
        except (sqlite3.Error, UnicodeDecodeError) as error:
            # The text of an error, or a name in the schema, is not valid UTF-8.
            message = f"{self.path}: is damaged: {printable(str(error))}"
            raise StoreError(message, cure=_REPLACE_CURE) from error
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise StoreError(
                f"{error.filename or self.path}: {error.strerror or error}",
                cure=_CURES["SQLITE_FULL"] if is_full else _CURES["SQLITE_CANTOPEN"],
            ) from error


def open_snapshot(path: Path) -> sqlite3.Connection:
    """Return a copy of a database in memory, made without writing next to it.

    Without a write-ahead log the file is complete, and no process is writing to it. With one, both
    are copied to the directory for temporary files first.
    """
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or not log.stat().st_size:
        return _read_into_memory(f"{path.absolute().as_uri()}?mode=ro&immutable=1")
    with TemporaryDirectory(prefix="tunedmodels-") as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        shutil.copyfile(log, copy.with_name(log.name))
        return _read_into_memory(copy.as_uri())


def _read_into_memory(uri: str) -> sqlite3.Connection:
    with closing(sqlite3.connect(uri, uri=True)) as source:
        copy = _connect(":memory:")
        try:
            source.backup(copy)
        except BaseException:
            copy.close()
            raise
        return copy


def _connect(target: str) -> sqlite3.Connection:
    # A connection moves between threads but is used by one at a time. Transactions are explicit.
    connection = sqlite3.connect(
        target, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    connection.create_function("folded", 1, str.casefold, deterministic=True)
    connection.create_function("group_key", 3, group_key, deterministic=True)
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    """Migrate a store to the current schema in one transaction."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have migrated it while this one waited.
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for migration in _MIGRATIONS[version:]:
            for statement in migration.split(";\n"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(version, SCHEMA_VERSION)}")


@contextmanager
def _open_connection(target: str) -> Iterator[sqlite3.Connection]:
    connection = _connect(target)
    try:
        yield connection
    finally:
        connection.close()
