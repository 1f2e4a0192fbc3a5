"""Find the project directory, and the files in it that can contain manifests."""

# ruff: noqa: PTH118, PTH123  # os.scandir and strings: for 10,000 files, Path objects cost more than the files

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tunedmodels.errors import Problem, ProblemsFoundError, Severity
from tunedmodels.manifests.location import Location
from tunedmodels.manifests.yaml_errors import MAX_BYTES
from tunedmodels.text import printable

OVERLAYS: Final = "overlays"
SUFFIXES: Final = (".yaml", ".yml")
_FIRST_READ_BYTES: Final = 8192
# Endings of a manifest that was renamed or misspelt. Templates have an ending of their own.
_OTHER_ENDING: Final = re.compile(
    r"\.ya?ml[._~-].*(?<!\.j2)(?<!\.tmpl)(?<!\.tpl)(?<!\.jinja)(?<!\.erb)(?<!\.template)$"
    r"|\.(?:ya?ml.?|ay?ml|ymal|yalm|myl|ylm|ya.?l|ya?m.?|y.a?ml|.?ya?ml|.aml|y.ml?|ym.l|json|txt)$"
    r"|^[^.]+$",
    re.IGNORECASE,
)
_PACKAGES: Final = ("node_modules", "__pycache__")  # of other tools, with many files

# Searched for in the bytes of a file, so that other YAML (Helm templates, say) is never parsed.
API_GROUP: Final = b"tunedmodels.dev/"
_PROJECT_KEY: Final = re.compile(rb"\bkind[\"']?\s*:\s*[\"']?Project\b")


def find_project(start: Path, *, is_named: bool = False) -> Path:
    """Return the nearest directory with a Project file: `start`, its `manifests`, or one above.

    The search ends at the top of the repository, as that of git does. `manifests` has priority,
    unless the user named the directory (`-C DIR`). Without a Project, return `start`.
    """
    if is_named and not start.is_dir():
        return start
    for directory in (start, *_above(start)):
        candidates = (directory / "manifests", directory)
        for candidate in reversed(candidates) if is_named else candidates:
            if has_project(candidate):
                return candidate
    return start


def _above(start: Path) -> Iterator[Path]:
    """Yield the directories above `start` up to the top of its repository, relative if it is."""
    real = start.resolve()
    relative = Path() if start == Path() else start
    while not (real / ".git").exists() and real != real.parent:
        real = real.parent
        relative = relative / ".."
        shown = Path(os.path.normpath(relative))
        yield shown if shown.resolve() == real else real


def find_projects(start: Path) -> list[Path]:
    """Return every directory with a Project file at or below `start`, in byte order."""
    found = []
    for parent, names, _ in os.walk(start):
        names[:] = [n for n in names if not n.startswith(".") and n not in _PACKAGES]
        if has_project(Path(parent)):
            found.append(Path(parent))
    return sorted(found, key=os.fsencode)


def has_project(directory: Path) -> bool:
    """Return whether a directory contains a Project file; False if it cannot be listed."""
    try:
        entries = sorted(directory.iterdir())
    except OSError:
        return False
    for file in entries:
        if file.suffix in SUFFIXES and file.is_file():
            raw = read_bytes(str(file), str(file))
            if isinstance(raw, bytes) and API_GROUP in raw and _PROJECT_KEY.search(raw):
                return True
    return False


@dataclass(slots=True)
class DirectoryWalk:
    """The result of `walk`."""

    files: list[tuple[str, str]] = field(default_factory=list)
    """The path of each file and its display name, in byte order of the paths."""
    problems: list[Problem] = field(default_factory=list)
    """Directories that cannot be listed, and links that cannot be followed."""
    others: list[tuple[str, str]] = field(default_factory=list)
    """Files whose names have another ending than a manifest, in the same form and order."""


