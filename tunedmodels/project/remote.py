"""Datasets in Cloud Storage: copied beside the state, and read from there as any other file.

What decides is what stands in them, never their path: a copy is of one generation, its examples are
digested as those of a file are, and `apply` refuses what differs from the plan. `plan` and `apply`
fetch what is there now; `validate` is offline and reads the copy of the last time.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from tunedmodels.project.project import Project

SCHEME: Final = "gs://"
FOLDER: Final = "remote"


def is_remote(path: str) -> bool:
    """Whether a path of a manifest is an object of Cloud Storage."""
    return path.startswith(SCHEME)


def copy_of(project: Project, path: str) -> Path:
    """Return the newest copy of an object, which need not be there."""
    folder = copies_of(project, path)
    copies = sorted(folder.iterdir(), key=lambda file: file.name) if folder.is_dir() else []
    return copies[-1] if copies else folder / f"missing{Path(path).suffix}"


def copies_of(project: Project, path: str) -> Path:
    """Return the folder of all copies of an object."""
    return project.state / FOLDER / hashlib.sha256(path.encode()).hexdigest()[:16]
