"""Files next to the database: adapters, checkpoints and leases.

Each file name contains the model id, for readability, and the model's `seq`, which is never reused:
a worker that has not noticed yet that its model was deleted cannot change the files of a new model
with the same id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tunedmodels.service.records import TunedModelState

_NAME = re.compile(r"(\.?)[a-z0-9-]+\.(\d+)\..*")


class ModelFiles:
    """The directories next to the database. Only workers create them."""

    def __init__(self, folder: Path) -> None:
        self._adapters = folder / "adapters"
        self._checkpoints = folder / "checkpoints"
        self._leases = folder / "leases"

    def create_directories(self) -> None:
        """Create the directories. Raises OSError."""
        for folder in (self._adapters, self._checkpoints, self._leases):
            folder.mkdir(mode=0o700, exist_ok=True)

    def adapter_path(self, model_id: str, seq: int) -> Path:
        """Return the path of the adapter of an active model."""
        return self._adapters / f"{model_id}.{seq}.safetensors"

    def checkpoint_path(self, model_id: str, seq: int) -> Path:
        """Return the path of the checkpoint of an unfinished job."""
        return self._checkpoints / f"{model_id}.{seq}.safetensors"

    def lease_path(self, model_id: str, seq: int) -> Path:
        """Return the path of the file that the worker of a job has locked."""
        return self._leases / f"{model_id}.{seq}.lock"

    def remove_job_files(self, model_id: str, seq: int) -> None:
        """Remove the files that only an unfinished job needs.

        A locked lease file can be removed: after locking a file of that name, a worker reads the
        state of the job again before it takes the job.
        """
        self.checkpoint_path(model_id, seq).unlink(missing_ok=True)
        self.lease_path(model_id, seq).unlink(missing_ok=True)

    def remove_model_files(self, model_id: str, seq: int) -> None:
        """Remove every file of a deleted model."""
        self.adapter_path(model_id, seq).unlink(missing_ok=True)
        self.remove_job_files(model_id, seq)

    def list_all(self) -> list[Path]:
        """Return every existing file."""
        folders = (self._adapters, self._checkpoints, self._leases)
        return [file for folder in folders if folder.exists() for file in folder.iterdir()]

    def remove_orphans(self, files: list[Path], states: Mapping[int, str]) -> None:
        """Remove the files that killed processes left behind.

        `files` must be read before `states` (by `seq`): the model of a listed file was in the
        database when the file was listed, so a model that is missing from `states` was deleted.
        """
        for file in files:
            if match := _NAME.fullmatch(file.name):
                state = states.get(int(match[2]))
                is_partial = bool(match[1])
                is_adapter = file.parent == self._adapters and not is_partial
                if state is None or (state != TunedModelState.CREATING and not is_adapter):
                    file.unlink(missing_ok=True)
