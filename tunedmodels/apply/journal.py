"""The journal: what a run was about to do, on disk before it did it.

One file of JSON lines per run. It is for people who ask what happened; no decision is ever taken
from it, since the live models say what is true. Loss points are left out, which the service keeps,
and so is what an evaluation asked and was answered, which is somebody's data.
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

KEPT: Final = 50  # files; a month of daily runs stays readable, and the folder stays small


class Journal:
    """Writes events to `FOLDER/<UTC time>-<pid>.jsonl`, opened with the first event.

    Only the newest 50 files stay. Used as a context manager, which closes the file.
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
        """Put an event on disk; a `Sending` is synced before this returns.

        Raises StoreError when the disk does not take it: then the request must not leave.
        """
        is_asking = isinstance(event, Evaluating) and event.done
        if is_asking or isinstance(event, Progressed | Uploaded):
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
                cure="Nothing more was sent; jobs that were started go on. Make the folder "
                "writable or free some space, then run `tunedmodels apply` again.",
            ) from error

    def _open(self) -> TextIOWrapper:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Names begin with the time, so that their order is the order of the runs.
        for old in sorted(self._folder.glob("*.jsonl"))[: -(KEPT - 1)]:
            old.unlink(missing_ok=True)  # another run may tidy up at this moment
        path = self._folder / f"{self._now():%Y%m%dT%H%M%SZ}-{os.getpid()}.jsonl"
        return path.open("a", encoding="utf-8")
