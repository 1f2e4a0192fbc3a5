"""The queue of unfinished jobs in a store, for the worker processes.

A job belongs to the process that has locked its lease file. The operating system releases the lock
when the process ends for any reason, so leases need no expiry time, and two processes on one store
never train the same job. Every write has the job and the state CREATING as its condition: it does
not change a job that was cancelled or deleted, and the writer is told.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from filelock import FileLock, Timeout

from tunedmodels.service.errors import ApiStatus
from tunedmodels.service.records import StoredModel, later_timestamp, timestamp
from tunedmodels.service.store.models import COLUMNS, ModelStore

_IS_UNFINISHED = "seq = ? AND state = 'CREATING'"


@dataclass(frozen=True, slots=True)
class JobLease:
    """The exclusive right to train a job, until `release` or the end of this process."""

    model: StoredModel
    lock: FileLock

    def release(self) -> None:
        """Release the job for other workers."""
        self.lock.release()


class JobQueue:
    """The unfinished jobs of a store. Every method raises StoreError if the disk fails."""

    def __init__(self, store: ModelStore) -> None:
        self.store = store

    def list_unfinished(self) -> list[tuple[int, str]]:
        """Return (seq, model id) of every unfinished job, oldest first."""
        query = "SELECT seq, id FROM models WHERE state = 'CREATING' ORDER BY seq"
        with self.store.database.read_transaction() as connection:
            return connection.execute(query).fetchall()

    def is_free(self, seq: int, model_id: str) -> bool:
        """Return whether no worker trains the job at the moment."""
        path = self.store.files.lease_path(model_id, seq)
        if not path.exists():
            return True
        try:
            with FileLock(path, blocking=False):
                return True
        except Timeout:
            return False

    def take(self) -> JobLease | None:
        """Take the oldest free job and return its lease; None if there is no free job."""
        for seq, model_id in self.list_unfinished():
            lock = FileLock(self.store.files.lease_path(model_id, seq), blocking=False)
            try:
                lock.acquire()
            except Timeout:
                continue
            # The job may have ended between the query and the lock.
            if model := self._claim(seq):
                return JobLease(model, lock)
            lock.release()
            self.store.files.remove_job_files(model_id, seq)
        return None

    def examples(self, seq: int) -> bytes:
        """Return the training examples in canonical form; empty if the model was deleted."""
        with self.store.database.read_transaction() as connection:
            row = connection.execute("SELECT examples FROM datasets WHERE seq = ?", (seq,))
            result = row.fetchone()
        return bytes(result[0]) if result else b""

    def is_unfinished(self, seq: int) -> bool:
        """Return whether the job was neither cancelled nor deleted."""
        query = f"SELECT 1 FROM models WHERE {_IS_UNFINISHED}"  # noqa: S608  # a constant
        with self.store.database.read_transaction() as connection:
            return connection.execute(query, (seq,)).fetchone() is not None

    def rewind(self, seq: int, step: int) -> None:
        """Delete every step after `step`, which must be the last step of an `add_steps`, or 0."""
        with self.store.database.write_transaction() as connection:
            if self._update_unfinished(connection, seq, completed_steps=step):
                query = "DELETE FROM curves WHERE seq = ? AND last_step > ?"
                connection.execute(query, (seq, step))

    def add_steps(self, seq: int, last_step: int, snapshots: str) -> bool:
        """Append consecutive snapshots to the curve; return False if the job was ended."""
        with self.store.database.write_transaction() as connection:
            is_unfinished = self._update_unfinished(connection, seq, completed_steps=last_step)
            if is_unfinished:
                row = (seq, last_step, snapshots)
                connection.execute("INSERT INTO curves VALUES (?, ?, ?)", row)
        return is_unfinished

    def reset_crash_count(self, seq: int) -> None:
        """Reset the crash count: the job saved a checkpoint, or was interrupted in order."""
        with self.store.database.write_transaction() as connection:
            self._update_unfinished(connection, seq, deaths=0)

    def finish(self, seq: int) -> bool:
        """Set the model to ACTIVE, after its adapter was written completely.

        Returns False if the job was ended by a cancel or a delete.
        """
        join = (
            "SELECT max(last_step), group_concat(snapshots, ',') FROM"
            " (SELECT last_step, snapshots FROM curves WHERE seq = ? ORDER BY last_step)"
        )
        with self.store.database.write_transaction() as connection:
            time = _later_timestamp(connection, seq)
            is_unfinished = self._update_unfinished(
                connection, seq, state="ACTIVE", update_time=time, complete_time=time
            )
            if is_unfinished:
                # From now on the curve is only read, and a single row is the fastest to read.
                merged = connection.execute(join, (seq,)).fetchone()
                connection.execute("DELETE FROM curves WHERE seq = ?", (seq,))
                connection.execute("INSERT INTO curves VALUES (?, ?, ?)", (seq, *merged))
        return is_unfinished

    def fail(self, seq: int, status: ApiStatus, message: str) -> None:
        """Set the model to FAILED, with the error of its operation."""
        with self.store.database.write_transaction() as connection:
            self._update_unfinished(
                connection,
                seq,
                state="FAILED",
                update_time=_later_timestamp(connection, seq),
                error_code=status.code,
                error_message=message,
            )

    def _claim(self, seq: int) -> StoredModel | None:
        """Start the job and count a crash, until `reset_crash_count` reports progress."""
        query = (
            "UPDATE models SET deaths = deaths + 1,"  # noqa: S608  # constants
            " start_time = coalesce(nullif(start_time, ''), ?)"
            f" WHERE {_IS_UNFINISHED} RETURNING {COLUMNS}"
        )
        with self.store.database.write_transaction() as connection:
            row = connection.execute(query, (timestamp(digits=9), seq)).fetchone()
        return StoredModel(*row) if row else None

    @staticmethod
    def _update_unfinished(connection: sqlite3.Connection, seq: int, **values: object) -> bool:
        assignments = ", ".join(f"{column} = ?" for column in values)
        query = f"UPDATE models SET {assignments} WHERE {_IS_UNFINISHED}"  # noqa: S608  # constant column names
        return connection.execute(query, (*values.values(), seq)).rowcount == 1


def _later_timestamp(connection: sqlite3.Connection, seq: int) -> str:
    """Return an update time that is later than the present one of a model."""
    query = "SELECT update_time FROM models WHERE seq = ?"
    row = connection.execute(query, (seq,)).fetchone()
    return later_timestamp(row[0] if row else "")
