"""The jobs of a store, as the processes that train see them.

A job belongs to whoever holds the lock on its lease file. The system drops the lock with its
holder, however that ends: there is no clock in it, and two commands on one store never train one
job twice. Every write names the job and the state CREATING, so what was cancelled or deleted in the
meantime stays as it is, and the writer learns of it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from filelock import FileLock, Timeout

from tunedmodels.service.errors import Status
from tunedmodels.service.records import Model, now
from tunedmodels.service.store.models import COLUMNS, Store

_IS_WANTED = "seq = ? AND state = 'CREATING'"


@dataclass(frozen=True, slots=True)
class Lease:
    """A job that is ours alone until `release`, or until this process ends."""

    model: Model
    lock: FileLock

    def release(self) -> None:
        """Let others have it."""
        self.lock.release()


class Jobs:
    """The unfinished jobs of a store. Every method raises StoreError when the disk fails."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def unfinished(self) -> list[tuple[int, str]]:
        """Return (seq, id) of every job that has not ended, oldest first."""
        query = "SELECT seq, id FROM models WHERE state = 'CREATING' ORDER BY seq"
        with self.store.database.reading() as connection:
            return connection.execute(query).fetchall()

    def is_free(self, seq: int, model_id: str) -> bool:
        """Whether nobody trains the job at this moment."""
        path = self.store.files.lease(model_id, seq)
        if not path.exists():
            return True
        try:
            with FileLock(path, blocking=False):
                return True
        except Timeout:
            return False

    def take(self) -> Lease | None:
        """Take the oldest job that nobody has; None when there is none."""
        for seq, model_id in self.unfinished():
            lock = FileLock(self.store.files.lease(model_id, seq), blocking=False)
            try:
                lock.acquire()
            except Timeout:
                continue
            # Only now is it certain that the job did not end between the look and the lock.
            if model := self._begin(seq):
                return Lease(model, lock)
            lock.release()
            self.store.files.discard_work(model_id, seq)
        return None

    def examples(self, seq: int) -> bytes:
        """Return the training examples in their canonical form; empty when the model is gone."""
        with self.store.database.reading() as connection:
            row = connection.execute("SELECT examples FROM datasets WHERE seq = ?", (seq,))
            found = row.fetchone()
        return bytes(found[0]) if found else b""

    def is_wanted(self, seq: int) -> bool:
        """Whether the job was neither cancelled nor deleted."""
        query = f"SELECT 1 FROM models WHERE {_IS_WANTED}"  # noqa: S608  # a constant
        with self.store.database.reading() as connection:
            return connection.execute(query, (seq,)).fetchone() is not None

    def rewind(self, seq: int, step: int) -> None:
        """Forget every step after `step`, which must be the last of a stretch, or 0."""
        with self.store.database.writing() as connection:
            if self._set(connection, seq, completed_steps=step):
                query = "DELETE FROM curves WHERE seq = ? AND last_step > ?"
                connection.execute(query, (seq, step))

    def add_steps(self, seq: int, last_step: int, snapshots: str) -> bool:
        """Add a stretch of the curve; False when the job is not wanted any more."""
        with self.store.database.writing() as connection:
            is_wanted = self._set(connection, seq, completed_steps=last_step)
            if is_wanted:
                row = (seq, last_step, snapshots)
                connection.execute("INSERT INTO curves VALUES (?, ?, ?)", row)
        return is_wanted

    def note_progress(self, seq: int) -> None:
        """Say that the job lives: it got further than its last checkpoint, or was left in order."""
        with self.store.database.writing() as connection:
            self._set(connection, seq, deaths=0)

    def finish(self, seq: int) -> bool:
        """Make the model ACTIVE; its learned parameters must be whole on disk.

        Returns False when the job is not wanted any more.
        """
        time = now()
        join = (
            "SELECT max(last_step), group_concat(snapshots, ',') FROM"
            " (SELECT last_step, snapshots FROM curves WHERE seq = ? ORDER BY last_step)"
        )
        with self.store.database.writing() as connection:
            is_wanted = self._set(
                connection, seq, state="ACTIVE", update_time=time, complete_time=time
            )
            if is_wanted:
                # From now on the curve is only read: one row of it is read fastest.
                whole = connection.execute(join, (seq,)).fetchone()
                connection.execute("DELETE FROM curves WHERE seq = ?", (seq,))
                connection.execute("INSERT INTO curves VALUES (?, ?, ?)", (seq, *whole))
        return is_wanted

    def fail(self, seq: int, status: Status, words: str) -> None:
        """Make the model FAILED, with the reason on its operation."""
        with self.store.database.writing() as connection:
            self._set(
                connection,
                seq,
                state="FAILED",
                update_time=now(),
                error_code=status.code,
                error_message=words,
            )

    def _begin(self, seq: int) -> Model | None:
        """Count the worker as dead from now on, until it shows the contrary."""
        query = (
            "UPDATE models SET deaths = deaths + 1,"  # noqa: S608  # constants
            " start_time = coalesce(nullif(start_time, ''), ?)"
            f" WHERE {_IS_WANTED} RETURNING {COLUMNS}"
        )
        with self.store.database.writing() as connection:
            row = connection.execute(query, (now(digits=9), seq)).fetchone()
        return Model(*row) if row else None

    @staticmethod
    def _set(connection: sqlite3.Connection, seq: int, **values: object) -> bool:
        assignments = ", ".join(f"{column} = ?" for column in values)
        query = f"UPDATE models SET {assignments} WHERE {_IS_WANTED}"  # noqa: S608  # our names
        return connection.execute(query, (*values.values(), seq)).rowcount == 1
