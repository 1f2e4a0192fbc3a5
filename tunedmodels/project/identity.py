"""The name and the directory of a project, also if its manifests have errors."""

from __future__ import annotations

from pathlib import Path

from tunedmodels.errors import ProblemsFoundError
from tunedmodels.manifests.collect import collect
from tunedmodels.manifests.discover import find_project, has_project
from tunedmodels.project.git import folder_in_repository


def read_identity(directory: Path | None) -> tuple[str, str]:
    """Return the name of a project and its directory in the repository; empty if unknown."""
    root = find_project(directory or Path(), is_named=directory is not None)
    if not has_project(root):
        return "", ""
    try:
        manifests = collect(root).manifests
    except ProblemsFoundError:
        return "", ""
    name = next((manifest.name for manifest in manifests if manifest.kind == "Project"), "")
    return name, folder_in_repository(root) if name else ""
