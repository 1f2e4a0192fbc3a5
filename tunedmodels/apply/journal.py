"""The journal: the events of a run, on disk before the requests that they announce.

One file of JSON lines per run, for a user who investigates what happened. No decision is based on
it, since the live models are the source of truth. It omits loss points, which the service keeps,
and the questions and answers of evaluations, which are user data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tunedmodels.errors import StoreError
from tunedmodels.events import Evaluating, Event, Progressed, Sending, Uploaded

MAX_FILES: Final = 50  # more than a month of daily runs, in a small folder


class Journal:
    """Writes events to `FOLDER/<UTC time>-<pid>.jsonl`, which is created for the first event.

    Only the newest 50 files are kept. Use it as a context manager, which closes the file.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._now = now
        self._file: TextIOWrapper | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.close()

    def write(self, event: Event) -> None:
        """Write an event to disk; a `Sending` is synced before this returns.

        Raises StoreError when the write fails: then the request must not be sent.
        """
        is_repeated = isinstance(event, Evaluating) and event.done
        if is_repeated or isinstance(event, Progressed | Uploaded):
            return
        line = {"time": self._now().isoformat(), "event": type(event).__name__, **asdict(event)}
        try:
            self._file = self._file or self._open()
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
            if isinstance(event, Sending):
                os.fsync(self._file.fileno())
        except OSError as error:
            raise StoreError(
                f"the journal in {self._folder} cannot be written: {error.strerror or error}",
                cure="No further request was sent; jobs that were started continue. Make the "
                "folder writable or free some space, then run `tunedmodels apply` again.",
            ) from error

    def _open(self) -> TextIOWrapper:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Names begin with the time, so that sorting them gives the order of the runs.
        for old in sorted(self._folder.glob("*.jsonl"))[: -(MAX_FILES - 1)]:
            old.unlink(missing_ok=True)  # another run may delete it at the same time
        path = self._folder / f"{self._now():%Y%m%dT%H%M%SZ}-{os.getpid()}.jsonl"
        return path.open("a", encoding="utf-8")
