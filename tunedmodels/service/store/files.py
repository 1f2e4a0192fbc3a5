"""What the store keeps beside its database: learned parameters, checkpoints and leases.

Every name holds the model's id, for people, and its `seq`, which is never given twice: a worker
that does not know yet that its model was deleted cannot touch the files of the next one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tunedmodels.service.records import State

_NAME = re.compile(r"(\.?)[a-z0-9-]+\.(\d+)\..*")


class Files:
    """The folders beside the database. The worker creates them; everybody else only looks."""

    def __init__(self, folder: Path) -> None:
        self._adapters = folder / "adapters"
        self._checkpoints = folder / "checkpoints"
        self._leases = folder / "leases"

    def prepare(self) -> None:
        """Create the folders. Raises OSError."""
        for folder in (self._adapters, self._checkpoints, self._leases):
            folder.mkdir(mode=0o700, exist_ok=True)

    def adapter(self, model_id: str, seq: int) -> Path:
        """Return where the learned parameters of a finished model are."""
        return self._adapters / f"{model_id}.{seq}.safetensors"

    def checkpoint(self, model_id: str, seq: int) -> Path:
        """Return where an unfinished job left off, if it did."""
        return self._checkpoints / f"{model_id}.{seq}.safetensors"

    def lease(self, model_id: str, seq: int) -> Path:
        """Return the file that whoever trains the model holds locked."""
        return self._leases / f"{model_id}.{seq}.lock"

    def discard_work(self, model_id: str, seq: int) -> None:
        """Remove what only an unfinished job needs.

        A lease may go while it is held: whoever locks a file of that name reads the state of the
        job again before believing that the job is theirs.
        """
        self.checkpoint(model_id, seq).unlink(missing_ok=True)
        self.lease(model_id, seq).unlink(missing_ok=True)

    def discard(self, model_id: str, seq: int) -> None:
        """Remove everything that belongs to a model that is no more."""
        self.adapter(model_id, seq).unlink(missing_ok=True)
        self.discard_work(model_id, seq)

    def listed(self) -> list[Path]:
        """Return every file there is now."""
        folders = (self._adapters, self._checkpoints, self._leases)
        return [file for folder in folders if folder.exists() for file in folder.iterdir()]

    def sweep(self, listed: list[Path], states: Mapping[int, str]) -> None:
        """Remove what processes that were killed left behind.

        `listed` must be older than `states` (by `seq`): a file that is in the list had its model
        in the database before, so that a model that is not there is gone for good.
        """
        for file in listed:
            if found := _NAME.fullmatch(file.name):
                state = states.get(int(found[2]))
                is_half_written = bool(found[1])
                is_kept = file.parent == self._adapters and not is_half_written
                if state is None or (state != State.CREATING and not is_kept):
                    file.unlink(missing_ok=True)
