"""`serve --retention`: what has been of no use for that long is removed.

That is a model whose job failed or was cancelled, with its operation, and a file that belongs to no
model. Never a model that is ready or in training. Nor a failed one with the stamp of a project: its
plan counts the attempts by it (`lifecycle.retry`), and would train it again if it were gone.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tunedmodels import stamp
from tunedmodels.errors import StoreError
from tunedmodels.service.store.models import Store

_LONGEST_PAUSE_S = 3600.0
_SECOND = len("2026-01-31T12:00:00")


class Retention:
    """A thread that looks at the start, and from then on every hour or more often."""

    def __init__(self, store: Store, age_s: float) -> None:
        self._store = store
        self._age = timedelta(seconds=age_s)
        self._pause_s = min(age_s, _LONGEST_PAUSE_S)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look_again, name="retention", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look_again(self) -> None:
        while True:
            try:
                removed = remove_old(self._store, self._age)
                if removed:
                    sys.stderr.write(f"Removed as too old: {', '.join(removed)}.\n")
            except (StoreError, OSError) as error:
                sys.stderr.write(f"Nothing old could be removed: {error}\n")
            if self._is_over.wait(self._pause_s):
                return


def remove_old(
    store: Store,
    age: timedelta,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[str]:
    """Remove what is older than `age` and return the ids of the models. Raises StoreError."""
    before = (now() - age).strftime("%Y-%m-%dT%H:%M:%S")
    # Not changed since: a model that somebody has renamed or shared is one that they look at.
    query = (
        "SELECT id, seq, description FROM models"  # noqa: S608  # a number
        f" WHERE state = 'FAILED' AND substr(update_time, 1, {_SECOND}) < ?"
    )
    with store.database.reading() as connection:
        found = connection.execute(query, (before,)).fetchall()
    # What has failed stays failed: between the two looks nothing becomes worth keeping.
    old = [(model_id, seq) for model_id, seq, words in found if stamp.read(words)[1] is None]
    if old:
        with store.database.writing() as connection:
            connection.executemany("DELETE FROM models WHERE seq = ?", [(seq,) for _, seq in old])
    store.sweep()
    return [model_id for model_id, _ in old]
