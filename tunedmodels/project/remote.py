"""Datasets in Cloud Storage: copied beside the state, and read from there as any other file.

What decides is what stands in them, never their path: a copy is of one generation, its examples are
digested as those of a file are, and `apply` refuses what differs from the plan. `plan` and `apply`
fetch what is there now; `validate` is offline and reads the copy of the last time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tunedmodels.errors import RefusedError
from tunedmodels.project.project import Project
from tunedmodels.schema.tuned_model import TunedModelSpec

SCHEME: Final = "gs://"
FOLDER: Final = "remote"


def is_remote(path: str) -> bool:
    """Whether a path of a manifest is an object of Cloud Storage."""
    return path.startswith(SCHEME)


def copy_of(project: Project, path: str) -> Path:
    """Return the newest copy of an object, which need not be there."""
    folder = _folder(project, path)
    copies = sorted(folder.iterdir(), key=lambda file: file.name) if folder.is_dir() else []
    return copies[-1] if copies else folder / f"missing{Path(path).suffix}"


async def fetch_all(project: Project) -> None:
    """Fetch every dataset that lies in Cloud Storage and has changed. Raises ProviderError."""
    wanted = {
        (project.provider_of(model), path)
        for model in project.declared
        for path in _paths(model.spec)
        if is_remote(path)
    }
    if not wanted:
        return
    from tunedmodels.operations.connect import connect
    from tunedmodels.providers.vertex.provider import VertexProvider

    project.claim_state()
    async with connect(project) as providers:
        for name, path in sorted(wanted):
            provider = providers[name]
            if not isinstance(provider, VertexProvider):  # `manifests.honoured` has seen to it
                raise RefusedError(f"{path} can be read by a provider of type vertex only")
            await provider.fetch(path, _folder(project, path))


def _folder(project: Project, path: str) -> Path:
    return project.state / FOLDER / hashlib.sha256(path.encode()).hexdigest()[:16]


def _paths(spec: TunedModelSpec) -> Iterator[str]:
    for part in (spec.dataset, spec.validation, spec.evaluation):
        if part:
            yield part.path
