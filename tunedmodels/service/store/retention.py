"""`serve --retention`: removal of failed models after a period of time.

It removes models whose job failed or was cancelled, with their operations, and files without a
model. It never removes a model that is ready or unfinished, nor a failed model with the stamp of a
project: the project's plan counts failed attempts (`lifecycle.retry`), and would train the model
again if it were removed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tunedmodels import stamp
from tunedmodels.errors import StoreError
from tunedmodels.service.store.models import ModelStore

_MAX_INTERVAL_S = 3600.0
_SECOND = len("2026-01-31T12:00:00")


class Retention:
    """A thread that removes expired models at the start, and then every hour or more often."""

    def __init__(self, store: ModelStore, age_s: float) -> None:
        self._store = store
        self._age = timedelta(seconds=age_s)
        self._interval_s = min(age_s, _MAX_INTERVAL_S)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                removed = remove_expired(self._store, self._age)
                if removed:
                    sys.stderr.write(f"Removed expired models: {', '.join(removed)}.\n")
            except (StoreError, OSError) as error:
                sys.stderr.write(f"Cannot remove expired models: {error}\n")
            if self._stop.wait(self._interval_s):
                return


def remove_expired(
    store: ModelStore,
    age: timedelta,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[str]:
    """Remove failed models older than `age` and return their ids. Raises StoreError."""
    before = (now() - age).strftime("%Y-%m-%dT%H:%M:%S")
    # By the time of the last change: a model that a user has edited since is still in use.
    query = (
        "SELECT id, seq, description FROM models"  # noqa: S608  # a number
        f" WHERE state = 'FAILED' AND substr(update_time, 1, {_SECOND}) < ?"
    )
    with store.database.read_transaction() as connection:
        rows = connection.execute(query, (before,)).fetchall()
    # A FAILED model stays FAILED, so reading and deleting need not be one transaction.
    expired = [
        (model_id, seq)
        for model_id, seq, description in rows
        if stamp.parse_description(description)[1] is None
    ]
    if expired:
        with store.database.write_transaction() as connection:
            connection.executemany(
                "DELETE FROM models WHERE seq = ?", [(seq,) for _, seq in expired]
            )
    store.remove_orphaned_files()
    return [model_id for model_id, _ in expired]