def walk(root: Path) -> DirectoryWalk:
    """Return the YAML files below `root`, except dot-files, dot-directories and `overlays/`.

    Links to directories are not followed: inside the project, their files are found anyway. Raises
    ProblemsFoundError when `root` cannot be listed.
    """
    result = DirectoryWalk()
    prefix = display_path(root)
    names: list[str] = []
    others: list[str] = []
    directories = [""]
    while directories:
        directory = directories.pop()
        try:
            with os.scandir(os.path.join(root, directory)) as entries:
                for entry in entries:
                    name = f"{directory}/{entry.name}" if directory else entry.name
                    if entry.name.startswith(".") or name == OVERLAYS:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        directories += [] if entry.name in _PACKAGES else [name]
                    elif not entry.name.endswith(SUFFIXES):
                        others += [name] if _has_other_ending(entry) else []
                    elif _should_read(entry, name, root, result):
                        names.append(name)
        except OSError as error:
            problem = unreadable(_join(prefix, directory), error)
            if not directory:
                raise ProblemsFoundError([problem]) from None
            result.problems.append(problem)
    result.files = _with_display_names(root, names)
    result.others = _with_display_names(root, others)
    return result


def _with_display_names(root: Path, names: list[str]) -> list[tuple[str, str]]:
    prefix = display_path(root)
    in_order = sorted(names, key=os.fsencode)
    return [(os.path.join(root, name), _join(prefix, name)) for name in in_order]


def _has_other_ending(entry: os.DirEntry[str]) -> bool:
    return bool(_OTHER_ENDING.search(entry.name)) and entry.is_file(follow_symlinks=False)


def overlays(root: Path) -> dict[str, list[tuple[str, str]]]:
    """Return the files of each overlay by its name: their paths and their display names."""
    files: dict[str, list[tuple[str, str]]] = {}
    try:
        entries = sorted((root / OVERLAYS).iterdir())
    except OSError:
        return files
    for file in entries:
        if file.suffix in SUFFIXES and file.is_file() and not file.name.startswith("."):
            display_name = _join(display_path(root), f"{OVERLAYS}/{file.name}")
            files.setdefault(file.stem, []).append((str(file), display_name))
    return files


def read_bytes(path: str, display_name: str, *, limit: int = MAX_BYTES) -> bytes | Problem:
    """Return the content of a file, but at most one byte more than a manifest may have.

    A `limit` below 8 KiB has no effect: so much is always read.
    """
    try:
        with open(path, "rb") as file:
            # In two steps: read(10 MB) would allocate 10 MB for each small file.
            raw = file.read(_FIRST_READ_BYTES)
            if len(raw) < _FIRST_READ_BYTES or limit <= _FIRST_READ_BYTES:
                return raw
            return raw + file.read(limit)
    except OSError as error:
        return unreadable(display_name, error)


def unreadable(display_name: str, error: OSError) -> Problem:
    """Return the problem for a file or a directory that cannot be read."""
    match error:
        case FileNotFoundError():
            message = "the file or directory does not exist"
            cure = "change to the project directory, name it with -C DIR, or run: tunedmodels init"
        case NotADirectoryError():
            message, cure = "is a file, not a directory", "name the directory of the Project file"
        case PermissionError():
            message, cure = "cannot be read: permission denied", "allow your user to read it"
        case _:
            message, cure = f"cannot be read: {error.strerror or error}", ""
    return Location(display_name).problem("unreadable", message, cure)


def _should_read(entry: os.DirEntry[str], name: str, root: Path, result: DirectoryWalk) -> bool:
    """Return whether to read an entry; report a link to anything but a file in the project."""
    if not entry.is_symlink():
        return entry.is_file()
    if entry.is_dir():
        return False
    if not entry.is_file():
        severity = Severity.ERROR
        message, cure = "is a link to a file that does not exist", "fix the link, or remove it"
    elif not is_below(os.path.realpath(entry.path), os.path.realpath(root)):
        severity = Severity.WARNING
        message = "is a link to a file outside the project, and was not read"
        cure = "copy the file into the project, or remove the link"
    else:
        return True
    location = Location(_join(display_path(root), name))
    result.problems.append(location.problem("link", message, cure, severity))
    return False


def is_below(path: str, directory: str) -> bool:
    """Return whether a real path is below a real directory."""
    return path.startswith(directory.rstrip(os.sep) + os.sep)


def display_path(root: Path) -> str:
    """Return a directory relative to the working directory if possible."""
    try:
        return str(root.relative_to(Path.cwd())) if root.is_absolute() else str(root)
    except (ValueError, OSError):
        return str(root)


def _join(prefix: str, name: str) -> str:
    if not name:
        return printable(prefix)
    return printable(name if prefix == "." else f"{prefix.rstrip('/')}/{name}")
