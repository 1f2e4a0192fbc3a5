"""The folder of a project: where it is, and which files in it may hold manifests."""

# ruff: noqa: PTH118, PTH123  # for the same reason as os.scandir: 10,000 Paths cost more than 10,000 files

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tunedmodels.errors import Problem, ProblemsFoundError, Severity
from tunedmodels.manifests.location import Place
from tunedmodels.manifests.yaml_errors import MAX_BYTES
from tunedmodels.manifests.yaml_scalars import visible

OVERLAYS: Final = "overlays"
_USUAL_BYTES: Final = 8192
ENDINGS: Final = (".yaml", ".yml")

# A look at the bytes, so that other people's YAML (Helm templates, say) is never parsed.
MARK: Final = b"tunedmodels.dev/"
_PROJECT: Final = re.compile(rb"\bkind[\"']?\s*:\s*[\"']?Project\b")


def find_project(start: Path) -> Path:
    """Return `start/manifests` if that holds a Project file, else `start`.

    This is the rule for a command without `-C DIR`; with it, the folder is DIR itself.
    """
    folder = start / "manifests"
    return folder if holds_project(folder) else start


def holds_project(folder: Path) -> bool:
    """Whether a Project file lies in a folder; one that cannot be listed holds none."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return False
    for file in entries:
        if file.suffix in ENDINGS and file.is_file():
            raw = read_bytes(str(file), str(file))
            if isinstance(raw, bytes) and MARK in raw and _PROJECT.search(raw):
                return True
    return False


@dataclass(slots=True)
class Walk:
    """Files (the path, and as it is shown) in byte order, and what could not be walked."""

    files: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def walk(root: Path) -> Walk:
    """List the YAML files below `root`, without dot-files, dot-folders and `overlays/`.

    Folders behind links are not entered: inside the project their files are found anyway.
    Raises ProblemsFoundError when `root` is no folder that can be listed.
    """
    found = Walk()
    prefix = as_typed(root)
    names: list[str] = []
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.name.startswith(".") or name == OVERLAYS:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(name)
                    elif entry.name.endswith(ENDINGS) and _is_readable(entry, name, root, found):
                        names.append(name)
        except OSError as error:
            problem = unreadable(_join(prefix, folder), error)
            if not folder:
                raise ProblemsFoundError([problem]) from None
            found.problems.append(problem)
    for name in sorted(names, key=os.fsencode):
        found.files.append((os.path.join(root, name), _join(prefix, name)))
    return found


def overlays(root: Path) -> dict[str, list[tuple[str, str]]]:
    """Return the overlays that exist: name to files (the path, and as it is shown)."""
    names: dict[str, list[tuple[str, str]]] = {}
    try:
        entries = sorted((root / OVERLAYS).iterdir())
    except OSError:
        return names
    for file in entries:
        if file.suffix in ENDINGS and file.is_file() and not file.name.startswith("."):
            shown = _join(as_typed(root), f"{OVERLAYS}/{file.name}")
            names.setdefault(file.stem, []).append((str(file), shown))
    return names


def read_bytes(path: str, shown: str) -> bytes | Problem:
    """Read a file, or one byte more than a manifest may have."""
    try:
        with open(path, "rb") as file:
            # In two steps: read(10 MB) would set 10 MB aside for each small file.
            raw = file.read(_USUAL_BYTES)
            return raw if len(raw) < _USUAL_BYTES else raw + file.read(MAX_BYTES)
    except OSError as error:
        return unreadable(shown, error)


def unreadable(shown: str, error: OSError) -> Problem:
    """Say why a file or folder cannot be read."""
    match error:
        case FileNotFoundError():
            message = "there is no such file or folder"
            cure = "go to the folder of the project, name it with -C DIR, or run: tunedmodels init"
        case NotADirectoryError():
            message, cure = "is a file, not a folder", "name the folder of the Project file"
        case PermissionError():
            message, cure = "may not be read by you", "give yourself the right to read it"
        case _:
            message, cure = f"cannot be read: {error.strerror or error}", ""
    return Place(shown).problem("unreadable", message, cure)


def _is_readable(entry: os.DirEntry[str], name: str, root: Path, found: Walk) -> bool:
    """Say whether to read an entry; a link may only lead to a file inside the project."""
    if not entry.is_symlink():
        return entry.is_file()
    if entry.is_dir():
        return False
    if not entry.is_file():
        severity = Severity.ERROR
        message, cure = "is a link that leads to no file", "mend the link, or remove it"
    elif not is_below(os.path.realpath(entry.path), os.path.realpath(root)):
        severity = Severity.WARNING
        message = "is a link that leads out of the project, and was not read"
        cure = "copy the file into the project, or remove the link"
    else:
        return True
    place = Place(_join(as_typed(root), name))
    found.problems.append(place.problem("link", message, cure, severity))
    return False


def is_below(path: str, folder: str) -> bool:
    """Compare two real paths."""
    return path.startswith(folder.rstrip(os.sep) + os.sep)


def as_typed(root: Path) -> str:
    """Return the folder relative to the working directory where that is possible."""
    try:
        return str(root.relative_to(Path.cwd())) if root.is_absolute() else str(root)
    except (ValueError, OSError):
        return str(root)


def _join(prefix: str, name: str) -> str:
    if not name:
        return visible(prefix)
    return visible(name if prefix == "." else f"{prefix.rstrip('/')}/{name}")
