"""Local copies of datasets in Cloud Storage, in the state directory of a project.

Only the examples decide, never the path: a copy is of one generation of an object, its examples
have a digest like those of any file, and `apply` refuses examples that differ from the plan. `plan`
and `apply` fetch the current generation; `validate` is offline and reads the latest copy.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from tunedmodels.project.project import Project

SCHEME: Final = "gs://"
DIRECTORY: Final = "remote"


def is_remote(path: str) -> bool:
    """Return whether a path in a manifest is an object of Cloud Storage."""
    return path.startswith(SCHEME)


def latest_copy(project: Project, path: str) -> Path:
    """Return the path of the latest copy of an object; the file does not need to exist."""
    directory = copies_dir(project, path)
    copies = sorted(directory.iterdir(), key=lambda file: file.name) if directory.is_dir() else []
    return copies[-1] if copies else directory / f"missing{Path(path).suffix}"


def copies_dir(project: Project, path: str) -> Path:
    """Return the directory of all copies of an object."""
    return project.state_dir / DIRECTORY / hashlib.sha256(path.encode()).hexdigest()[:16]
